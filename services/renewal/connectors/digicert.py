"""DigiCert CertCentral by its Services API: order a product, follow the order, download, revoke.

An order that was placed and not written down is found among those of its common name, by the request in it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Self

from cryptography import x509 as parsed
from pydantic import BaseModel, Field

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
    chain_for_pem,
    common_name,
    key_of,
    pem_of,
    refused_reason,
    serial_of,
)
from services.renewal.connectors.vendor import HeaderSecret, Vendor, VendorOptions, check_named
from services.renewal.connectors.web import AuthorityApi, authority_api, refuse
from shared import x509
from shared.errors import Refused
from shared.events.renewal import RevocationReason

ASK_AGAIN = timedelta(minutes=5)
PER_PAGE = 100
LONGEST_BREAK = timedelta(days=7)
"""How old an order may be that was placed and not written down, for it to be found."""
SLOWEST_ORDER = timedelta(days=60)
"""How long an order may have waited before it was issued, for it to be listed."""
_ENDED = ("rejected", "canceled", "revoked", "expired")
_REASONS = {
    RevocationReason.UNSPECIFIED: "unspecified",
    RevocationReason.KEY_COMPROMISE: "key_compromise",
    RevocationReason.AFFILIATION_CHANGED: "affiliation_changed",
    RevocationReason.SUPERSEDED: "superseded",
    RevocationReason.CESSATION_OF_OPERATION: "cessation_of_operation",
}
_Product = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=100)]


class DigicertOptions(VendorOptions):
    """Which product is ordered, and for which organization."""

    url: str = Field(
        "https://www.digicert.com/services/v2",
        pattern=r"^https://[^?#@\s]+$",
        max_length=300,
        description="Of the Services API; `https://www.digicert.eu/services/v2` for accounts in Europe.",
    )
    product: _Product | None = Field(
        None, description="The product's identifier; where the profile names none.", examples=["ssl_basic"]
    )
    organization_id: int | None = Field(None, ge=1, description="Of a validated organization; DV needs none.")
    container_id: int | None = Field(None, ge=1, description="Of the division that orders.")
    payment_method: str | None = Field(None, pattern=r"^(balance|profile|card)$", examples=["balance"])


class DigicertSecrets(Part):
    """An API key of CertCentral."""

    api_key: HeaderSecret


class _Certificate(BaseModel):
    id: int | None = None
    csr: str | None = None
    date_issued: datetime | None = None


class _Order(BaseModel):
    id: int
    status: str = ""
    certificate: _Certificate = _Certificate()


class _Placed(BaseModel):
    id: int
    certificate_id: int | None = None


class _Orders(BaseModel):
    orders: list[_Order] = []


class _State(BaseModel):
    order: int


class Digicert(Vendor):
    """An account at CertCentral."""

    kind: ClassVar[str] = "digicert"
    summary: ClassVar[str] = "DigiCert CertCentral, by its Services API."
    options_type: ClassVar[type[Part]] = DigicertOptions
    secrets_type: ClassVar[type[Part]] = DigicertSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, api: AuthorityApi, options: DigicertOptions) -> None:
        self._api = api
        self._options = options

    @classmethod
    def check_terms(cls, options: DigicertOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where no product is named, or a challenge is asked for."""
        check_named(terms, options.product, what="a product", option="product")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: DigicertOptions,
        *,
        secrets: DigicertSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Open a client."""
        headers = {"X-DC-DEVKEY": secrets.api_key.get_secret_value()}
        async with authority_api(network, options.url, headers=headers, trusted_ca=options.trusted_ca) as api:
            yield cls(api, options)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,
        now: datetime,
    ) -> Progress:
        """Order, or follow the order. Raises `Refused` or `NotNow`."""
        if state is not None:
            return await self._follow(request, _State.model_validate_json(state).order)
        placed = await self._placed(request, now=now) if resumed else None
        if placed is not None:
            return _kept(placed, text=f"Order {placed} was placed before.")
        return await self._place(request)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - serial numbers are DigiCert's own
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke this certificate, and no other of its order."""
        if reason not in _REASONS:
            raise refused_reason(reason, _REASONS)
        path = f"/certificate/{serial_of(certificate)}/revoke"
        asked = {"revocation_reason": _REASONS[reason], "skip_approval": True}
        answer = await self._api.ask("PUT", path, accepted=(HTTPStatus.BAD_REQUEST,), json=asked)
        if answer.status == HTTPStatus.BAD_REQUEST and b"revoked" not in answer.body:
            refuse(answer, path)
        if answer.status == HTTPStatus.CREATED:
            raise NotNow(
                "The revocation waits for approval at CertCentral.",
                next_step="Approve it there, or give the API key the rights of an administrator.",
            )

    async def issued_since(self, since: datetime) -> AsyncGenerator[Listed]:
        """Yield the first certificate of each order that was issued since then; reissues are not told."""
        filters = {"filters[status]": "issued", "filters[date_created]": _from(since - SLOWEST_ORDER)}
        found = []
        async for order in self._orders(filters):
            certificate = (await self._order(order.id)).certificate
            if certificate.date_issued is not None and certificate.date_issued >= since and certificate.id:
                found.append((certificate.date_issued, certificate.id))
        for issued_at, number in sorted(found):
            yield Listed(certificate=x509.from_pem(await self._downloaded(number))[0], issued_at=issued_at)

    async def _place(self, request: Request) -> Pending:
        name = common_name(request.names) or request.names[0]
        certificate = {
            "common_name": name,
            "dns_names": [each for each in request.names if each != name],
            "csr": pem_of(request.csr),
            "signature_hash": "sha256",
            "server_platform": {"id": -1},
        }
        asked: dict[str, Any] = {
            "certificate": certificate,
            "order_validity": {"days": request.terms.lifetime.days},
            "comments": f"everleaf {request.key}",
            "skip_approval": True,
        }
        if self._options.organization_id is not None:
            asked["organization"] = {"id": self._options.organization_id}
        if self._options.container_id is not None:
            asked["container"] = {"id": self._options.container_id}
        if self._options.payment_method is not None:
            asked["payment_method"] = self._options.payment_method
        product = request.terms.profile or self._options.product
        placed = await self._api.read(_Placed, "POST", f"/order/certificate/{product}", json=asked)
        return _kept(placed.id, text=f"Order {placed.id} is placed.")

    async def _follow(self, request: Request, number: int) -> Progress:
        order = await self._order(number)
        if order.status in _ENDED:
            raise Refused(
                f"Order {number} is {order.status} at CertCentral.",
                next_step="Look there why; then try the order again.",
            )
        if order.status != "issued" or order.certificate.id is None:
            return _kept(number, retry_after=ASK_AGAIN)
        return Issued(chain=chain_for_pem(request.csr, await self._downloaded(order.certificate.id)))

    async def _placed(self, request: Request, *, now: datetime) -> int | None:
        """Return the number of the recent order with our request, where there is one."""
        filters = {
            "filters[common_name]": common_name(request.names) or request.names[0],
            "filters[date_created]": _from(now - LONGEST_BREAK),
            "sort": "-date_created",
        }
        async for order in self._orders(filters):
            told = await self._order(order.id)
            if told.status not in _ENDED and _has_key(told.certificate.csr, key_of(request.csr)):
                return order.id
        return None

    async def _orders(self, params: dict[str, str]) -> AsyncGenerator[_Order]:
        offset = 0
        while True:
            page = {**params, "limit": str(PER_PAGE), "offset": str(offset)}
            orders = (await self._api.read(_Orders, "GET", "/order/certificate", params=page)).orders
            for order in orders:
                yield order
            if len(orders) < PER_PAGE:
                return
            offset += PER_PAGE

    async def _order(self, number: int) -> _Order:
        return await self._api.read(_Order, "GET", f"/order/certificate/{number}")

    async def _downloaded(self, certificate: int) -> str:
        path = f"/certificate/{certificate}/download/format/pem_all"
        answer = await self._api.ask("GET", path, headers={"Accept": "*/*"})
        return answer.body.decode(errors="replace")


def _from(moment: datetime) -> str:
    return f">={moment.astimezone(UTC):%Y-%m-%d}"


def _kept(order: int, *, text: str | None = None, retry_after: timedelta = timedelta()) -> Pending:
    state = _State(order=order).model_dump_json().encode()
    return Pending(state=state, step="wait" if retry_after else "place", text=text, retry_after=retry_after)


def _has_key(csr: str | None, key: str) -> bool:
    try:
        told = parsed.load_pem_x509_csr((csr or "").encode()).public_key()
    except ValueError:
        return False
    return x509.key_fingerprint(told) == key
