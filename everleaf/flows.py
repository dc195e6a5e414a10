"""What a client does for one call, step by step: sign in, send, wait, send again.

A flow yields what is to be done (a `Send`, or a `Pause`) and is told what came of it, so that one
description serves a client that blocks and one that awaits.
"""

import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import httpx

from everleaf.calls import JSON, Answer, Call, parameters
from everleaf.contracts import inventory
from everleaf.problems import EndedOtherwise, NotInTime, Unreachable, problem
from everleaf.retries import Retries
from everleaf.waiting import Wait

T = TypeVar("T")
API_KEY = "evl_"
_EARLIER = timedelta(seconds=30)
"""So long before its end a token is exchanged for a new one."""
_NEVER = datetime.min.replace(tzinfo=UTC) + _EARLIER
"""Before anything that ends."""


@dataclass(frozen=True)
class Send:
    """Send this and tell the response, or the error of the transport."""

    method: str
    path: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Seen:
    """What a look has shown: for whoever follows the progress."""

    document: Any


Outcome = httpx.Response | httpx.TransportError | None
Flow = Generator[Send | Pause, Outcome, T]


@dataclass
class Credential:
    """A token as it is, or an API key with the token that it was exchanged for."""

    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    ends: datetime = _NEVER

    @property
    def is_api_key(self) -> bool:
        """Whether it must be exchanged before anything can be asked."""
        return self.secret.startswith(API_KEY)

    def forget(self) -> None:
        """Take the token for one that is accepted no more."""
        self.ends = _NEVER


class Flows:
    """All that clients do, without doing it."""

    def __init__(self, credential: Credential, retries: Retries) -> None:
        self._credential = credential
        self._retries = retries

    def answer(self, call: Call[T]) -> Flow[Answer[T]]:
        """Return what a call answers. Raises `Problem` or `Unreachable`."""
        bearer = yield from self.bearer()
        response = yield from self._send(call, bearer)
        if response.status_code == httpx.codes.UNAUTHORIZED and self._credential.is_api_key:
            # Rights may have changed since: then only a new token is good.
            self._credential.forget()
            bearer = yield from self.bearer()
            response = yield from self._send(call, bearer)
        if not response.is_success:
            raise problem(response)
        return Answer(
            status=response.status_code,
            body=_read(call, response),
            etag=response.headers.get("ETag"),
            location=response.headers.get("Location"),
        )

    def bearer(self) -> Flow[str]:
        """Return the token to send, after an exchange where one is due."""
        credential = self._credential
        if not credential.is_api_key:
            return credential.secret
        if datetime.now(UTC) >= credential.ends - _EARLIER:
            response = yield from self._send(inventory.create_token({}), credential.secret)
            if not response.is_success:
                raise problem(response)
            document: inventory.TokenView = response.json()
            credential.token = document["access_token"]
            credential.ends = datetime.fromisoformat(document["expires_at"])
        return credential.token

    def wait(
        self, wait: Wait[T], *, every: float, within: float | None
    ) -> Generator[Send | Pause | Seen, Outcome, T]:
        """Look until it has ended; return what was seen last. Raises `EndedOtherwise` or `NotInTime`."""
        passed = 0.0
        while True:
            began = datetime.now(UTC)
            seen = (yield from self.answer(wait.look)).body
            yield Seen(seen)
            if wait.is_good(seen):
                return seen
            if wait.is_bad(seen):
                raise EndedOtherwise(
                    f"{_capital(wait.what)} is {wait.state(seen)}{_because(seen)}.",
                    next_step=_next_step(seen),
                    last=cast("dict[str, Any]", seen),
                )
            if within is not None and passed >= within:
                raise NotInTime(
                    f"{_capital(wait.what)} is still {wait.state(seen)} after {within:g} seconds.",
                    next_step="It goes on: wait longer, or look at it later.",
                    last=cast("dict[str, Any]", seen),
                )
            yield Pause(every if within is None else min(every, max(0.0, within - passed)))
            passed += (datetime.now(UTC) - began).total_seconds()

    def _send(self, call: Call[Any], bearer: str) -> Flow[httpx.Response]:
        send = Send(call.method, call.path, arguments(call, bearer))
        attempt = 0
        while True:
            outcome = yield send
            assert outcome is not None  # noqa: S101 - what is sent has an outcome: it tells the type checker
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return outcome
            seconds = self._retries.wait(attempt, call, outcome)
            if seconds is not None:
                attempt += 1
                yield Pause(seconds)
            elif isinstance(outcome, httpx.Response):
                return outcome
            else:
                raise unreachable(outcome) from outcome


def unreachable(error: httpx.TransportError) -> Unreachable:
    """Return the exception for an answer that did not come."""
    return Unreachable(
        f"No answer came ({type(error).__name__}: {error}).",
        next_step="Check the address, and whether the platform runs.",
    )


def arguments(call: Call[Any], bearer: str) -> dict[str, Any]:
    """Return what httpx is told to send beside method and path."""
    headers = {name: str(value) for name, value in call.headers.items() if value is not None}
    headers["Authorization"] = f"Bearer {bearer}"
    if call.takes_key:
        headers["Idempotency-Key"] = str(uuid.uuid4())  # one for all attempts
    if call.answers == "json":
        headers.setdefault("Accept", f"{JSON}, */*;q=0.5")
    sent: dict[str, Any] = {"params": parameters(call.query), "headers": headers}
    if call.body is not None:
        if call.sends == JSON:
            sent["json"] = call.body
        elif isinstance(call.body, bytes):
            sent["content"] = call.body
            headers["Content-Type"] = call.sends
        else:
            sent["data"] = call.body
    return sent


def _read(call: Call[T], response: httpx.Response) -> T:
    body: Any
    if call.answers == "nothing" or not response.content:
        body = None
    elif call.answers == "json":
        body = response.json()
    else:
        body = response.text if call.answers == "text" else response.content
    return cast("T", body)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _because(seen: Any) -> str:
    reason = next((seen[name] for name in ("reason", "last_error", "error") if seen.get(name)), None)
    return f": {str(reason).rstrip('.')}" if reason else ""


def _next_step(seen: Any) -> str:
    return str(seen.get("next_step") or "Look at it, put right what is wrong, and try it again.")
