"""Sectigo Certificate Manager by its REST API (SSL certificates): enrol, follow, collect, revoke.

Each request carries the order's key in `comments`, by which one whose answer was lost is found again.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field

from services.renewal.connectors import Identity, Issued, Network, Part, Pending, Progress, Request, Terms
from services.renewal.connectors.chains import chain_for_pem, common_name, pem_of, refused_reason, serial_of
from services.renewal.connectors.vendor import HeaderSecret, Vendor, VendorOptions, take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, refuse
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason

ASK_AGAIN = timedelta(minutes=5)
PER_PAGE = 100
_ENDED = ("rejected", "declined", "invalid", "revoked", "expired")
_ISSUED = ("issued", "downloaded")
_REASONS = {
    RevocationReason.UNSPECIFIED: "0",
    RevocationReason.KEY_COMPROMISE: "1",
    RevocationReason.AFFILIATION_CHANGED: "3",
    RevocationReason.SUPERSEDED: "4",
    RevocationReason.CESSATION_OF_OPERATION: "5",
}
"""RFC 5280 §5.3.1, those that Certificate Manager takes."""


class SectigoOptions(VendorOptions):
    """Which organization enrols for which profile."""

    url: str = Field(
        "https://cert-manager.com/api",
        pattern=r"^https://[^?#@\s]+$",
        max_length=300,
        description="Of the REST API: another one in other regions.",
    )
    customer_uri: str = Field(
        pattern=r"^[\w.-]+$", max_length=100, description="The last part of the address you log in at."
    )
    organization_id: int = Field(ge=1, description="`orgId` of the organization or department.")
    certificate_type: int | None = Field(
        None, ge=1, description="The id of the SSL certificate profile; where the profile names none."
    )


class SectigoSecrets(Part):
    """An administrator for whom enrolment and revocation by the API are allowed."""

    login: HeaderSecret
    password: HeaderSecret


class _Enrolled(BaseModel):
    sslId: int  # noqa: N815 - Sectigo's name


class _Request(BaseModel):
    sslId: int  # noqa: N815 - Sectigo's name
    status: str = ""
    comments: str | None = None


class _State(BaseModel):
    number: int


class Sectigo(Vendor):
    """An organization at Sectigo Certificate Manager."""

    kind: ClassVar[str] = "sectigo"
    summary: ClassVar[str] = "Sectigo Certificate Manager, by its REST API."
    options_type: ClassVar[type[Part]] = SectigoOptions
    secrets_type: ClassVar[type[Part]] = SectigoSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, api: AuthorityApi, options: SectigoOptions) -> None:
        self._api = api
        self._options = options

    @classmethod
    def check_terms(cls, options: SectigoOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where no certificate profile is named by its number, or a challenge is asked for."""
        take_no_challenge(terms)
        if options.certificate_type is None and not (terms.profile or "").isdigit():
            raise Invalid(
                "Certificate Manager issues by a certificate profile, which has a number.",
                next_step="Name it in the profile or in `options.certificate_type`; GET /ssl/v1/types lists them.",
            )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: SectigoOptions,
        *,
        secrets: SectigoSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Open a client."""
        headers = {
            "login": secrets.login.get_secret_value(),
            "password": secrets.password.get_secret_value(),
            "customerUri": options.customer_uri,
        }
        async with authority_api(network, options.url, headers=headers, trusted_ca=options.trusted_ca) as api:
            yield cls(api, options)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Enrol, or follow the request. Raises `Refused` or `NotNow`."""
        if state is not None:
            return await self._follow(request, _State.model_validate_json(state).number)
        enrolled = await self._enrolled(request) if resumed else None
        if enrolled is not None:
            return _kept(enrolled, text=f"Request {enrolled} was enrolled before.")
        return await self._enrol(request)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - serial numbers are Sectigo's own
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke by the serial number."""
        if reason not in _REASONS:
            raise refused_reason(reason, _REASONS)
        path = f"/ssl/v1/revoke/serial/{serial_of(certificate).upper()}"
        asked = {"reasonCode": _REASONS[reason], "reason": f"Everleaf: {reason}"}
        answer = await self._api.ask("POST", path, accepted=(HTTPStatus.BAD_REQUEST,), json=asked)
        if answer.status == HTTPStatus.BAD_REQUEST and b"revoked" not in answer.body.lower():
            refuse(answer, path)

    async def _enrol(self, request: Request) -> Pending:
        profile = request.terms.profile
        asked: dict[str, Any] = {
            "orgId": self._options.organization_id,
            "csr": pem_of(request.csr),
            "certType": int(profile) if profile else self._options.certificate_type,
            "term": request.terms.lifetime.days,
            "numberServers": 0,
            "serverType": -1,
            "subjAltNames": ",".join(request.names),
            "comments": _comments(request),
        }
        told = await self._api.read(_Enrolled, "POST", "/ssl/v1/enroll", json=asked)
        return _kept(told.sslId, text=f"Request {told.sslId} is enrolled.")

    async def _follow(self, request: Request, number: int) -> Progress:
        told = await self._api.read(_Request, "GET", f"/ssl/v1/{number}")
        status = told.status.lower()
        if status in _ENDED:
            raise Refused(
                f"Request {number} is {status} at Certificate Manager.",
                next_step="Look there why; then try the order again.",
            )
        if status not in _ISSUED:
            return _kept(number, retry_after=ASK_AGAIN)
        path = f"/ssl/v1/collect/{number}/pem"
        answer = await self._api.ask("GET", path, headers={"Accept": "*/*"})
        return Issued(chain=chain_for_pem(request.csr, answer.body.decode(errors="replace")))

    async def _enrolled(self, request: Request) -> int | None:
        """Return the number of the request with our order's key, where there is one."""
        name = common_name(request.names) or request.names[0]
        async for number in self._numbers(name):
            told = await self._api.read(_Request, "GET", f"/ssl/v1/{number}")
            if told.comments == _comments(request) and told.status.lower() not in _ENDED:
                return number
        return None

    async def _numbers(self, name: str) -> AsyncGenerator[int]:
        position = 0
        while True:
            params = {"commonName": name, "size": str(PER_PAGE), "position": str(position)}
            answer = await self._api.ask("GET", "/ssl/v1", params=params)
            listed = [each["sslId"] for each in answer.json() if isinstance(each, dict) and "sslId" in each]
            for number in listed:
                yield number
            if len(listed) < PER_PAGE:
                return
            position += PER_PAGE


def _comments(request: Request) -> str:
    return f"everleaf {request.key}"


def _kept(number: int, *, text: str | None = None, retry_after: timedelta = timedelta()) -> Pending:
    state = _State(number=number).model_dump_json().encode()
    return Pending(state=state, step="wait" if retry_after else "enrol", text=text, retry_after=retry_after)
