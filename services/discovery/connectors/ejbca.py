"""What the CAs of an EJBCA have issued, by its REST API: active certificates, found by the time of their issue.

A page is a window of time, made smaller until what was issued in it comes in one answer. Pages by number would shift
while certificates are issued, expire and are revoked, and their order is not settled among those of one second.
"""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self, cast
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.issued import (
    PER_PAGE,
    Issued,
    Issuers,
    holdings_of,
    read_pem,
    serial_of,
    unreadable,
)
from services.discovery.connectors.web import NotPermitted, WebApi, trusting, web_api
from services.discovery.domain.holdings import Gap, Page
from shared.clock import utc_now
from shared.errors import EverleafError, Invalid, NotFound, Refused, Unavailable
from shared.tls import load_identity

MOST_IN_A_SECOND = 500
"""Certificates that one CA may issue in one second; EJBCA gives no more in an answer, unless it is told to."""
_LATEST = timedelta(days=3652)
"""No certificate begins later than so long from now."""
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class EjbcaSettings(BaseModel):
    """Where EJBCA is, and which of its CAs are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        pattern=r"^https://[^?#@\s]+$",
        max_length=300,
        description="Of its REST API.",
        examples=["https://ejbca.example.com/ejbca/ejbca-rest-api"],
    )
    authorities: list[_Name] = Field(
        min_length=1,
        max_length=200,
        description="Names of the CAs to read; one that the login may not see is a gap.",
        examples=[["Issuing CA 1"]],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )

    @property
    def host(self) -> str:
        """Return the host's name."""
        return urlsplit(self.url).hostname or ""


class EjbcaCredential(BaseModel):
    """A client certificate with its key, in PEM, or an OAuth access token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: str | None = Field(None, max_length=50_000, description="PEM, the client's own first.")
    private_key: SecretStr | None = Field(None, max_length=50_000, description="PEM, not encrypted.")
    token: SecretStr | None = Field(None, min_length=1, max_length=20_000)

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        is_identity = self.certificate is not None and self.private_key is not None
        is_part = self.certificate is not None or self.private_key is not None
        if (self.token is not None) == is_identity or is_identity != is_part:
            raise ValueError("give either certificate and private_key, or token")
        if self.token is not None and not _is_word(self.token.get_secret_value()):
            raise ValueError("the token is none that fits in a header")
        if self.certificate is not None and self.private_key is not None:
            try:
                load_identity(
                    trusting(None), certificate=self.certificate, key=self.private_key.get_secret_value()
                )
            except Invalid as error:
                raise ValueError(str(error)) from None
        return self


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Seconds since 1970 in which certificates began to be valid: from the first to before the last."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Ejbca:
    """An EJBCA whose certificates we may search."""

    kind: ClassVar[str] = "ejbca"
    summary: ClassVar[str] = "Certificates that the CAs of an EJBCA have issued, by its REST API."
    settings_type: ClassVar[type[BaseModel]] = EjbcaSettings
    credential_type: ClassVar[type[BaseModel]] = EjbcaCredential

    def __init__(self, api: WebApi, *, settings: EjbcaSettings, subjects: Mapping[str, str]) -> None:
        """`subjects` are the distinguished names of the CAs that we may see, by their names."""
        self._api = api
        self._settings = settings
        self._subjects = subjects

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Connect, and learn which CAs there are for us: who is not known may not even ask."""
        settings = cast("EjbcaSettings", access.settings)
        credential = cast("EjbcaCredential", access.credential)
        context, headers = trusting(settings.trusted_ca), {}
        if credential.token is not None:
            headers["Authorization"] = f"Bearer {credential.token.get_secret_value()}"
        elif credential.certificate is not None and credential.private_key is not None:
            key = credential.private_key.get_secret_value()
            load_identity(context, certificate=credential.certificate, key=key)
        async with web_api(access, settings.url, headers=headers, context=context) as api:
            yield cls(api, settings=settings, subjects=_subjects(await api.get("/v1/ca")))

    async def check(self) -> Sequence[Check]:
        """Say which CAs may be searched, and which others there are."""
        checks = [await self._check(name) for name in self._authorities]
        others = sorted(self._subjects.keys() - set(self._authorities))
        if others:
            text = f"It may see these too, and they are not in `authorities`: {', '.join(others)[:500]}."
            checks.append(Check(name="others", ok=True, text=text))
        return checks

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield what each CA has issued, by its name and the time of issue."""
        begun, second = _read_position(after)
        for name in self._authorities:
            if name < begun:
                continue
            if name not in self._subjects:
                yield Page(gaps=(self._unseen(name),), position=_position(name, None))
                continue
            start = second if name == begun else 0
            if start is None:
                continue
            issuers = await self._issuers(name)
            try:
                async for window, found in self._windows(name, start=start):
                    yield self._page(name, window, found, issuers=issuers)
            except NotPermitted as error:
                yield Page(gaps=(_refused(name, error),), position=_position(name, None))
        yield Page()

    @property
    def _authorities(self) -> Sequence[str]:
        return sorted(set(self._settings.authorities))

    async def _check(self, name: str) -> Check:
        if name not in self._subjects:
            return Check(name=name, ok=False, text=self._unseen(name).next_step)
        try:
            await self._search(name, _Window(start=0, end=1), most=1)
        except NotPermitted as error:
            return Check(name=name, ok=False, text=error.detail)
        return Check(name=name, ok=True, text="Its certificates may be searched.")

    def _unseen(self, name: str) -> Gap:
        return Gap(
            scope=_scope(name),
            reason=f"There is no CA {name}, or none for this login.",
            next_step=f"Give its role access to the CA {name}, or correct `authorities`.",
        )

    async def _issuers(self, name: str) -> Issuers:
        """Return the chain of a CA; a CA that is not active has none to be downloaded."""
        path = f"/v1/ca/{quote(self._subjects[name], safe='')}/certificate/download"
        try:
            answer = await self._api.ask("GET", path, headers={"Accept": "*/*"})
        except (Refused, NotFound):
            return Issuers()
        return Issuers(read_pem([answer.body.decode(errors="replace")]))

    async def _windows(
        self, name: str, *, start: int
    ) -> AsyncGenerator[tuple[_Window, Sequence[Mapping[str, Any]]]]:
        """Yield windows of time from this second on, and all that was issued in each."""
        end = int((utc_now() + _LATEST).timestamp())
        length = end - start
        while start < end:
            window = _Window(start=start, end=min(start + length, end))
            most = PER_PAGE if window.length > 1 else MOST_IN_A_SECOND
            found = await self._search(name, window, most=most)
            if len(found) >= most and window.length > 1:
                length = window.length // 2
                continue
            yield window, found
            start = window.end
            if len(found) < PER_PAGE // 2:
                length *= 2

    async def _search(self, name: str, window: _Window, *, most: int) -> Sequence[Mapping[str, Any]]:
        """Return up to so many of the active ones of a window. EJBCA takes neither bound in."""
        criteria = [
            _criterion("CA", "EQUAL", name),
            _criterion("STATUS", "EQUAL", "CERT_ACTIVE"),
            _criterion("EXPIRE_DATE", "AFTER", _moment(int(utc_now().timestamp()))),
            _criterion("ISSUED_DATE", "AFTER", _moment(max(window.start - 1, 0))),
            _criterion("ISSUED_DATE", "BEFORE", _moment(window.end)),
        ]
        asked = {
            "pagination": {"page_size": most, "current_page": 1},
            "sort": {"property": "ISSUED_DATE", "operation": "ASC"},
            "criteria": criteria,
        }
        answer = await self._api.ask("POST", "/v2/certificate/search", json=asked)
        return _certificates(answer.json())

    def _page(
        self, name: str, window: _Window, found: Sequence[Mapping[str, Any]], *, issuers: Issuers
    ) -> Page:
        read = [_issued(name, each) for each in found if _begins_in(window, each)]
        holdings, gaps = holdings_of(
            [each for each in read if isinstance(each, Issued)],
            address=self._settings.host,
            issuers=issuers,
            now=utc_now(),
        )
        gaps += [each for each in read if isinstance(each, Gap)]
        if window.length == 1 and len(found) >= MOST_IN_A_SECOND:
            reason = f"It issued more than {MOST_IN_A_SECOND} certificates at {_moment(window.start)}."
            gaps.append(Gap(scope=_scope(name), reason=reason, next_step="They are not all shown."))
        return Page(holdings=tuple(holdings), gaps=tuple(gaps), position=_position(name, window.end))


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _subjects(told: Any) -> Mapping[str, str]:
    listed = told.get("certificate_authorities") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise _nonsense()
    pairs = ((each.get("name"), each.get("subject_dn")) for each in listed if isinstance(each, dict))
    return {name: subject for name, subject in pairs if isinstance(name, str) and isinstance(subject, str)}


def _certificates(told: Any) -> Sequence[Mapping[str, Any]]:
    listed = told.get("certificates") if isinstance(told, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _nonsense()
    return listed


def _nonsense() -> Unavailable:
    return Unavailable(
        "The answer is not one of EJBCA.", next_step="Check that the address is that of its REST API."
    )


def _criterion(name: str, operation: str, value: str) -> Mapping[str, str]:
    return {"property": name, "value": value, "operation": operation}


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _begins_in(window: _Window, each: Mapping[str, Any]) -> bool:
    """Return whether it is of this window, as far as it says so."""
    begins = each.get("notBefore")
    return not isinstance(begins, int) or window.start <= begins // 1000 < window.end


def _issued(name: str, each: Mapping[str, Any]) -> Issued | Gap:
    serial = serial_of(str(each.get("serialNumber")))
    if serial is None:
        step = "Look for it at the CA."
        return Gap(scope=_scope(name), reason="One has no serial number.", next_step=step)
    path, der = f"{_scope(name)}/{serial}", _decoded(each.get("base64Cert"))
    if der is None:
        return unreadable(path, "EJBCA does not keep it, only that it was issued.")
    return Issued(path=path, der=der)


def _decoded(text: object) -> bytes | None:
    """Return DER: EJBCA gives the Base64 of its Base64, and may be mended one day."""
    if not isinstance(text, str) or not text:
        return None
    try:
        once = base64.b64decode(text)
        return once if once[:1] == b"\x30" else base64.b64decode(once)
    except ValueError:
        return b""  # so that it becomes a gap which says that it is no certificate


def _scope(name: str) -> str:
    """Return what the paths of a CA's certificates begin with."""
    return f"{name.replace('%', '%25').replace('/', '%2F')}/issued"


def _refused(name: str, error: EverleafError) -> Gap:
    step = f"Give its role the right to view certificates of the CA {name}."
    return Gap(scope=_scope(name), reason=error.detail, next_step=step)


def _position(name: str, second: int | None) -> str:
    return json.dumps([name, second])


def _read_position(text: str | None) -> tuple[str, int | None]:
    name, second = json.loads(text) if text else ("", 0)
    return name, second
