"""How we ask an HTTP API of others: bounded questions, bounded answers, and every refusal in the words of `shared.errors`.

The client is the guarded one, so an API is reached only where the outbound policy permits it; TLS is verified
always, against the public roots and those that the settings name beside. Redirects are not followed: the
credential goes to whom it was given for.
"""

import json
import ssl
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
import httpx

from shared.errors import Invalid, NotFound, Refused, Unavailable
from shared.outbound import Forbidden
from shared.tls import client_context

MOST_BYTES = 32 * 1024 * 1024
"""Of one answer, decompressed."""
_SAID = 200
"""Characters of what an API says of an error that are shown."""


class NotPermitted(Refused):
    """The login is right, and has not the right to this: a gap, for who can go on without it."""

    title = "The login may not do this"
    slug = "not-permitted"


class OutOfReach(Refused):
    """The outbound policy lets nobody connect there."""


class LoginRefused(Refused):
    """The credential is wrong or has expired."""


class Contradicted(Refused):
    """What is there is not as the question supposes, or was changed since it was read (HTTP 409, 412)."""


class TooFast(Unavailable):
    """The API takes no more questions for a while (HTTP 429)."""


class TooLong(Unavailable):
    """The answer is larger than we take; asking for a part of it may help."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an API answered."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON. Raises `Unavailable`."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Unavailable(
                "The answer is not JSON.", next_step="Check that the address is that of the API."
            ) from error


class WebApi:
    """One API, asked one question after the other.

    Raises `Refused` (`LoginRefused` for a refused login, `NotPermitted` where it may not do this, `Contradicted` where
    it is not so), `NotFound` where there is nothing at a path, and `Unavailable` where there is no usable answer
    (`TooFast`, `TooLong`). Texts name the path, never a header or parameter.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, *, seconds: float) -> None:
        """`url` is what all paths begin with; `seconds` how long one answer may take, down to its last byte."""
        self._client = client
        self._url = url.rstrip("/")
        self._seconds = seconds

    async def get(self, path: str, **question: Any) -> Any:
        """Return what is at a path, as JSON; `question` is what httpx takes: params, headers."""
        return (await self.ask("GET", path, **question)).json()

    async def ask(self, method: str, path: str, *, accepted: Collection[int] = (), **question: Any) -> Answer:
        """Ask, and return a success, or what has one of the accepted statuses; everything else is raised."""
        answer = await self.answer(method, path, **question)
        if answer.status not in accepted:
            refuse_other_than_success(answer, path)
        return answer

    async def answer(self, method: str, path: str, **question: Any) -> Answer:
        """Ask, and return what is answered, whatever its status: some APIs refuse in words of their own."""
        url = path if path.startswith(("http://", "https://")) else self._url + path
        if not url.startswith(self._url + "/"):
            raise Unavailable(
                "The API names a page at another address.", next_step="Check that the address is the API's."
            )
        return await ask_bounded(
            self._client, method, url, name=path, seconds=self._seconds, question=question
        )

    async def lines(self, path: str, *, idle: float, **question: Any) -> AsyncGenerator[bytes]:
        """Yield what an answer without an end says, line by line; `idle` is how many seconds it may say nothing.

        An answer that is no success is raised, and so is a line of more than `MOST_BYTES`.
        """
        timeout = httpx.Timeout(self._seconds, read=idle)
        with named(path, seconds=idle):
            async with self._client.stream("GET", self._url + path, timeout=timeout, **question) as response:
                if not response.is_success:
                    body = (await response.aread())[:MOST_BYTES]
                    refuse_other_than_success(
                        Answer(status=response.status_code, headers=response.headers, body=body), path
                    )
                rest = bytearray()
                async for chunk in response.aiter_bytes():
                    *whole, last = chunk.split(b"\n")
                    for line in whole:
                        yield bytes(rest + line)
                        rest.clear()
                    rest += last
                    if len(rest) > MOST_BYTES:
                        raise TooLong(
                            f"{path}: a line is larger than {MOST_BYTES} bytes.",
                            next_step="Check that the address is that of the API.",
                        )


async def ask_bounded(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    name: str,
    seconds: float,
    question: Mapping[str, Any],
) -> Answer:
    """Ask, and return what was answered, whatever its status; errors call the question by `name`.

    Raises `Unavailable` where there is no usable answer within `seconds`, and `Refused` where the policy forbids it or
    the client certificate is not taken.
    """
    with named(name, seconds=seconds), anyio.fail_after(seconds):
        try:
            return await _answer(client, method, url, name=name, question=question)
        except httpx.RemoteProtocolError:
            if method != "GET":
                raise
            # It was about to close a connection that we had kept: RFC 9110 §9.2.2 lets us ask that again.
            return await _answer(client, method, url, name=name, question=question)


@contextmanager
def named(name: str, *, seconds: float) -> Iterator[None]:
    """Turn what asking raises into errors that call the question by `name`."""
    try:
        yield
    except (TimeoutError, httpx.ReadTimeout) as error:
        raise Unavailable(
            f"{name}: there was no answer within {seconds:g} s.", next_step="Check that it is up."
        ) from error
    except Forbidden as error:
        raise OutOfReach(f"{error}.", next_step="Ask an operator to allow it.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        if _is_identity_refused(error):
            raise LoginRefused(
                f"{name}: the client certificate is not accepted.",
                next_step="Store the certificate and key that the API knows, and that have not expired.",
            ) from error
        raise Unavailable(f"{name}: {_reason(error)}.", next_step=_next_step(error)) from error


async def _answer(
    client: httpx.AsyncClient, method: str, url: str, *, name: str, question: Mapping[str, Any]
) -> Answer:
    async with client.stream(method, url, **question) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes(1 << 16):
            body += chunk
            if len(body) > MOST_BYTES:
                raise TooLong(
                    f"{name}: the answer is larger than {MOST_BYTES} bytes.",
                    next_step="Check that the address is that of the API.",
                )
        return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


def trusting(pem: str | None) -> ssl.SSLContext:
    """Return a verifying context that trusts the public roots and these. Raises `Invalid`."""
    context = client_context()
    if pem:
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise Invalid(
                "The trusted certificate is not PEM.", next_step="Send the CA's certificate as PEM text."
            ) from error
    return context


def refuse_other_than_success(answer: Answer, path: str) -> None:
    """Raise what the status of an answer means, with the path and the API's own words."""
    status = answer.status
    if status in range(200, 300):
        return
    what = f"{path}: HTTP {status}{said(answer)}"
    if status == HTTPStatus.UNAUTHORIZED:
        raise LoginRefused(what, next_step="Store a new credential: this one is wrong or has expired.")
    if status == HTTPStatus.FORBIDDEN:
        raise NotPermitted(
            what,
            next_step="Give the login the right to do this, or store a new credential where it has expired.",
        )
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise NotFound(what, next_step="Check the settings.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TooFast(what, next_step="It is tried again by itself.")
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus(500):
        raise Unavailable(what, next_step="It is tried again by itself.")
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        raise Contradicted(what, next_step="Look what else changes it, and check the settings.")
    raise Refused(what, next_step="Check the settings.")


def said(answer: Answer) -> str:
    """Return what the API says of its error, as one plain line in brackets; a full stop where it says nothing."""
    try:
        told = answer.json()
    except Unavailable:
        return "."
    text = _message(told)
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f" ({plain[:_SAID]})." if plain else "."


def _message(told: Any) -> str:
    """Return the words of an error, wherever this API puts them."""
    if isinstance(told, str):
        return told
    if isinstance(told, list):
        return "; ".join(filter(None, map(_message, told[:3])))
    if not isinstance(told, dict):
        return ""
    names = (
        "message",
        "error_description",
        "description",
        "detail",
        "error_message",
        "errors",
        "error",
        "title",
    )
    return next(filter(None, (_message(told[name]) for name in names if name in told)), "")


def _is_identity_refused(error: Exception) -> bool:
    """Return whether the other side ended the handshake with an alert about our certificate (RFC 8446 §6.2)."""
    said = str(error).upper()
    return "ALERT" in said and ("CERTIFICATE" in said or "UNKNOWN_CA" in said or "UNKNOWN CA" in said)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(".")


def _next_step(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Name the CA of the API in `trusted_ca`, or correct its certificate."
    return "Check the address, and that it is up."
