"""How channels ask HTTP APIs, and what each answer means for a notice: taken, later, or never."""

import json
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal

from services.notifier.connectors import Delivered, Later, Network, Never, Progress, Sent
from services.notifier.domain.text import clean
from shared.errors import EverleafError
from shared.web import Answer, ask_bounded, said

PATIENCE = timedelta(seconds=20)
"""How long one answer may take."""
_MOST_WORDS = 300
_ITS_FAULT = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""Statuses that another try of the same notice would get again. A refused login is not among them: that can be put right."""

Method = Literal["GET", "POST", "PUT", "PATCH"]


class NotTaken(Exception):
    """The other side has not taken it."""

    def __init__(self, sent: Later | Never) -> None:
        super().__init__(sent.reason)
        self.sent = sent


@dataclass(frozen=True, kw_only=True)
class Api:
    """An HTTP API as a channel asks it. `name` is what errors call it: addresses may be secret."""

    name: str
    network: Network
    tls: ssl.SSLContext
    headers: Mapping[str, str]
    """With the credential."""

    async def ask(
        self,
        method: Method,
        url: str,
        *,
        now: datetime,
        accepted: tuple[int, ...] = (),
        headers: Mapping[str, str] | None = None,
        **question: Any,
    ) -> Answer:
        """Ask, and return a success or what has one of the accepted statuses. Raises `NotTaken` or `shared.errors`."""
        question["headers"] = {"User-Agent": "Everleaf", **self.headers, **(headers or {})}
        async with self.network.http(url, tls=self.tls) as client:
            answer = await ask_bounded(
                client, method, url, name=self.name, seconds=PATIENCE.total_seconds(), question=question
            )
        if answer.status not in accepted:
            refuse(answer, name=self.name, now=now)
        return answer


def refuse(answer: Answer, *, name: str, now: datetime) -> None:
    """Raise `NotTaken` for what is no success."""
    status = answer.status
    if status in range(200, 300):
        return
    reason = clean(f"{name}: HTTP {status}{said(answer)}", most=_MOST_WORDS)
    if status in _ITS_FAULT:
        raise NotTaken(Never(reason=reason, is_gone=status == HTTPStatus.GONE))
    if status in range(300, 400):
        raise NotTaken(Later(reason=f"{reason} Redirects are not followed; correct the address."))
    raise NotTaken(Later(reason=reason, retry_after=retry_after(answer.headers.get("retry-after"), now=now)))


async def outcome(work: Awaitable[Delivered], *, progress: Progress) -> Sent:
    """Return what became of sending: whatever others do is an answer."""
    try:
        return await work
    except NotTaken as error:
        return replace(error.sent, progress=progress)
    except EverleafError as error:
        return Later(reason=clean(error.detail, most=_MOST_WORDS), progress=progress)


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


def fitted(
    document: Mapping[str, Any], *, most: int, lists: tuple[str, ...], part: str | None = None
) -> bytes:
    """Return a document in at most so many bytes: the longest of these lists of it, or of a part of it, is cut until it fits."""
    while len(content := json.dumps(document, separators=(",", ":")).encode()) > most:
        whole = document if part is None else document[part]
        longest = max(lists, key=lambda name: len(json.dumps(whole[name])))
        shorter = {**whole, longest: whole[longest][: len(whole[longest]) // 2]}
        document = shorter if part is None else {**document, part: shorter}
    return content
