"""Signed webhooks as the Standard Webhooks specification has them (https://www.standardwebhooks.com)."""

import ipaddress
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, ClassVar, Self

import anyio
import httpx
from pydantic import Field, SecretStr, field_validator

from services.notifier.connectors import Delivered, Later, Network, Never, Part, Progress, Sent
from services.notifier.connectors.trust import trusting
from services.notifier.domain.notices import Notice, Turn
from shared.outbound import guarded_client
from shared.webhooks import key_of, signed

LIMIT = 20_000
"""Bytes a body may have (Standard Webhooks, "payload size")."""
PATIENCE = timedelta(seconds=30)
_TYPES = {
    Turn.OPENED: "alert.opened",
    Turn.RAISED: "alert.raised",
    Turn.RESOLVED: "alert.resolved",
    Turn.TEST: "channel.test",
}


class Options(Part):
    """Where to, and whom to trust there."""

    url: str = Field(max_length=2000, examples=["https://hooks.example.test/everleaf"])
    """https; http only to this very machine."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL as error:
            msg = "not a URL"
            raise ValueError(msg) from error
        if not url.host or url.scheme not in ("https", "http"):
            msg = "write https://host/path"
            raise ValueError(msg)
        if url.userinfo:
            msg = "user and password do not belong in a URL; the signature says who sends"
            raise ValueError(msg)
        if url.scheme == "http" and not _is_this_machine(url.host):
            msg = "use https; http is only for this very machine"
            raise ValueError(msg)
        return value


class Secrets(Part):
    """What messages are signed with; the receiver has the same."""

    signing_secret: SecretStr = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    """`whsec_` and 24 to 64 random bytes in base64."""

    @field_validator("signing_secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        key_of(value)
        return value


class Webhook:
    """A receiver of signed messages."""

    kind: ClassVar[str] = "webhook"
    summary: ClassVar[str] = "A signed HTTP request (Standard Webhooks)."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # the secret itself is never sent

    def __init__(self, options: Options, *, key: bytes, tls: ssl.SSLContext, network: Network) -> None:
        self._options = options
        self._key = key
        self._tls = tls
        self._network = network

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        return cls(options, key=key_of(secrets.signing_secret), tls=tls, network=network)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Post the notice; redirects are never followed."""
        content = body(notice)
        headers = {"Content-Type": "application/json", "User-Agent": "Everleaf"}
        headers |= signed(content, message_id=notice.id, key=self._key, now=now)
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                response = await self._post(content, headers=headers)
        except TimeoutError:
            return Later(reason=f"No answer within {PATIENCE.seconds} s.", progress=progress)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            return Later(reason=f"{type(error).__name__}: {error}", progress=progress)
        return _meaning(response, now=now)

    async def _post(self, content: bytes, *, headers: Mapping[str, str]) -> httpx.Response:
        # What the receiver writes in its answer is of no interest, and is not read: it could be endless.
        async with (
            guarded_client(self._network.policy, tls=self._tls) as client,
            client.stream("POST", self._options.url, content=content, headers=headers) as response,
        ):
            return response


def body(notice: Notice) -> bytes:
    """Return `{type, timestamp, data}` in at most 20,000 bytes: long lists are cut, and counted whole."""
    data = _data(notice)
    document = {"type": _TYPES[notice.turn], "timestamp": notice.at.isoformat(), "data": data}
    while len(content := json.dumps(document, separators=(",", ":")).encode()) > LIMIT:
        longest = max(("names", "places"), key=lambda name: len(json.dumps(data[name])))
        data[longest] = data[longest][: len(data[longest]) // 2]
    return content


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


def retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read `Retry-After` (RFC 9110 §10.2.3), seconds or a date; what cannot be read says nothing."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return timedelta(seconds=min(int(header[:9]), 10**9))
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(until - now, timedelta())


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
