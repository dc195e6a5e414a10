"""Any ACME authority: what it can do, put together."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import ClassVar, Self

from pydantic import BaseModel

from services.renewal.connectors import (
    Challenge,
    Identity,
    Network,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
    Window,
)
from services.renewal.connectors.acme.account import Account
from services.renewal.connectors.acme.chains import PreferredRoot
from services.renewal.connectors.acme.jose import AccountKey
from services.renewal.connectors.acme.options import (
    AcmeOptions,
    AcmeSecrets,
    dns_secret,
    mac_key,
    roots,
    trust,
)
from services.renewal.connectors.acme.order import OrderSteps
from services.renewal.connectors.acme.placing import Placing
from services.renewal.connectors.acme.renewal_info import renewal_window
from services.renewal.connectors.acme.revocation import revoke
from services.renewal.connectors.acme.session import Session
from services.renewal.connectors.acme.showing import Dns01, Http01, Showing, TlsAlpn01
from services.renewal.connectors.acme.state import AcmeState
from services.renewal.connectors.dns.lookup import Lookup
from services.renewal.connectors.dns.registry import check_dns, check_network, open_records, own_zone
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.outbound import guarded_client

FORGOTTEN = 200
"""What a forgotten account counts, in steps of an order."""
_LISTENERS = {
    Challenge.HTTP_01: "EVERLEAF_RENEWAL_HTTP01_LISTEN",
    Challenge.TLS_ALPN_01: "EVERLEAF_RENEWAL_TLS_ALPN01_LISTEN",
}


class _Private(BaseModel):
    """The account: its key (PKCS#8 in base64), the one that is to follow it, and its URL once there is one."""

    key: str
    kid: str | None = None
    next_key: str | None = None

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()

    def with_next(self) -> "_Private":
        return self.model_copy(update={"key": self.next_key or self.key, "next_key": None})


class Acme:
    """An ACME authority."""

    kind: ClassVar[str] = "acme"
    summary: ClassVar[str] = (
        "Any ACME authority (RFC 8555): Let's Encrypt, and many others, public or private."
    )
    options_type: ClassVar[type[Part]] = AcmeOptions
    secrets_type: ClassVar[type[Part]] = AcmeSecrets
    decides_lifetime: ClassVar[bool] = True

    def __init__(self, session: Session, account: Account, steps: OrderSteps, *, private: _Private) -> None:
        self._session = session
        self._account = account
        self._steps = steps
        self._private = private

    @classmethod
    def found(cls, options: AcmeOptions, *, secrets: AcmeSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make the account's key. Raises `Invalid` where options and secrets do not fit together."""
        trust(options)
        mac_key(options, secrets)
        secret = dns_secret(options, secrets)
        if options.dns is not None:
            check_dns(options.dns, secret=secret)
        return Identity(private=_Private(key=_new_key()).to_bytes(), roots=roots(options))

    @classmethod
    def check_terms(cls, options: AcmeOptions, *, terms: Terms, network: Network) -> None:
        """Raise `Invalid` where the challenge cannot be shown."""
        if terms.challenge is None:
            raise Invalid(
                "An ACME authority makes a challenge.", next_step="Choose http-01, dns-01 or tls-alpn-01."
            )
        listeners = {Challenge.HTTP_01: network.http01, Challenge.TLS_ALPN_01: network.tls_alpn01}
        if terms.challenge in listeners and listeners[terms.challenge] is None:
            raise Invalid(
                f"{terms.challenge} is answered by a listener, which is off.",
                next_step=f"Set {_LISTENERS[terms.challenge]}, or choose dns-01.",
            )
        if terms.challenge is Challenge.DNS_01 and options.dns is None:
            raise Invalid(
                "dns-01 needs a zone that takes our updates.",
                next_step="Make an authority with `options.dns` and the secret `dns_secret`.",
            )
        if terms.challenge is Challenge.DNS_01 and options.dns is not None:
            check_network(options.dns, network=network)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: AcmeOptions, *, secrets: AcmeSecrets, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        """Open a client for one order."""
        private = _Private.model_validate_json(identity.private)
        tls = trust(options) if options.ca_pem else network.tls
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(guarded_client(network.policy, tls=tls))
            session = Session(client, options.directory_url, key=_loaded(private.key), kid=private.kid)
            account = Account(
                session,
                contacts=options.contacts,
                key_id=options.external_account.key_id if options.external_account else None,
                mac_key=mac_key(options, secrets),
            )
            steps = OrderSteps(
                session,
                account=account,
                placing=Placing(session, is_profile_preferred=options.profile_is_preferred),
                showings=await _showings(opened, options, secrets, network=network),
                preferred=_preferred(options, identity.roots),
            )
            yield cls(session, account, steps, private=private)

    async def advance(
        self, request: Request, *, state: bytes | None, resumed: bool, now: datetime
    ) -> Progress:
        """Do one step. Raises `Refused` or `NotNow`."""
        known = AcmeState.model_validate_json(state) if state is not None else AcmeState()
        if not self._account.is_registered:
            kid = await self._account.register()
            return self._account_changed(kid, known, text="The account is known to the authority.")
        if await self._has_next_key():
            return self._account_changed(self._account.kid, known, text="The account has its fresh key.")
        progress = await self._steps.advance(request, state=known, resumed=resumed, now=now)
        if progress is None:
            return self._account_changed(
                # Counted heavily, so that an authority which forgets it each time comes to an end.
                None,
                AcmeState(steps=known.steps + FORGOTTEN),
                text="The authority has forgotten the account; it is made anew.",
            )
        return progress

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - the Protocol's
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke by the account that ordered it (RFC 8555 §7.6). Raises `Refused` or `NotNow`."""
        if not self._account.is_registered:
            raise Refused(
                "The account is not known to the authority: it has ordered nothing.",
                next_step="Revoke at the authority that issued the certificate.",
            )
        await self._has_next_key()
        await revoke(self._session, certificate, reason=reason)

    async def renewal_window(self, certificate: bytes, *, now: datetime) -> Window | None:
        """Return when the authority would have it renewed (RFC 9773). Raises `NotNow`."""
        return await renewal_window(self._session, certificate, now=now)

    @classmethod
    def with_next_key(cls, private: bytes) -> bytes:
        """Put a fresh account key beside the present one, where there is an account."""
        known = _Private.model_validate_json(private)
        if known.kid is None:
            return private
        return known.model_copy(update={"next_key": known.next_key or _new_key()}).to_bytes()

    async def change_key(self) -> bytes:
        """Have the account's key changed for the fresh one (RFC 8555 §7.3.5). Raises `Refused` or `NotNow`."""
        if self._private.next_key is None:
            raise Refused(
                "The authority has no account of ours yet: the key was never used.",
                next_step="Nothing is to be done; or order something first.",
            )
        await self._account.change_key(_loaded(self._private.next_key))
        self._private = self._private.with_next()
        return self._private.to_bytes()

    async def _has_next_key(self) -> bool:
        """Find out which key is the right one, where we were interrupted while it was changed."""
        if self._private.next_key is None:
            return False
        following = _loaded(self._private.next_key)
        if not await self._account.has_key(following):
            return False
        self._session.key, self._private = following, self._private.with_next()
        return True

    def _account_changed(self, kid: str | None, state: AcmeState, *, text: str) -> Pending:
        self._account.kid = kid
        self._private = self._private.model_copy(update={"kid": kid})
        return Pending(state=state.to_bytes(), step="account", text=text, private=self._private.to_bytes())


async def _showings(
    opened: AsyncExitStack, options: AcmeOptions, secrets: AcmeSecrets, *, network: Network
) -> dict[Challenge, Showing]:
    showings: dict[Challenge, Showing] = {}
    if network.http01 is not None:
        showings[Challenge.HTTP_01] = Http01(network.http01)
    if network.tls_alpn01 is not None:
        showings[Challenge.TLS_ALPN_01] = TlsAlpn01(network.tls_alpn01)
    if options.dns is not None:
        opening = open_records(options.dns, secret=dns_secret(options, secrets), network=network)
        lookup = Lookup(options.dns_lookup, own=own_zone(options.dns), policy=network.policy)
        showings[Challenge.DNS_01] = Dns01(await opened.enter_async_context(opening), lookup=lookup)
    return showings


def _preferred(options: AcmeOptions, known: tuple[bytes, ...]) -> PreferredRoot | None:
    return PreferredRoot(options.preferred_root, roots=known) if options.preferred_root else None


def _new_key() -> str:
    return base64.b64encode(AccountKey.generate().to_der()).decode()


def _loaded(key: str) -> AccountKey:
    return AccountKey.from_der(base64.b64decode(key))
