"""Settings: read from the environment, files and `everleaf.toml`, and checked before anything starts.

A setting `database_url` of a section `discovery` is looked for, first match wins, in
`EVERLEAF_DISCOVERY_DATABASE_URL`, in the file named by `EVERLEAF_DISCOVERY_DATABASE_URL_FILE`,
and under `[discovery]` in `everleaf.toml`; else its default holds. The section `""` is the top.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from shared.errors import Invalid

PREFIX = "EVERLEAF_"


def _split(value: object) -> object:
    """Let a list be written `a,b,c` in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[list[str], BeforeValidator(_split)]


_YEAR = 366 * 86400


def _are_waits(value: list[str]) -> list[str]:
    if not all(0 < float(text) < _YEAR for text in value):
        msg = "waits are seconds, more than 0 and less than a year"
        raise ValueError(msg)
    return value


Waits = Annotated[CommaList, Field(min_length=1), AfterValidator(_are_waits)]
"""How long to wait after each failed try, in seconds: `60,600,3600`."""


def durations(waits: Sequence[str]) -> tuple[timedelta, ...]:
    """Return waits as durations."""
    return tuple(timedelta(seconds=float(text)) for text in waits)


class Settings(BaseModel):
    """A section of settings: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServiceSettings(Settings):
    """What every service can be told."""

    database_url: str | None = None
    """`postgresql://user@host:port/name`, or `sqlite:///path`; by default a file in the data folder."""
    database_password: SecretStr | None = None
    """Put into the database's URL; best given as `…_PASSWORD_FILE`."""
    database_tls_ca: Path | None = None
    """A PEM file: connect to PostgreSQL by TLS only and verify its certificate against this CA."""
    database_tls_certificate: Path | None = None
    """A PEM file to show to a PostgreSQL that asks for a client certificate."""
    database_tls_key: Path | None = None
    """The key that goes with it, in PEM."""
    api_key: SecretStr | None = None
    """The key this service exchanges for tokens when it asks another service something."""


S = TypeVar("S", bound=Settings)


class WrongSetting(Invalid):
    """A setting that cannot be used; the text names it, its value's place of origin, and why."""

    title = "A setting is wrong"
    slug = "wrong-setting"


@dataclass(frozen=True)
class _Found:
    value: Any
    origin: str


@dataclass(frozen=True, kw_only=True)
class SettingsSource:
    """Where settings are read from. `environ` is usually `os.environ`."""

    environ: Mapping[str, str]
    toml: Mapping[str, Any] = field(default_factory=dict)
    toml_path: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], *, toml_path: Path | None) -> "SettingsSource":
        """Read `everleaf.toml` where it exists. Raises `WrongSetting` where it is not TOML."""
        if toml_path is None or not toml_path.exists():
            return cls(environ=environ)
        try:
            content = tomllib.loads(toml_path.read_text())
        except (ValueError, OSError) as error:  # not TOML, not UTF-8, not readable
            raise WrongSetting(f"{toml_path}: {error}.", next_step="Correct the file.") from error
        return cls(environ=environ, toml=content, toml_path=toml_path)

    def load(self, model: type[S], *, section: str = "") -> S:
        """Return the section's settings. Raises `WrongSetting`, one line per wrong setting."""
        found = {name: self._find(section, name) for name in model.model_fields}
        present = {name: hit for name, hit in found.items() if hit is not None}
        try:
            return model(**{name: hit.value for name, hit in present.items()})
        except ValidationError as error:
            lines = [self._explain(section, problem, present) for problem in error.errors()]
            raise WrongSetting("\n".join(lines), next_step="Correct it and start again.") from None

    def refuse_unknown(self, sections: Mapping[str, type[Settings]]) -> None:
        """Raise `WrongSetting` for names that no section knows: most often a misspelling."""
        known = {
            variable(section, name) for section, model in sections.items() for name in model.model_fields
        }
        known |= {f"{name}_FILE" for name in known}
        for given in self.environ:
            if given.startswith(PREFIX) and given not in known:
                raise WrongSetting(
                    f"{given} (from the environment) is not a setting.",
                    next_step="Run `everleaf settings` to see all of them.",
                )
        self._refuse_unknown_toml(sections)

    def _refuse_unknown_toml(self, sections: Mapping[str, type[Settings]]) -> None:
        for key, value in self.toml.items():
            for unknown in _unknown(sections, key, value):
                raise WrongSetting(
                    f"{unknown} (from {self.toml_path}) is not a setting.",
                    next_step="Run `everleaf settings` to see all of them.",
                )

    def _find(self, section: str, name: str) -> _Found | None:
        key = variable(section, name)
        if key in self.environ:
            return _Found(self.environ[key], "from the environment")
        if path := self.environ.get(f"{key}_FILE"):
            return self._from_file(key, Path(path))
        table = self._table(section)
        return _Found(table[name], f"from {self.toml_path}") if name in table else None

    def _table(self, section: str) -> Mapping[str, Any]:
        table = self.toml.get(section, {}) if section else self.toml
        return table if isinstance(table, dict) else {}

    def _from_file(self, key: str, path: Path) -> _Found:
        try:
            return _Found(path.read_text().strip(), f"from the file {path}")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise WrongSetting(
                f"{key}_FILE (from the environment): {path} cannot be read ({why}).",
                next_step="Name a file this process may read.",
            ) from None  # the cause would show bytes of what may be a secret

    def _explain(self, section: str, problem: Any, present: Mapping[str, _Found]) -> str:
        name = str(problem["loc"][0]) if problem["loc"] else section
        origin = present[name].origin if name in present else "not set"
        return f"{variable(section, name)} ({origin}): {problem['msg']}."


def _unknown(sections: Mapping[str, type[Settings]], key: str, value: object) -> list[str]:
    model = sections.get(key if isinstance(value, dict) else "")
    if model is None:
        return [key]
    if not isinstance(value, dict):
        return [] if key in model.model_fields else [key]
    return [f"{key}.{name}" for name in value if name not in model.model_fields]


def variable(section: str, name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + (f"{section}_{name}" if section else name).upper()
