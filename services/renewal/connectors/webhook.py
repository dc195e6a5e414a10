"""An authority of your own behind a webhook: signed requests (Standard Webhooks), the chain or "later" as an answer."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from services.renewal.connectors import Identity, Network, Part, Pending, Progress, Request, Terms
from services.renewal.connectors.errands import ASK_AGAIN, asked_for, progress, to_revoke, understood
from services.renewal.connectors.vendor import Vendor, VendorOptions, take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, pause_of, refuse
from shared.errors import Refused
from shared.events.renewal import RevocationReason
from shared.web import Answer
from shared.webhooks import key_of, signed
from shared.x509 import fingerprint

_LOCATION = "location:"
"""How what is kept begins, where an address is to be asked."""


class WebhookOptions(VendorOptions):
    """Where requests are sent."""

    url: str = Field(
        pattern=r"^https://[^@#\s]+$", max_length=2000, examples=["https://pki.example.com/everleaf"]
    )


class WebhookSecrets(Part):
    """What requests are signed with; the receiver has the same."""

    signing_secret: SecretStr = Field(
        description="`whsec_` and 24 to 64 random bytes in base64.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    @field_validator("signing_secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        key_of(value)
        return value


class WebhookAuthority(Vendor):
    """One that is asked by HTTP."""

    kind: ClassVar[str] = "webhook"
    summary: ClassVar[str] = "An authority of your own, asked by signed HTTP requests (Standard Webhooks)."
    options_type: ClassVar[type[Part]] = WebhookOptions
    secrets_type: ClassVar[type[Part]] = WebhookSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, api: AuthorityApi, path: str, *, key: bytes) -> None:
        self._api = api
        self._path = path
        self._key = key

    @classmethod
    def check_terms(cls, options: WebhookOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for."""
        take_no_challenge(terms)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: WebhookOptions,
        *,
        secrets: WebhookSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Open a client."""
        parts = urlsplit(options.url)
        path = options.url.removeprefix(f"{parts.scheme}://{parts.netloc}") or "/"
        origin = f"{parts.scheme}://{parts.netloc}"
        async with authority_api(network, origin, trusted_ca=options.trusted_ca) as api:
            yield cls(api, path, key=key_of(secrets.signing_secret))

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - who answers knows the order by its key
        now: datetime,
    ) -> Progress:
        """Ask, or ask again. Raises `Refused` or `NotNow`."""
        known = state.decode() if state is not None else None
        if known is not None and known.startswith(_LOCATION):
            answer = await self._ask("GET", known.removeprefix(_LOCATION), b"", key=request.key, now=now)
        else:
            told = asked_for(request, pending=known)
            answer = await self._ask("POST", self._path, _body(told), key=request.key, now=now)
        if answer.status == HTTPStatus.ACCEPTED and "location" in answer.headers:
            return _at(answer, first=known is None)
        if answer.status == HTTPStatus.ACCEPTED and known is not None and known.startswith(_LOCATION):
            return Pending(state=known.encode(), step="wait", retry_after=pause_of(answer) or ASK_AGAIN)
        return progress(request, understood(answer.body), first=known is None, who="The webhook")

    async def revoke(
        self, certificate: bytes, *, issuer: bytes | None, reason: RevocationReason, now: datetime
    ) -> None:
        """Have it revoked; who answers makes nothing of one that is revoked already."""
        told = to_revoke(certificate, issuer=issuer, reason=reason)
        await self._ask("POST", self._path, _body(told), key=f"revoke-{fingerprint(certificate)}", now=now)

    async def _ask(self, method: str, path: str, body: bytes, *, key: str, now: datetime) -> Answer:
        headers = signed(body, message_id=key, key=self._key, now=now)
        if body:
            headers["Content-Type"] = "application/json"
        answer = await self._api.answer(method, path, content=body, headers=headers)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Refused(
                "The webhook does not take our signature.",
                next_step="Store a new credential: the `signing_secret` that the receiver has.",
            )
        refuse(answer, path)
        return answer


def _body(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


def _at(answer: Answer, *, first: bool) -> Pending:
    """Go on at the address that the answer names; `AuthorityApi` asks no other origin than its own."""
    text = "The webhook has taken the request and will issue later." if first else None
    wait: timedelta = pause_of(answer) or ASK_AGAIN
    state = f"{_LOCATION}{answer.headers['location']}".encode()
    return Pending(state=state, step="wait", text=text, retry_after=wait)
