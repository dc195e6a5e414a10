"""A private authority of our own: its keys are made here, sealed by who keeps them or in a token, and sign in one step."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import ClassVar, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from services.renewal.connectors import (
    Entry,
    Identity,
    Issued,
    Ledger,
    Listed,
    Network,
    Nothing,
    NotNow,
    Part,
    Request,
    Responder,
    Revoked,
    Terms,
)
from services.renewal.connectors.builtin import certificates, revocation
from services.renewal.connectors.builtin import identity as identities
from services.renewal.connectors.builtin.certificates import Issuer
from services.renewal.connectors.builtin.constraints import check_names
from services.renewal.connectors.builtin.identity import Kept
from services.renewal.connectors.builtin.imported import check_imported
from services.renewal.connectors.builtin.options import BuiltinOptions
from services.renewal.connectors.builtin.signing import SigningKey, loaded, signed
from shared.errors import Conflict, Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.x509 import load


class Builtin:
    """The built-in private authority."""

    kind: ClassVar[str] = "builtin"
    summary: ClassVar[str] = "A private authority of our own; clients have to be told to trust its root."
    options_type: ClassVar[type[Part]] = BuiltinOptions
    secrets_type: ClassVar[type[Part]] = Nothing
    decides_lifetime: ClassVar[bool] = False

    def __init__(
        self,
        options: BuiltinOptions,
        kept: Kept,
        key: SigningKey,
        *,
        roots: Sequence[bytes],
        ledger: Ledger | None,
    ) -> None:
        self._options, self._kept, self._key, self._ledger = options, kept, key, ledger
        self._above = identities.chain_of(kept)
        self._own = next(iter((*self._above, *roots)), None)
        self._url = ledger.url if ledger is not None else None
        self._issuer = (
            Issuer.of(load(self._own), url=self._url, for_clients=options.for_clients)
            if self._own is not None
            else None
        )

    @classmethod
    def found(cls, options: BuiltinOptions, *, secrets: Nothing, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make keys and certificates, not in a token."""
        return identities.founded(options, name=name, token=None, now=now)

    @classmethod
    async def found_here(
        cls, options: BuiltinOptions, *, name: str, network: Network, now: datetime
    ) -> Identity:
        """Make keys, in the token where the options say so, and certificates. Raises `Invalid` where there is none."""
        return await identities.founded_beside(options, name=name, token=network.token, now=now)

    @classmethod
    def check_terms(cls, options: BuiltinOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge or a profile is asked for, or more time than the authority has."""
        if terms.challenge is not None:
            raise Invalid("The built-in authority makes no challenges.", next_step="Leave `challenge` out.")
        if terms.profile is not None:
            raise Invalid("The built-in authority has no profiles.", next_step="Leave its profile out.")
        own = options.intermediate_lifetime if options.intermediate else options.lifetime
        if terms.lifetime >= own:
            raise Invalid("No certificate outlives who issued it.", next_step="Ask for a shorter lifetime.")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: BuiltinOptions,
        *,
        secrets: Nothing,  # noqa: ARG003 - the Protocol's
        identity: Identity,
        network: Network,
    ) -> AsyncIterator[Self]:
        """Take the key up."""
        kept = identities.read(identity)
        key = loaded(kept.key, token=network.token)
        yield cls(options, kept, key, roots=identity.roots, ledger=network.ledger)

    async def advance(self, request: Request, *, state: bytes | None, resumed: bool, now: datetime) -> Issued:  # noqa: ARG002 - the Protocol's
        """Issue; the same request once. Raises `Refused` where it is not well signed, or not for names it may issue for."""
        [issued] = await self.issue_all([request], now=now)
        if isinstance(issued, Refused):
            raise issued
        return issued

    async def issue_all(self, requests: Sequence[Request], *, now: datetime) -> Sequence[Issued | Refused]:
        """Issue for each request that was not answered before, and write that down at once."""
        issuer = self._valid(now)
        marks = [_mark(request) for request in requests]
        known = await self._ledger.find(marks) if self._ledger is not None else {}
        answers: list[Issued | Refused] = []
        entries: list[Entry] = []
        for mark, request in zip(marks, requests, strict=True):
            if mark in known:
                answers.append(Issued(chain=(known[mark], *self._above)))
                continue
            try:
                leaf = await self._sign(request, issuer, now=now)
            except Refused as refused:
                answers.append(refused)
                continue
            entries.append(Entry(request=mark, certificate=leaf))
            answers.append(Issued(chain=(leaf, *self._above)))
        if self._ledger is not None and entries:
            await self._ledger.add(entries, now=now)
        return answers

    async def _sign(self, request: Request, issuer: Issuer, *, now: datetime) -> bytes:
        csr = x509.load_der_x509_csr(request.csr)
        if not csr.is_signature_valid:
            raise Refused("The request is not signed by its own key.", next_step="Order it anew.")
        check_names(request.names, permitted=self._options.permitted, excluded=self._options.excluded)
        builder = certificates.server(csr, issuer=issuer, lifetime=request.terms.lifetime, now=now)
        return bytes((await signed(builder, self._key)).public_bytes(Encoding.DER))

    def _valid(self, now: datetime) -> Issuer:
        issuer = self._certified()
        if now >= issuer.until:
            raise Refused("The authority's own certificate has expired.", next_step="Make a new authority.")
        return issuer

    def _certified(self) -> Issuer:
        if self._issuer is None:
            raise NotNow(
                "The authority's own certificate is not there yet.",
                next_step="Have GET /v1/authorities/{id}/csr signed, and bring it with PUT /v1/authorities/{id}/certificate.",
            )
        return self._issuer

    async def revoke(
        self, certificate: bytes, *, issuer: bytes | None, reason: RevocationReason, now: datetime
    ) -> None:
        """Write down that it is revoked: the next CRL has it. Raises `Refused` where it is none of its own."""
        del issuer
        serial = load(certificate).serial_number
        if self._ledger is None or not await self._ledger.revoke(serial, reason=reason, now=now):
            raise Refused("The authority has not issued that certificate.", next_step="Ask the one that has.")

    async def issued_since(self, since: datetime) -> AsyncIterator[Listed]:
        """Yield what the books say."""
        if self._ledger is not None:
            async for each in self._ledger.since(since):
                yield each

    @property
    def issuer(self) -> bytes:
        """The certificate that it signs with. Raises `NotNow` where it has none yet."""
        self._certified()
        return self._own or b""

    async def crl(self, revoked: Sequence[Revoked], *, number: int, now: datetime, until: datetime) -> bytes:
        """Return a signed CRL."""
        issuer = self._certified()
        ends = min(until, issuer.until)
        builder = revocation.crl(revoked, issuer=issuer, number=number, now=now, until=ends)
        return bytes((await signed(builder, self._key)).public_bytes(Encoding.DER))

    async def responder(self, *, now: datetime) -> Responder:
        """Appoint a responder with a key of its own: strangers' questions do not wake the authority's."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = certificates.responder(key.public_key(), issuer=self._valid(now), now=now)
        certificate: x509.Certificate = await signed(builder, self._key)
        return Responder(
            private=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            certificate=certificate.public_bytes(Encoding.DER),
            until=certificate.not_valid_after_utc,
        )

    async def signing_request(self) -> bytes:
        """Return the request for its certificate. Raises `Conflict` where it is signed by a root of its own."""
        if not self._options.signed_by_other:
            raise Conflict(
                "The authority is signed by a root of its own.",
                next_step="Make one with the option `signed_by_other`.",
            )
        builder = certificates.request(self._options, name=self._kept.name)
        return bytes((await signed(builder, self._key)).public_bytes(Encoding.DER))

    def certified(self, chain: Sequence[bytes], *, now: datetime) -> Identity:
        """Return its identity with the certificate that another authority has signed. Raises `Invalid` or `Conflict`."""
        if not self._options.signed_by_other:
            raise Conflict(
                "The authority is signed by a root of its own.",
                next_step="Make one with the option `signed_by_other`.",
            )
        own, root = check_imported(chain, key=self._key.public_key(), now=now)
        kept = self._kept.model_copy(
            update={"chain": tuple(identities.text(each) for each in own), "is_waiting": False}
        )
        return identities.written(kept, roots=(root.public_bytes(Encoding.DER),))


def _mark(request: Request) -> str:
    """Return what tells a request from others: that of the same order with a new key is another one."""
    return sha256(request.key.encode() + b"\0" + request.csr).hexdigest()
