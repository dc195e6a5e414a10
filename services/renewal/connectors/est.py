"""Enrolment over Secure Transport (RFC 7030, with the clarifications of RFC 8951).

The protocol has no name for an order: who asks twice is issued twice. What is kept after every step is
therefore all there is; a process that dies while the CA answers leaves a certificate that nobody uses.
"""

import base64
import binascii
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, ClassVar, Self

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from pydantic import AnyUrl, Field, SecretStr, UrlConstraints, model_validator

from services.renewal.connectors import (
    Identity,
    Issued,
    Network,
    NotNow,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.chains import chain_of, is_for, roots_of
from services.renewal.connectors.vendor import take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, pause_of
from shared.errors import Invalid, Refused
from shared.tls import load_identity
from shared.web import Answer, trusting

WAIT = timedelta(minutes=1)
"""Where a CA that says "later" (202) does not say when; RFC 7030 §4.2.3 wants it to."""
_WAITING = b"waiting"
_Https = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], max_length=500)]


class EstOptions(Part):
    """Where the CA is, and who we are there."""

    url: _Https = Field(examples=["https://est.example.com/.well-known/est"])
    label: str | None = Field(
        None, pattern=r"^[\w.~-]+$", max_length=100, description="Of one CA of several (RFC 7030 §3.2.2)."
    )
    username: str | None = Field(None, max_length=200, description="For HTTP Basic (RFC 7030 §3.2.3).")
    certificate_pem: str | None = Field(
        None, max_length=100_000, description="To show to the CA in TLS; its key is the secret `key_pem`."
    )
    trusted_ca: str | None = Field(None, max_length=200_000, description="PEM, trusted beside public roots.")
    root_pem: str | None = Field(
        None, max_length=200_000, description="Take only certificates whose chain ends at one of these roots."
    )


class EstSecrets(Part):
    """A password, the key of the client certificate, or both."""

    password: SecretStr | None = None
    key_pem: SecretStr | None = None

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if self.password is None and self.key_pem is None:
            msg = "a CA wants a password or a client certificate"
            raise ValueError(msg)
        return self


class Est:
    """A CA that is asked by simple enrolment."""

    kind: ClassVar[str] = "est"
    summary: ClassVar[str] = "A CA that speaks EST (RFC 7030)."
    options_type: ClassVar[type[Part]] = EstOptions
    secrets_type: ClassVar[type[Part]] = EstSecrets
    decides_lifetime: ClassVar[bool] = True

    def __init__(self, api: AuthorityApi) -> None:
        self._api = api

    @classmethod
    def found(cls, options: EstOptions, *, secrets: EstSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Take the roots up. Raises `Invalid` where certificate and key do not go together."""
        if (options.username is None) != (secrets.password is None):
            raise Invalid("A name and a password go together.", next_step="Give both or none.")
        _context(options, secrets)
        return Identity(private=b"", roots=roots_of(options.root_pem))

    @classmethod
    def check_terms(cls, options: EstOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for."""
        take_no_challenge(terms)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: EstOptions,
        *,
        secrets: EstSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Prepare to ask."""
        url = str(options.url).rstrip("/") + (f"/{options.label}" if options.label else "")
        auth = None
        if options.username is not None and secrets.password is not None:
            auth = httpx.BasicAuth(options.username, secrets.password.get_secret_value())
        context = _context(options, secrets)
        async with authority_api(network, url, auth=auth, context=context) as api:
            yield cls(api)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - asking again is all there is
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Ask, or ask again for what the CA has not decided yet (RFC 7030 §4.2.3). Raises `Refused` or `NotNow`."""
        answer = await self._api.ask(
            "POST",
            "/simpleenroll",
            content=base64.b64encode(request.csr),
            headers={"Content-Type": "application/pkcs10", "Accept": "application/pkcs7-mime"},
        )
        if answer.status == HTTPStatus.ACCEPTED:
            text = "The CA has it, and has not decided yet." if state is None else None
            return Pending(state=_WAITING, step="place", text=text, retry_after=pause_of(answer) or WAIT)
        return Issued(chain=await self._chain(certificates(answer), csr=request.csr))

    async def _chain(self, told: list[bytes], *, csr: bytes) -> tuple[bytes, ...]:
        """Return the certificate for the request and those above it, which the CA tells apart from it."""
        leaf = next((der for der in told if is_for(der, csr)), None)
        if leaf is None:
            raise Refused(
                "The CA answered with no certificate for our key.",
                next_step="Look at the CA; then try again.",
            )
        return chain_of(leaf, [*told, *certificates(await self._api.ask("GET", "/cacerts"))])


def certificates(answer: Answer) -> list[bytes]:
    """Return the certificates of a certs-only CMS message in base64 (RFC 8951 §3.1), in DER. Raises `NotNow`."""
    try:
        der = base64.b64decode(b"".join(answer.body.split()), validate=True)
        return [each.public_bytes(Encoding.DER) for each in pkcs7.load_der_pkcs7_certificates(der)]
    except (ValueError, binascii.Error) as error:
        raise NotNow(
            "The answer holds no certificates.", next_step="Check that the address is that of an EST server."
        ) from error


def _context(options: EstOptions, secrets: EstSecrets) -> ssl.SSLContext:
    """Return whom we trust, and what we show. Raises `Invalid`."""
    context = trusting(options.trusted_ca)
    if options.certificate_pem is not None or secrets.key_pem is not None:
        key = secrets.key_pem.get_secret_value() if secrets.key_pem else ""
        load_identity(context, certificate=options.certificate_pem or "", key=key)
    return context
