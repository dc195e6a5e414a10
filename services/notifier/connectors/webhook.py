"""Signed webhooks as the Standard Webhooks specification has them (https://www.standardwebhooks.com)."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Self

import anyio
import httpx
from pydantic import Field, SecretStr, field_validator

from services.notifier.connectors import Delivered, Later, Network, Never, Paced, Part, Progress, Sent
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import fitted, retry_after
from services.notifier.domain.notices import Notice, Turn
from shared.webhooks import Signer, signed, signer_of

LIMIT = 20_000
"""Bytes a body may have (Standard Webhooks, "payload size")."""
PATIENCE = timedelta(seconds=30)
_SHORT = 4_000
"""Bytes."""
_ENDS_WITHIN = timedelta(seconds=1)
_TEST = "channel.test"


class Options(Paced):
    """Where to, and whom to trust there."""

    url: Url = Field(examples=["https://hooks.example.test/everleaf"])
    """https; http only to this very machine."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """What messages are signed with."""

    signing_secret: SecretStr = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    """`whsec_` and 24 to 64 random bytes in base64, which the receiver has too; or `whsk_` and an Ed25519 key."""
    previous_secret: SecretStr | None = None
    """The one before, while receivers still check with it: messages are then signed with both."""

    @field_validator("signing_secret", "previous_secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signer_of(value)
        return value

    def signers(self) -> tuple[Signer, ...]:
        """Return what signs, the present one first."""
        given = (self.signing_secret, self.previous_secret)
        return tuple(signer_of(each) for each in given if each is not None)


class Webhook:
    """A receiver of signed messages."""

    kind: ClassVar[str] = "webhook"
    summary: ClassVar[str] = "A signed HTTP request (Standard Webhooks)."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # the secret itself is never sent

    def __init__(
        self, options: Options, *, signers: Sequence[Signer], tls: ssl.SSLContext, network: Network
    ) -> None:
        self._options = options
        self._signers = signers
        self._tls = tls
        self._network = network

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        return cls(options, signers=secrets.signers(), tls=tls, network=network)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Post the notice; redirects are never followed."""
        content = body(notice)
        headers = {"Content-Type": "application/json", "User-Agent": "Everleaf"}
        key, *also = self._signers
        headers |= signed(content, message_id=notice.id, key=key, also=also, now=now)
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                response = await self._post(content, headers=headers)
        except TimeoutError:
            return Later(reason=f"No answer within {PATIENCE.seconds} s.", progress=progress)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            return Later(reason=f"{type(error).__name__}: {error}", progress=progress)
        return _meaning(response, now=now)

    async def _post(self, content: bytes, *, headers: Mapping[str, str]) -> httpx.Response:
        async with (
            self._network.http(self._options.url, tls=self._tls) as client,
            client.stream("POST", self._options.url, content=content, headers=headers) as response,
        ):
            await _let_end(response)
            return response


async def _let_end(response: httpx.Response) -> None:
    """Read a short answer to its end, so that the connection can serve again; what it says is of no interest.

    One that is long, endless or slow is left alone, and its connection is closed.
    """
    read = 0
    with anyio.move_on_after(_ENDS_WITHIN.total_seconds()):
        async for part in response.aiter_raw():
            read += len(part)
            if read > _SHORT:
                return


def body(notice: Notice) -> bytes:
    """Return `{type, timestamp, data}` in at most 20,000 bytes: long lists are cut, and counted whole."""
    document = {
        "type": _TEST if notice.turn is Turn.TEST else f"alert.{notice.turn}",
        "timestamp": notice.at.isoformat(),
        "data": _data(notice),
    }
    return fitted(document, most=LIMIT, lists=("names", "places"), part="data")


def _data(notice: Notice) -> dict[str, Any]:
    details = notice.details
    return {
        "alert_id": notice.alert_id,
        "number": notice.number,
        "lineage_id": notice.lineage_id,
        "fingerprint": notice.fingerprint,
        "problem": notice.problem,
        "severity": notice.severity,
        "summary": notice.headline,
        "opened_at": notice.opened_at.isoformat(),
        "names": list(details.names),
        "not_after": details.not_after.isoformat() if details.not_after else None,
        "places": list(details.places),
        "place_count": details.place_count,
        "target": details.target,
        "policy": details.policy,
        "reason": details.reason,
        "next_step": details.next_step,
        "approval_id": details.approval_id,
        "digest": details.digest,
        "link": notice.link,
    }


def _meaning(response: httpx.Response, *, now: datetime) -> Sent:
    answer = f"HTTP {response.status_code}"
    if response.is_success:
        return Delivered(answer=answer)
    if response.status_code == HTTPStatus.GONE:
        return Never(reason=f"{answer}: the receiver wants no more messages.", is_gone=True)
    if response.is_redirect:
        return Later(reason=f"{answer}: redirects are not followed; correct the URL.")
    return Later(reason=answer, retry_after=retry_after(response.headers.get("retry-after"), now=now))
