"""Any ACME authority (RFC 8555), with http-01 or dns-01, one step at a time."""

import base64
import binascii
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import ClassVar, Self

from pydantic import BaseModel, Field, SecretStr

from services.renewal.connectors import (
    Challenge,
    Identity,
    Network,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.acme_account import Account
from services.renewal.connectors.acme_order import OrderSteps
from services.renewal.connectors.acme_session import Session
from services.renewal.connectors.acme_state import AcmeState
from services.renewal.connectors.challenges import Dns01, Http01, Showing
from services.renewal.connectors.jose import AccountKey, unbase64url
from services.renewal.connectors.rfc2136 import DnsOptions, Zone
from shared.errors import Invalid
from shared.outbound import Policy, guarded_client
from shared.x509 import from_pem

FORGOTTEN = 200
"""What a forgotten account counts, in steps of an order."""


class ExternalAccount(Part):
    """The account with the authority that ours is bound to (RFC 8555 §7.3.4); its secret is `hmac`."""

    key_id: str = Field(min_length=1, max_length=500)


class AcmeOptions(Part):
    """Where the authority is, and what it wants to know."""

    directory_url: str = Field(
        pattern=r"^https://[^\s]+$",
        max_length=2000,
        examples=["https://acme-v02.api.letsencrypt.org/directory"],
    )
    ca_pem: str | None = Field(
        None, max_length=200_000, description="Trust the directory's TLS certificate by these roots too."
    )
    root_pem: str | None = Field(
        None, max_length=200_000, description="Take only certificates whose chain ends at one of these roots."
    )
    contacts: list[str] = Field([], max_length=20, examples=[["mailto:pki@example.com"]])
    external_account: ExternalAccount | None = None
    dns: DnsOptions | None = Field(None, description="For dns-01; its secret is `dns_secret`.")


class AcmeSecrets(Part):
    """What is never shown."""

    hmac: SecretStr | None = Field(None, description="base64url, for `external_account`.")
    dns_secret: SecretStr | None = Field(None, description="base64, the TSIG key of `dns`.")


class _Private(BaseModel):
    """The account: its key (PKCS#8 in base64), and its URL once there is one."""

    key: str
    kid: str | None = None

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()


class Acme:
    """An ACME authority."""

    kind: ClassVar[str] = "acme"
    summary: ClassVar[str] = (
        "Any ACME authority (RFC 8555): Let's Encrypt, and many others, public or private."
    )
    options_type: ClassVar[type[Part]] = AcmeOptions
    secrets_type: ClassVar[type[Part]] = AcmeSecrets
    decides_lifetime: ClassVar[bool] = True

    def __init__(self, account: Account, steps: OrderSteps, *, private: _Private) -> None:
        self._account = account
        self._steps = steps
        self._private = private

    @classmethod
    def found(cls, options: AcmeOptions, *, secrets: AcmeSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make the account's key. Raises `Invalid` where options and secrets do not fit together."""
        _trust(options)
        _mac_key(options, secrets)
        _zone(options, secrets, policy=Policy())
        key = base64.b64encode(AccountKey.generate().to_der()).decode()
        return Identity(private=_Private(key=key).to_bytes(), roots=_roots(options))

    @classmethod
    def check_terms(cls, options: AcmeOptions, *, terms: Terms, network: Network) -> None:
        """Raise `Invalid` where the challenge cannot be shown."""
        if terms.challenge is None:
            raise Invalid("An ACME authority makes a challenge.", next_step="Choose http-01 or dns-01.")
        if terms.challenge is Challenge.HTTP_01 and network.http01 is None:
            raise Invalid(
                "http-01 is answered by a listener, which is off.",
                next_step="Set EVERLEAF_RENEWAL_HTTP01_LISTEN, or choose dns-01.",
            )
        if terms.challenge is Challenge.DNS_01 and options.dns is None:
            raise Invalid(
                "dns-01 needs a zone that takes our updates.",
                next_step="Make an authority with `options.dns` and the secret `dns_secret`.",
            )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: AcmeOptions, *, secrets: AcmeSecrets, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        """Open a client for one order."""
        private = _Private.model_validate_json(identity.private)
        key = AccountKey.from_der(base64.b64decode(private.key))
        tls = _trust(options) if options.ca_pem else network.tls
        async with guarded_client(network.policy, tls=tls) as client:
            session = Session(client, options.directory_url, key=key, kid=private.kid)
            account = Account(
                session,
                contacts=options.contacts,
                key_id=options.external_account.key_id if options.external_account else None,
                mac_key=_mac_key(options, secrets),
            )
            showings = _showings(options, secrets, network=network)
            yield cls(account, OrderSteps(session, showings=showings), private=private)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Do one step. Raises `Refused` or `NotNow`."""
        known = AcmeState.model_validate_json(state) if state is not None else AcmeState()
        if not self._account.is_registered:
            kid = await self._account.register()
            return self._account_changed(kid, known, text="The account is known to the authority.")
        progress = await self._steps.advance(request, state=known, resumed=resumed)
        if progress is None:
            return self._account_changed(
                # Counted heavily, so that an authority which forgets it each time comes to an end.
                None,
                AcmeState(steps=known.steps + FORGOTTEN),
                text="The authority has forgotten the account; it is made anew.",
            )
        return progress

    def _account_changed(self, kid: str | None, state: AcmeState, *, text: str) -> Pending:
        self._account.kid = kid
        self._private = self._private.model_copy(update={"kid": kid})
        return Pending(state=state.to_bytes(), step="account", text=text, private=self._private.to_bytes())


def _showings(options: AcmeOptions, secrets: AcmeSecrets, *, network: Network) -> dict[Challenge, Showing]:
    showings: dict[Challenge, Showing] = {}
    if network.http01 is not None:
        showings[Challenge.HTTP_01] = Http01(network.http01)
    zone = _zone(options, secrets, policy=network.policy)
    if zone is not None:
        showings[Challenge.DNS_01] = Dns01(zone)
    return showings


def _trust(options: AcmeOptions) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if options.ca_pem is not None:
            context.load_verify_locations(cadata=options.ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid("ca_pem holds no PEM certificate.", next_step="Send the whole PEM text.") from error
    return context


def _roots(options: AcmeOptions) -> tuple[bytes, ...]:
    if options.root_pem is None:
        return ()
    try:
        return tuple(from_pem(options.root_pem))
    except Invalid as error:
        raise Invalid("root_pem holds no PEM certificate.", next_step="Send the whole PEM text.") from error


def _mac_key(options: AcmeOptions, secrets: AcmeSecrets) -> bytes | None:
    if (options.external_account is None) is not (secrets.hmac is None):
        raise Invalid(
            "`external_account` and the secret `hmac` go together.", next_step="Send both, or neither."
        )
    if secrets.hmac is None:
        return None
    try:
        return unbase64url(secrets.hmac.get_secret_value().rstrip("="))
    except (ValueError, binascii.Error):
        raise Invalid("The secret `hmac` is not base64url.", next_step="Send it as given.") from None


def _zone(options: AcmeOptions, secrets: AcmeSecrets, *, policy: Policy) -> Zone | None:
    if (options.dns is None) is not (secrets.dns_secret is None):
        raise Invalid("`dns` and the secret `dns_secret` go together.", next_step="Send both, or neither.")
    if options.dns is None or secrets.dns_secret is None:
        return None
    return Zone(options.dns, secret=secrets.dns_secret.get_secret_value(), policy=policy)
