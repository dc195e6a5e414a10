"""What other systems send, over HTTP."""

import binascii
from base64 import b64decode
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.discovery.actions.uploads import Batch, Endpoint, State, Uploads
from services.discovery.domain.holdings import Holding, Key, Listener, Use
from services.discovery.domain.targets import is_address
from shared import partial, x509
from shared.access import Principal, requires
from shared.clock import Clock, Moment
from shared.errors import Fault, Invalid
from shared.events.discovery import Place
from shared.http import MAX_BODY, Body, Routes, View

Uploader = Annotated[Principal, requires("uploads:write")]
MOST = 500
"""Certificates in one request."""
_Text = Annotated[str, Field(max_length=255)]
_Path = Annotated[str, Field(min_length=1, max_length=1000)]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ChainBody(Body):
    """A certificate and what it was issued under, leaf first: as PEM text, or as a list of DER in base64."""

    pem: str | None = Field(None, max_length=MAX_BODY, examples=["-----BEGIN CERTIFICATE-----\n…"])
    der: list[Annotated[str, Field(max_length=MAX_BODY)]] | None = Field(None, min_length=1, max_length=20)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.pem is None) == (self.der is None):
            msg = "give either pem or der"
            raise ValueError(msg)
        return self


class SentListener(Body):
    """Where a server listens."""

    port: _Port
    address: _Text | None = Field(None, description="Left out for every address of the host.")
    starttls: _Text | None = None


class SentUse(Body):
    """What a configuration uses a certificate for."""

    product: str = Field(max_length=50, examples=["ihs"])
    file: _Path
    line: int = Field(0, ge=0)
    listeners: list[SentListener] = Field([], max_length=100)
    server_names: list[_Text] = Field([], max_length=1000)
    key: _Path | None = None
    chain: _Path | None = None
    is_default: bool = False


class SentKey(Body):
    """What is known of the private key; never the key."""

    path: _Path
    spki_sha256: _Hex | None = Field(None, description="SHA-256 of its public half's SubjectPublicKeyInfo.")
    mode: int | None = Field(None, ge=0, le=0o7777)
    owner: _Text | None = None
    is_exposed: bool = False


class SentHolding(ChainBody):
    """A certificate in a store."""

    address: str = Field(min_length=1, max_length=253, examples=["mainframe-3"])
    path: _Path = Field(examples=["RACF/WEBRING/SHOP"])
    format: str = Field("pem", max_length=50)
    owner: _Text | None = None
    group: _Text | None = None
    mode: int | None = Field(None, ge=0, le=0o7777)
    key: SentKey | None = None
    in_use: bool | None = Field(None, description="Left out where that is unknown.")
    uses: list[SentUse] = Field([], max_length=100)
    addresses: list[_Text] = Field([], max_length=100, description="IP addresses of the host that holds it.")


class SentEndpoint(ChainBody):
    """A certificate as an endpoint was seen to serve it, where the platform itself cannot look."""

    address: str = Field(examples=["192.0.2.10"])
    port: _Port
    server_name: Annotated[str, Field(max_length=253)] | None = None
    starttls: _Text | None = None
    tls_version: _Text | None = None
    cipher_suite: _Text | None = None
    observed_at: Moment


class UploadBody(Body):
    """A part of what a system holds."""

    holdings: list[SentHolding] = Field([], max_length=MOST)
    endpoints: list[SentEndpoint] = Field(
        [], max_length=MOST, description="Needs the permission `sightings:write` beside."
    )
    snapshot: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="A name of your choice for all that you hold now, the same in each of its parts.",
        examples=["2026-11-25"],
    )
    is_last: bool = Field(
        False, description="The snapshot is complete: what it does not name is missed, and lost in the end."
    )


class TakenView(View):
    """What became of one certificate."""

    address: str
    path: str
    fingerprint: str
    state: State
    reason: str | None


class UploadView(View):
    """What became of an upload."""

    items: list[TakenView] = Field(description="One for each holding, in their order.")
    endpoints: int = Field(description="Sightings of endpoints that were taken in.")


def add_uploads(routes: Routes, uploads: Uploads, *, clock: Clock) -> None:
    """Add the route."""

    # No Idempotency-Key: the same upload again changes nothing.
    @routes.post("/sources/{source_id}/uploads", summary="Send what a system holds to its source")
    async def upload(caller: Uploader, source_id: str, body: UploadBody) -> UploadView:
        now = clock()
        batch = Batch(
            holdings=[_holding(sent, at=f"/body/holdings/{at}") for at, sent in enumerate(body.holdings)],
            endpoints=[
                _endpoint(sent, at=f"/body/endpoints/{at}", now=now) for at, sent in enumerate(body.endpoints)
            ],
            snapshot=body.snapshot,
            is_last=body.is_last,
        )
        taken = await uploads.take(source_id, batch, caller=caller, now=now)
        items = [TakenView.model_validate(each) for each in taken]
        return UploadView(items=items, endpoints=len(batch.endpoints))


def _holding(sent: SentHolding, *, at: str) -> Holding:
    chain = _chain(sent, at=at)
    return Holding(
        address=sent.address,
        path=sent.path,
        chain=chain,
        format=sent.format,
        key=_key(sent.key, leaf=chain[0]) if sent.key else None,
        owner=sent.owner,
        group=sent.group,
        mode=sent.mode,
        uses=tuple(_use(use, certificate=sent.path) for use in sent.uses),
        in_use=sent.in_use if sent.in_use is not None or not sent.uses else True,
        addresses=tuple(filter(is_address, sent.addresses)),
    )


def _endpoint(sent: SentEndpoint, *, at: str, now: datetime) -> Endpoint:
    if not is_address(sent.address):
        raise _wrong(
            f"{at}/address", "It is no IP address.", next_step="Send the address that was looked at."
        )
    if sent.observed_at > now:
        raise _wrong(f"{at}/observed_at", "It is in the future.", next_step="Set the sender's clock.")
    return Endpoint(
        place=Place(
            address=sent.address, port=sent.port, server_name=sent.server_name, starttls=sent.starttls
        ),
        chain=_chain(sent, at=at),
        observed_at=sent.observed_at,
        tls_version=sent.tls_version,
        cipher_suite=sent.cipher_suite,
    )


def _use(sent: SentUse, *, certificate: str) -> Use:
    return Use(
        product=sent.product,
        file=sent.file,
        line=sent.line,
        listeners=tuple(Listener(**listener.model_dump()) for listener in sent.listeners),
        server_names=tuple(name.lower() for name in sent.server_names),
        certificate=certificate,
        key=sent.key,
        chain=sent.chain,
        is_default=sent.is_default,
    )


def _key(sent: SentKey, *, leaf: bytes) -> Key:
    ours = partial.read(leaf).fields.key_fingerprint if sent.spki_sha256 else None
    is_match = None if ours is None else ours == sent.spki_sha256
    return Key(**sent.model_dump(), is_match=is_match)


def _chain(sent: ChainBody, *, at: str) -> tuple[bytes, ...]:
    """Return the certificates as DER; what can be no certificate at all is refused."""
    if sent.pem is not None:
        try:
            return tuple(x509.ders_of_pem(sent.pem))
        except Invalid as error:
            raise _wrong(f"{at}/pem", str(error.detail), next_step=error.next_step) from error
    try:
        chain = tuple(b64decode(each, validate=True) for each in sent.der or ())
    except binascii.Error as error:
        raise _wrong(f"{at}/der", "It is not base64.", next_step="Send DER in base64.") from error
    if not all(der.startswith(b"\x30") for der in chain):
        raise _wrong(f"{at}/der", "It is not DER.", next_step="Send each certificate as DER in base64.")
    return chain


def _wrong(pointer: str, message: str, *, next_step: str) -> Invalid:
    return Invalid(
        f"{pointer}: {message}", next_step=next_step, faults=[Fault(pointer=pointer, message=message)]
    )
