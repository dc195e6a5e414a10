"""`everleaf profiles`: which platforms there are, and who one is there; kept in a file that only its owner reads."""

import json
import os
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.errors import Invalid, NotFound, Unavailable

KEYRING = "everleaf"
"""The name of the service under which the system's keyring keeps tokens, by profile."""
_OTHERS = 0o077

app = typer.Typer(help="Name the platforms to work with, and who you are there.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A platform, and where the token for it is."""

    name: str
    url: str
    ca: str | None = None
    """A file of the CA that has signed its certificate, where that is none of the system's."""
    token_file: str | None = None
    token: str | None = None
    """Only where there is no keyring."""

    def secret(self) -> str:
        """Return the token or API key. Raises `Invalid` where there is none."""
        if self.token:
            return self.token
        if self.token_file:
            return read_token(Path(self.token_file).expanduser())
        kept = _keyring(lambda keyring: keyring.get_password(KEYRING, self.name))
        if not kept:
            raise Invalid(
                f"There is no token for the profile {self.name}.",
                next_step=f"Set EVERLEAF_TOKEN, or run `everleaf profiles add {self.name} --url {self.url}`.",
            )
        return str(kept)


@dataclass(frozen=True)
class Profiles:
    """All profiles, and which is meant where none is named."""

    usual: str | None
    by_name: dict[str, Profile]

    def named(self, name: str) -> Profile:
        """Return a profile. Raises `NotFound`."""
        if name not in self.by_name:
            raise NotFound(
                f"There is no profile {name!r}.",
                next_step=f"Known are: {', '.join(self.by_name) or 'none'}. Add one with `everleaf profiles add`.",
            )
        return self.by_name[name]


def path() -> Path:
    """Return where profiles are kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "everleaf" / "profiles.toml"


def read() -> Profiles:
    """Return all profiles. Raises `Invalid` where others could read them too, or the file is none of ours."""
    file = path()
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Profiles(None, {})
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read ({error}).", next_step="Correct or remove it.") from error
    if mode & _OTHERS:
        raise Invalid(
            f"{file} may hold tokens, and others can read it (mode {mode & 0o777:o}).",
            next_step=f"Run `chmod 600 {file}`, and renew the tokens in it.",
        )
    try:
        return _parsed(tomllib.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid(f"{file}: {error}.", next_step="Correct or remove it.") from error


def _parsed(document: dict[str, Any]) -> Profiles:
    tables = document.get("profiles", {})
    by_name = {name: Profile(name=name, **table) for name, table in tables.items()}
    return Profiles(document.get("default"), by_name)


def _write(profiles: Profiles) -> None:
    lines = [f"default = {json.dumps(profiles.usual)}"] if profiles.usual else []
    for each in profiles.by_name.values():
        lines += ["", f"[profiles.{json.dumps(each.name)}]"]
        said = {"url": each.url, "ca": each.ca, "token_file": each.token_file, "token": each.token}
        lines += [f"{name} = {json.dumps(value)}" for name, value in said.items() if value]
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    with open(new, "w", encoding="utf-8", opener=_for_its_owner) as written:
        written.write("\n".join(lines) + "\n")
    new.replace(file)


def _for_its_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def read_token(file: Path) -> str:
    """Return what a file of a token holds. Raises `Invalid`."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Invalid(
            f"The token cannot be read ({reason}: {file}).", next_step="Name a file with --token-file."
        ) from error


def _keyring(use: Callable[[Any], Any]) -> Any:
    """Return what comes of asking the system's keyring; None where there is none."""
    try:
        import keyring  # noqa: PLC0415 - optional: `pip install everleaf[keyring]`
        from keyring.errors import KeyringError, NoKeyringError  # noqa: PLC0415 - the same
    except ImportError:
        return None
    try:
        return use(keyring)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise Unavailable(
            f"The keyring gives no answer ({type(error).__name__}).",
            next_step="Unlock it, or set EVERLEAF_TOKEN.",
        ) from error


def known_profiles(incomplete: str) -> list[str]:
    """Return the names of profiles that begin like this, for the shell's completion."""
    try:
        return [name for name in read().by_name if name.startswith(incomplete)]
    except Invalid:
        return []


Name = Annotated[str, typer.Argument(help="Of the profile.", autocompletion=known_profiles)]


@app.command("list")
def list_profiles() -> None:
    """List the profiles; the usual one has a star."""
    profiles = read()
    for each in profiles.by_name.values():
        typer.echo(f"{'*' if each.name == profiles.usual else ' '} {each.name}  {each.url}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="As you will call it: --profile NAME.")],
    *,
    url: Annotated[str, typer.Option(help="Of the platform, as https://everleaf.example.com")],
    ca: Annotated[Path | None, typer.Option(help="A PEM file of the CA that signed its certificate.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Where the token is kept already.")] = None,
) -> None:
    """Add or replace a profile. The token or API key is asked for, or read from standard input.

    It goes into the system's keyring where there is one (`pip install 'everleaf[keyring]'`), else into the
    file of profiles, which only you can read.
    """
    token = None
    if token_file is None:
        token = (getpass("Token or API key: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
        if not token:
            raise Invalid("There is no token.", next_step="Write it to standard input, or name --token-file.")
        # Some keyrings keep nothing, by their owner's wish: only what can be read again is kept.
        if _keyring(
            lambda keyring: keyring.set_password(KEYRING, name, token) or keyring.get_password(KEYRING, name)
        ):
            token = None
    profiles = read()
    made = Profile(
        name=name,
        url=url,
        ca=str(ca.resolve()) if ca else None,
        token_file=str(token_file.resolve()) if token_file else None,
        token=token,
    )
    _write(Profiles(profiles.usual or name, {**profiles.by_name, name: made}))
    kept = "in its own file" if token_file else f"in {path()}" if token else "in the keyring"
    typer.echo(f"Added {name}: the token is {kept}.")


@app.command()
def use(name: Name) -> None:
    """Take this profile where none is named."""
    profiles = read()
    _write(Profiles(profiles.named(name).name, profiles.by_name))


@app.command()
def remove(name: Name) -> None:
    """Forget a profile and its token."""
    profiles = read()
    profiles.named(name)
    _keyring(lambda keyring: keyring.get_password(KEYRING, name) and keyring.delete_password(KEYRING, name))
    left = {each: profile for each, profile in profiles.by_name.items() if each != name}
    _write(Profiles(None if profiles.usual == name else profiles.usual, left))
