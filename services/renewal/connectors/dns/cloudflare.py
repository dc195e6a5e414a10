"""Cloudflare's DNS, by its API v4, with a token that may edit the zone's records (Zone:DNS:Edit, and Zone:Zone:Read)."""

import json
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from services.renewal.connectors import NotNow
from services.renewal.connectors.dns import DnsPart
from services.renewal.connectors.dns.web import told
from services.renewal.connectors.web import AuthorityApi
from shared.errors import Refused
from shared.web import Answer

TTL = 60
"""The least that every plan takes (API reference, DNS records: `ttl`)."""
_IDENTICAL = 81058
"""'An identical record already exists.'"""
_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class CloudflareOptions(DnsPart):
    """The account's zones; the API token is the secret."""

    kind: Literal["cloudflare"]
    zone_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{32}$",
        description="Of the one zone, for a token that may not list zones.",
        examples=["023e105f4ecef8ad9ca31a8372d0c353"],
    )
    api_url: str = Field(
        "https://api.cloudflare.com/client/v4", pattern=r"^https://[^\s?#@]+$", max_length=500
    )
    ca_pem: str | None = Field(None, max_length=20_000, description="Trust `api_url` by these roots too.")


class _Named(BaseModel):
    id: str
    name: str = ""
    content: str = ""


class _Fault(BaseModel):
    code: int
    message: str = ""


class _Document(BaseModel):
    success: bool = False
    errors: list[_Fault] = []
    result: Any = None


class Cloudflare:
    """The zones of an account."""

    def __init__(self, options: CloudflareOptions, *, api: AuthorityApi) -> None:
        """`api` says who we are."""
        self._options = options
        self._api = api
        self._zones: dict[str, str] = {}

    async def add(self, name: str, value: str) -> None:
        """Add a TXT record. Raises `Refused` or `NotNow`."""
        host = name.rstrip(".")
        zone = await self._zone_of(host)
        record = {"type": "TXT", "name": host, "content": f'"{value}"', "ttl": TTL}
        await self._ask("POST", f"/zones/{zone}/dns_records", accepted=_IDENTICAL, json=record)

    async def remove(self, name: str, value: str) -> None:
        """Take this one TXT record out, if it is there. Raises `Refused` or `NotNow`."""
        host = name.rstrip(".")
        zone = await self._zone_of(host)
        query = {"type": "TXT", "name": host, "per_page": "100"}
        for record in await self._list(f"/zones/{zone}/dns_records", query):
            if record.content.strip('"') == value:
                await self._ask("DELETE", f"/zones/{zone}/dns_records/{record.id}")

    async def _zone_of(self, host: str) -> str:
        """Return the id of the zone that is nearest above a name."""
        if self._options.zone_id is not None:
            return self._options.zone_id
        labels = host.split(".")
        for start in range(len(labels) - 1):
            zone = ".".join(labels[start:])
            if zone not in self._zones:
                found = await self._list("/zones", {"name": zone})
                self._zones[zone] = found[0].id if found else ""
            if self._zones[zone]:
                return self._zones[zone]
        raise Refused(
            f"Cloudflare has no zone of {host} that the token may see.",
            next_step="Give the token Zone:Zone:Read and Zone:DNS:Edit of the zone, or set `zone_id`.",
        )

    async def _list(self, path: str, query: dict[str, str]) -> list[_Named]:
        found = await self._ask("GET", path, params=query)
        try:
            return [_Named.model_validate(each) for each in found.result or []]
        except (ValidationError, TypeError) as error:
            raise NotNow("Cloudflare's list is not one.") from error

    async def _ask(
        self, method: str, path: str, *, accepted: int | None = None, **question: Any
    ) -> _Document:
        answer = await told(self._api, "Cloudflare", method, path, **question)
        document = _read(answer)
        codes = [each.code for each in document.errors]
        if document.success or (accepted is not None and accepted in codes):
            return document
        said = "; ".join(f"{each.code} {each.message[:100]}" for each in document.errors[:3]) or answer.status
        is_login = answer.status in _LOGIN
        raise Refused(
            f"Cloudflare refused ({answer.status if is_login else said}).",
            next_step="Give the token Zone:Zone:Read and Zone:DNS:Edit of the zone, or give the authority another one."
            if is_login
            else "Look at the zone's records, and put right what it says.",
        )


def _read(answer: Answer) -> _Document:
    try:
        return _Document.model_validate(json.loads(answer.body))
    except (ValueError, ValidationError) as error:
        raise NotNow(f"Cloudflare's answer ({answer.status}) is not what its API says.") from error
