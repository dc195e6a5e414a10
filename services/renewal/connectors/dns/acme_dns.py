"""An acme-dns server (github.com/joohoi/acme-dns): a small name server for challenges alone, with an HTTP API.

Its zone has one name for each registration, and `_acme-challenge` of the names to be shown is a CNAME to it. It keeps
the two newest values of a name and has no way to take one out.
"""

import json
from typing import Literal

import httpx
from pydantic import Field

from services.renewal.connectors import NotNow
from services.renewal.connectors.dns import DnsPart
from services.renewal.connectors.dns.web import told
from services.renewal.connectors.web import AuthorityApi
from shared.errors import Refused


class AcmeDnsOptions(DnsPart):
    """A registration at an acme-dns server; its password is the secret."""

    kind: Literal["acme-dns"]
    url: str = Field(pattern=r"^https?://[^\s?#@]+$", max_length=500, examples=["https://auth.example.org"])
    fulldomain: str = Field(
        min_length=1, max_length=253, examples=["8e5700ea-a4bf-41c7-8a77-e990661dcc6a.auth.example.org"]
    )
    subdomain: str = Field(min_length=1, max_length=100, examples=["8e5700ea-a4bf-41c7-8a77-e990661dcc6a"])
    username: str = Field(min_length=1, max_length=100, examples=["c36f50e8-4632-44f0-83fe-e070fef28a10"])
    ca_pem: str | None = Field(None, max_length=20_000, description="Trust the server by these roots too.")


class AcmeDns:
    """One registration."""

    def __init__(self, options: AcmeDnsOptions, *, api: AuthorityApi) -> None:
        """`api` says who we are."""
        self._options = options
        self._api = api

    async def add(self, name: str, value: str) -> None:
        """Let the registration's name have this value beside the one before. Raises `Refused` or `NotNow`."""
        self._check(name)
        update = {"subdomain": self._options.subdomain, "txt": value}
        answer = await told(self._api, "acme-dns", "POST", "/update", json=update)
        if not httpx.codes.is_success(answer.status):
            raise Refused(
                f"acme-dns refused the record ({answer.status}{_said(answer.body)}).",
                next_step="Check the registration's subdomain, user name and password, and from where it may be used.",
            )
        if _document(answer.body).get("txt") != value:
            raise NotNow("acme-dns did not say that it has the record.")

    async def remove(self, name: str, value: str) -> None:
        """Leave it: newer ones push it out."""

    def _check(self, name: str) -> None:
        mine = self._options.fulldomain.rstrip(".").lower()
        if name.rstrip(".").lower() != mine:
            raise Refused(
                f"{name} is not the name of the acme-dns registration.",
                next_step=f"Make `_acme-challenge` of the name a CNAME to {mine}, which the resolver sees.",
            )


def _document(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _said(body: bytes) -> str:
    error = str(_document(body).get("error", ""))[:50]
    return f", {error}" if error.isprintable() and error else ""
