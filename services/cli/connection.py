"""Which platform is meant, and who asks it: options first, then the environment, then a profile, then this machine's own."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from everleaf import Client
from services.cli import profiles
from services.cli.profiles import Profile, read_token
from shared.errors import Invalid
from shared.tls import client_context

URL, TOKEN, PROFILE = "EVERLEAF_URL", "EVERLEAF_TOKEN", "EVERLEAF_PROFILE"
VARIABLES = (URL, TOKEN, f"{TOKEN}_FILE", PROFILE)
"""What only these commands read, beside the settings of the platform."""
_HERE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What options say about the platform; each may be left out."""

    profile: str | None = None
    url: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Where to ask, and with which token or API key."""

    url: str
    secret: str
    ca: Path | None


def connect(asked: Asked, *, transport: httpx.BaseTransport | None = None) -> Client:
    """Return a client of the platform that is meant. Raises `Invalid`, `NotFound` or `NotSafe`."""
    platform = find(asked, os.environ)
    verify = client_context(platform.ca) if platform.ca else True
    return Client(platform.url, platform.secret, verify=verify, transport=transport)


def find(asked: Asked, environ: Mapping[str, str]) -> Platform:
    """Return the platform that is meant."""
    known = profiles.read()
    name = asked.profile or environ.get(PROFILE)
    url = asked.url or environ.get(URL)
    if name is None and url is None:
        name = known.usual
    profile = known.named(name) if name else None
    if profile is None:
        return _own(asked, environ, url)
    secret = _given(asked, environ) or _of(profile, url)
    return Platform(url=url or profile.url, secret=secret, ca=Path(profile.ca) if profile.ca else None)


def _given(asked: Asked, environ: Mapping[str, str]) -> str | None:
    if asked.token_file is not None:
        return read_token(asked.token_file)
    if environ.get(TOKEN):
        return environ[TOKEN].strip()
    file = environ.get(f"{TOKEN}_FILE")
    return read_token(Path(file)) if file else None


def _of(profile: Profile, url: str | None) -> str:
    if url is not None and url.rstrip("/") != profile.url.rstrip("/"):
        raise Invalid(
            f"The token of the profile {profile.name} is for {profile.url}, and is sent nowhere else.",
            next_step=f"Leave out --url and {URL}, or set {TOKEN}.",
        )
    return profile.secret()


def _own(asked: Asked, environ: Mapping[str, str], url: str | None) -> Platform:
    """Return the platform that the settings of this machine name, with the token of its first start."""
    from services.settings import ProgramSettings  # noqa: PLC0415 - whoever has a profile needs no settings
    from shared.settings import SettingsSource  # noqa: PLC0415 - the same

    toml_path = Path(environ.get("EVERLEAF_CONFIG", "everleaf.toml"))
    settings = SettingsSource.read(environ, toml_path=toml_path).load(ProgramSettings)
    where = url or settings.gateway_url
    secret = _given(asked, environ)
    if secret is None:
        if url is not None and url != settings.gateway_url and urlsplit(url).hostname not in _HERE:
            raise Invalid(
                f"There is no token for {url}.",
                next_step=f"Set {TOKEN}, name --token-file, or add a profile with `everleaf profiles add`.",
            )
        secret = read_token(settings.data_dir / "admin.token")
    return Platform(url=where, secret=secret, ca=settings.gateway_tls_ca)
