"""EJBCA by its REST API: one end entity for each order, and our PKCS#10.

The end entity's name is made of the order's key, so that a certificate whose answer was lost is found by it.
"""

import base64
import hmac
import json
import re
import secrets as random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, model_validator

from services.renewal.connectors import (
    Identity,
    Issued,
    Listed,
    Network,
    NotNow,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.chains import (
    chain_of,
    is_for,
    pem_of,
    roots_of,
    serial_of,
)
from services.renewal.connectors.vendor import HeaderSecret, VendorOptions, check_named
from services.renewal.connectors.web import AuthorityApi, authority_api, understood
from shared import x509
from shared.errors import Refused
from shared.events.renewal import RevocationReason
from shared.tls import load_identity
from shared.web import trusting

ASK_AGAIN = timedelta(minutes=10)
"""While a person has not yet approved."""
PER_PAGE = 500
"""What EJBCA gives in one answer, unless it is told to give more."""
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
_SECOND = timedelta(seconds=1)


class EjbcaOptions(VendorOptions):
    """Where EJBCA is, and by which of its profiles one of its CAs is to issue."""

    url: str = Field(
        pattern=r"^https://[^?#@\s]+$",
        max_length=300,
        description="Of its REST API.",
        examples=["https://ejbca.example.com/ejbca/ejbca-rest-api"],
    )
    authority: _Name = Field(description="The name of the CA.", examples=["Issuing CA 1"])
    end_entity_profile: _Name = Field(examples=["Servers"])
    certificate_profile: _Name | None = Field(None, description="Where the profile names none.")


class EjbcaSecrets(Part):
    """A client certificate with its key, in PEM, or an OAuth access token."""

    certificate: SecretStr | None = Field(None, max_length=50_000, description="PEM, the client's own first.")
    private_key: SecretStr | None = Field(None, max_length=50_000, description="PEM, not encrypted.")
    token: HeaderSecret | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        has_identity = self.certificate is not None and self.private_key is not None
        has_part = self.certificate is not None or self.private_key is not None
        if (self.token is not None) == has_identity or has_identity != has_part:
            raise ValueError("give either certificate and private_key, or token")
        return self


class _Enrolled(BaseModel):
    certificate: str
    certificate_chain: list[str] = []


class _State(BaseModel):
    """What waits for approval; EJBCA tells the number in words alone, and may leave it out."""

    request_id: int | None = None


class Ejbca:
    """One CA of an EJBCA."""

    kind: ClassVar[str] = "ejbca"
    summary: ClassVar[str] = "A CA of an EJBCA, by its REST API."
    options_type: ClassVar[type[Part]] = EjbcaOptions
    secrets_type: ClassVar[type[Part]] = EjbcaSecrets
    decides_lifetime: ClassVar[bool] = True
    """The certificate profile does."""

    def __init__(self, api: AuthorityApi, options: EjbcaOptions, *, private: bytes) -> None:
        self._api = api
        self._options = options
        self._private = private

    @classmethod
    def found(cls, options: EjbcaOptions, *, secrets: EjbcaSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make what the passwords of end entities come from. Raises `Invalid`."""
        _context(options, secrets)
        return Identity(private=random.token_bytes(32), roots=roots_of(options.root_pem))

    @classmethod
    def check_terms(cls, options: EjbcaOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where no certificate profile is named, or a challenge is asked for."""
        check_named(
            terms, options.certificate_profile, what="a certificate profile", option="certificate_profile"
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: EjbcaOptions, *, secrets: EjbcaSecrets, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        """Open a client."""
        headers = {}
        if secrets.token is not None:
            headers["Authorization"] = f"Bearer {secrets.token.get_secret_value()}"
        context = _context(options, secrets)
        async with authority_api(network, options.url, headers=headers, context=context) as api:
            yield cls(api, options, private=identity.private)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Enrol, or look what has become of it. Raises `Refused` or `NotNow`."""
        known = _State.model_validate_json(state) if state is not None else None
        if known is not None or resumed:
            issued = await self._issued(request)
            if issued is not None:
                return issued
        if known is None:
            return await self._enrol(request)
        return await self._finish(request, known)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - it is our CA's, or it is refused
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke; EJBCA says 409 of one that is revoked."""
        subject = await self._subject()
        path = f"/v1/certificate/{quote(subject, safe='')}/{serial_of(certificate)}/revoke"
        params = {"reason": _REASONS.get(reason, reason.name)}
        await self._api.ask("PUT", path, accepted=(HTTPStatus.CONFLICT,), params=params)

    async def issued_since(self, since: datetime) -> AsyncGenerator[Listed]:
        """Yield what the CA has issued since then, revoked or not."""
        told: set[bytes] = set()
        while True:
            after = {"property": "ISSUED_DATE", "operation": "AFTER", "value": _moment(since - _SECOND)}
            rows = await self._search(after)
            fresh = [each for each in map(_listed, rows) if each is not None and each.certificate not in told]
            for each in fresh:
                if each.issued_at >= since:
                    yield each
                told.add(each.certificate)
            if len(rows) < PER_PAGE:
                return
            if not fresh:
                raise NotNow("It issued too many certificates in one second to be listed.")
            since = max(since, fresh[-1].issued_at)

    async def _enrol(self, request: Request) -> Progress:
        asked = {
            "certificate_request": pem_of(request.csr),
            "certificate_profile_name": request.terms.profile or self._options.certificate_profile,
            "end_entity_profile_name": self._options.end_entity_profile,
            "certificate_authority_name": self._options.authority,
            "username": _username(request),
            "password": self._password(request),
            "include_chain": True,
        }
        answer = await self._api.ask("POST", "/v1/certificate/pkcs10enroll", json=asked)
        if answer.status == HTTPStatus.ACCEPTED:
            number = re.search(r"\d+", _message(answer.body))
            state = _State(request_id=int(number[0]) if number else None)
            return _waiting(state, text="EJBCA waits for somebody to approve the request.")
        return self._chained(understood(_Enrolled, answer))

    async def _finish(self, request: Request, state: _State) -> Progress:
        """Have a request that was approved issued."""
        if state.request_id is None:
            return _waiting(state)
        path = f"/v1/certificate/{state.request_id}/finalize"
        asked = {"password": self._password(request), "response_format": "DER"}
        answer = await self._api.ask("POST", path, json=asked)
        if answer.status == HTTPStatus.ACCEPTED:
            return _waiting(state)
        return await self._with_issuers(_decoded(understood(_Enrolled, answer).certificate))

    async def _issued(self, request: Request) -> Issued | None:
        """Return the certificate of the order's end entity, where there is one."""
        username = {"property": "QUERY", "operation": "EQUAL", "value": _username(request)}
        for row in await self._search(username):
            der = _decoded(row.get("base64Cert"))
            if is_for(der, request.csr):
                return await self._with_issuers(der)
        return None

    async def _search(self, criterion: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        asked = {
            "pagination": {"page_size": PER_PAGE, "current_page": 1},
            "sort": {"property": "ISSUED_DATE", "operation": "ASC"},
            "criteria": [
                {"property": "CA", "operation": "EQUAL", "value": self._options.authority},
                criterion,
            ],
        }
        answer = await self._api.ask("POST", "/v2/certificate/search", json=asked)
        return understood(_Found, answer).certificates

    async def _with_issuers(self, der: bytes) -> Issued:
        path = f"/v1/ca/{quote(await self._subject(), safe='')}/certificate/download"
        answer = await self._api.ask("GET", path, headers={"Accept": "*/*"})
        return Issued(chain=chain_of(der, x509.from_pem(answer.body.decode(errors="replace"))))

    async def _subject(self) -> str:
        """Return the distinguished name of our CA, as EJBCA writes it."""
        for each in (await self._api.read(_Authorities, "GET", "/v1/ca")).certificate_authorities:
            if each.name == self._options.authority:
                return each.subject_dn
        raise Refused(
            f"There is no CA {self._options.authority}, or none for this login.",
            next_step="Give its role access to the CA, or correct `authority`.",
        )

    def _chained(self, told: _Enrolled) -> Issued:
        return Issued(chain=chain_of(_decoded(told.certificate), map(_decoded, told.certificate_chain)))

    def _password(self, request: Request) -> str:
        """Return the end entity's password: the same one whenever it is asked for, and kept nowhere."""
        return hmac.new(self._private, request.key.encode(), sha256).hexdigest()


class _Found(BaseModel):
    certificates: list[dict[str, Any]] = []


class _Authority(BaseModel):
    name: str
    subject_dn: str


class _Authorities(BaseModel):
    certificate_authorities: list[_Authority] = []


_REASONS = {RevocationReason.PRIVILEGE_WITHDRAWN: "PRIVILEGES_WITHDRAWN"}
"""Where EJBCA's word is not RFC 5280's."""


def _context(options: EjbcaOptions, secrets: EjbcaSecrets) -> ssl.SSLContext:
    context = trusting(options.trusted_ca)
    if secrets.certificate is not None and secrets.private_key is not None:
        load_identity(
            context,
            certificate=secrets.certificate.get_secret_value(),
            key=secrets.private_key.get_secret_value(),
        )
    return context


def _username(request: Request) -> str:
    return f"everleaf-{request.key}"


def _waiting(state: _State, *, text: str | None = None) -> Pending:
    return Pending(state=state.model_dump_json().encode(), step="wait", text=text, retry_after=ASK_AGAIN)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body).get("error_message"))
    except (ValueError, AttributeError):
        return ""


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(row: Mapping[str, Any]) -> Listed | None:
    der = _decoded(row.get("base64Cert"))
    return Listed(certificate=der, issued_at=x509.read(der).not_before) if der else None


def _decoded(text: object) -> bytes:
    """Return DER: EJBCA searches give the Base64 of their Base64; nothing where it keeps no certificate."""
    try:
        once = base64.b64decode(str(text or ""))
        return once if once[:1] in (b"\x30", b"") else base64.b64decode(once)
    except ValueError:
        return b""
