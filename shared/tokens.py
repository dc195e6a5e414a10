"""How we ask an API whose tokens are short-lived: one is made when it is needed, and made anew once where it is refused."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any, Protocol

import anyio
from pydantic import BaseModel, Field, ValidationError

from shared.errors import Unavailable
from shared.web import Answer, LoginRefused, WebApi

EARLY = timedelta(minutes=2)
"""A token is made anew so long before its end, or where half of a short life is over."""
TOKEN = r"^[\x21-\x7e]+$"  # noqa: S105 - what a token looks like: what else came into a header would be shown by its error
LONGEST_TOKEN = 32_768


class Api(Protocol):
    """An API that is asked as `web.WebApi` is."""

    async def get(self, path: str, **question: Any) -> Any:
        """Return what is at a path, as JSON."""

    async def ask(self, method: str, path: str, *, accepted: Collection[int] = (), **question: Any) -> Answer:
        """Ask, and return a success, or an answer with one of the statuses `accepted`."""

    def lines(self, path: str, *, idle: float, **question: Any) -> AsyncGenerator[bytes]:
        """Yield what an answer without an end says, line by line."""
        ...


@dataclass(frozen=True, kw_only=True)
class Token:
    """What shows who asks, and how long it does."""

    value: str = field(repr=False)
    lifetime: timedelta | None = None
    """None where it says nothing of its end."""


class RenewingApi:
    """An API, asked with a token that is made when it is needed.

    A 401 in the middle of a run is answered with one new token, and the question is asked once more.
    """

    def __init__(self, api: WebApi, *, make: Callable[[], Awaitable[Token]]) -> None:
        self._api = api
        self._make = make
        self._token: Token | None = None
        self._until = 0.0
        self._lock = anyio.Lock()

    async def get(self, path: str, **question: Any) -> Any:
        """Return what is at a path, as JSON; `question` is what httpx takes: params, headers."""
        return (await self.ask("GET", path, **question)).json()

    async def ask(self, method: str, path: str, *, accepted: Collection[int] = (), **question: Any) -> Answer:
        """Ask, and return a success, or an answer with one of the statuses `accepted`; everything else is raised."""
        token, is_new = await self._current()
        first = await self._api.ask(
            method, path, accepted=_with_refusal(accepted, is_new=is_new), **_with(token, question)
        )
        if first.status != HTTPStatus.UNAUTHORIZED:
            return first
        token = await self._renewed(token)
        return await self._api.ask(method, path, accepted=accepted, **_with(token, question))

    async def lines(self, path: str, *, idle: float, **question: Any) -> AsyncGenerator[bytes]:
        """Yield what an answer without an end says, line by line."""
        token, _ = await self._current()
        async with aclosing(self._api.lines(path, idle=idle, **_with(token, question))) as lines:
            async for line in lines:
                yield line

    async def _current(self) -> tuple[Token, bool]:
        """Return the token, and whether it was made for this question: then a refusal is the last word."""
        token = self._token
        if token is not None and monotonic() < self._until:
            return token, False
        return await self._renewed(token), True

    async def _renewed(self, old: Token | None) -> Token:
        """Return a new token: one for all questions that were refused with the old one."""
        async with self._lock:
            if self._token is None or self._token is old:
                self._token = await self._make()
                self._until = _until(self._token)
            return self._token


def _with_refusal(accepted: Collection[int], *, is_new: bool) -> Collection[int]:
    return accepted if is_new else {*accepted, HTTPStatus.UNAUTHORIZED}


def _with(token: Token, question: dict[str, Any]) -> dict[str, Any]:
    headers = {**question.get("headers", {}), "Authorization": f"Bearer {token.value}"}
    return {**question, "headers": headers}


def _until(token: Token) -> float:
    if token.lifetime is None:
        return float("inf")
    return monotonic() + max(token.lifetime - EARLY, token.lifetime / 2).total_seconds()


class _Granted(BaseModel):
    """A successful answer of a token endpoint (RFC 6749 §5.1)."""

    access_token: str = Field(pattern=TOKEN, max_length=LONGEST_TOKEN)
    token_type: str = Field(pattern="^[Bb]earer$")
    expires_in: int = Field(3600, ge=1, le=31_536_000)


async def granted(api: WebApi, path: str, form: dict[str, str]) -> Token:
    """Ask a token endpoint (RFC 6749 §4) for a token. Raises `Refused` where the credential is not taken."""
    refusals = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    answer = await api.ask("POST", path, data=form, accepted=refusals)
    if answer.status in refusals:
        raise LoginRefused(
            f"No token is given: {_refusal(answer)}.",
            next_step="Check the settings, and store a new credential where they are right.",
        )
    try:
        told = _Granted.model_validate_json(answer.body)
    except ValidationError:
        raise Unavailable(
            "The token endpoint gave no bearer token.", next_step="Check that its address is right."
        ) from None  # the error quotes the answer
    return Token(value=told.access_token, lifetime=timedelta(seconds=told.expires_in))


def _refusal(answer: Answer) -> str:
    """Return error and description of RFC 6749 §5.2, as one plain line."""
    try:
        told = answer.json()
    except Unavailable:
        told = None
    if not isinstance(told, dict):
        return f"HTTP {answer.status}"
    words = " ".join(str(told[name]) for name in ("error", "error_description") if told.get(name))
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:300]
