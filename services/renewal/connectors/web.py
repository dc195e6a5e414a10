"""How authorities are asked over HTTP: by `shared.web`, with every "not now" in the words of renewal."""

import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import AnyUrl, BaseModel, ValidationError

from services.renewal.connectors import Network, NotNow
from shared.clock import utc_now
from shared.errors import NotFound, Refused, Unavailable
from shared.outbound import Forbidden, guarded_client
from shared.web import Answer, WebApi, refuse_other_than_success, trusting

ANSWER_WITHIN = 60.0
"""Seconds: some authorities sign while we wait."""
CONNECT_WITHIN = 10.0
_LONGEST_PAUSE = timedelta(days=1)
T = TypeVar("T", bound=BaseModel)


class AuthorityApi(WebApi):
    """The API of an authority. Raises `Refused`, or `NotNow` where asking again may help."""

    async def answer(self, method: str, path: str, **question: Any) -> Answer:
        """Ask, and return what is answered, whatever its status."""
        with not_now():
            return await super().answer(method, path, **question)

    async def ask(self, method: str, path: str, *, accepted: Collection[int] = (), **question: Any) -> Answer:
        """Ask, and return a success, or what has one of the accepted statuses."""
        answer = await self.answer(method, path, **question)
        if answer.status not in accepted:
            refuse(answer, path)
        return answer

    async def read(self, kind: type[T], method: str, path: str, **question: Any) -> T:
        """Ask, and return the answer as an object of this kind."""
        return understood(kind, await self.ask(method, path, **question))


def understood(kind: type[T], answer: Answer) -> T:
    """Return an answer as an object of this kind. Raises `NotNow` where it is none."""
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError:
        raise NotNow(
            "The answer is not one of such an authority.", next_step="Check that its address is right."
        ) from None  # the error quotes the answer


def refuse(answer: Answer, path: str) -> None:
    """Raise what the status of an answer means, where it is no success."""
    with not_now(pause_of(answer)):
        refuse_other_than_success(answer, path)


@contextmanager
def not_now(pause: timedelta | None = None) -> Iterator[None]:
    """Turn what `shared.web` raises into what an authority may: `NotNow`, or `Refused`."""
    try:
        yield
    except NotNow:
        raise
    except Unavailable as error:
        raise NotNow(error.detail, next_step=error.next_step, retry_after=pause) from error
    except NotFound as error:
        raise Refused(error.detail, next_step="Check the options of the authority.") from error
    except Refused as error:
        if isinstance(error.__cause__, Forbidden):  # an operator may allow it at any time
            raise NotNow(error.detail, next_step=error.next_step) from error
        raise


def pause_of(answer: Answer) -> timedelta | None:
    """Return the wait that an answer asks for (`Retry-After`, RFC 9110 §10.2.3), up to a day."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_PAUSE)
    return _until(text, now=utc_now()) if text else None


def _until(text: str, *, now: datetime) -> timedelta | None:
    try:
        wait = parsedate_to_datetime(text) - now
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta()), _LONGEST_PAUSE)


def origin(url: AnyUrl) -> str:
    """Return scheme, host and port of a URL, for what has one path only."""
    host = f"[{url.host}]" if ":" in (url.host or "") and not (url.host or "").startswith("[") else url.host
    return f"{url.scheme}://{host}:{url.port}"


@asynccontextmanager
async def authority_api(
    network: Network,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    trusted_ca: str | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[AuthorityApi]:
    """Open the API of an authority for the work on one order.

    `trusted_ca` is PEM that is trusted beside the public roots; `context` takes the place of all of it.
    """
    client = guarded_client(
        network.policy, tls=context or (trusting(trusted_ca) if trusted_ca else network.tls)
    )
    client.timeout = httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
    client.headers.update({"User-Agent": "Everleaf", "Accept": "application/json", **(headers or {})})
    if auth is not None:
        client.auth = auth
    async with client:
        yield AuthorityApi(client, url, seconds=ANSWER_WITHIN)
