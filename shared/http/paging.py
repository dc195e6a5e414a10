"""Lists come in pages, each of which starts after the last item of the one before."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from inspect import signature
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import Field

from shared import errors
from shared.http.bodies import View

T = TypeVar("T")
_DIGITS = 19
"""No number that a database keeps has more."""


def of_query(kind: Callable[..., T]) -> Any:
    """Declare a parameter that is made of the query, as FastAPI's `Depends` does.

    That calls a class in a thread, for it might wait. To go there and back costs more than to answer many a question.

    >>> AllPages = Annotated[Paging, of_query(Paging)]
    """

    async def made(**given: Any) -> T:
        return kind(**given)

    made.__signature__ = signature(kind)  # type: ignore[attr-defined] # what FastAPI reads the parameters from
    return Depends(made)


class Page(View, Generic[T]):
    """One page of a list; the absence of `next_cursor` is the only sign of its end."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` to get the next page.")


class Paging:
    """The query parameters of every list: `limit` (50, at most 1000) and `cursor`."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, description="Items per page; more than 1000 means 1000.")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> None:
        self.limit = min(limit, 1000)
        self.after = _decode(cursor) if cursor else None

    def after_parts(self, count: int) -> list[str] | None:
        """Return what the page starts after, where its key has several parts. Raises `Invalid`."""
        if self.after is not None and len(self.after) != count:
            raise _not_ours()
        return self.after

    def after_number(self) -> int | None:
        """Return what the page starts after, where its key is a number. Raises `Invalid`."""
        parts = self.after_parts(1)
        if parts is None:
            return None
        return number_in(parts[0])

    def page(self, rows: Sequence[T], *, key: Callable[[T], Sequence[str]]) -> Page[T]:
        """Build a page from `limit + 1` rows; `key` gives what the next page starts after."""
        kept = list(rows[: self.limit])
        more = len(rows) > self.limit
        return Page(items=kept, next_cursor=_encode(key(kept[-1])) if more else None)


def _encode(key: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode()


def _decode(cursor: str) -> list[str]:
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise _not_ours()
    return value


def number_in(part: str) -> int:
    """Return the number that a part of a cursor is. Raises `Invalid`."""
    if not (part.isascii() and part.isdigit() and len(part) < _DIGITS):
        raise _not_ours()
    return int(part)


def instant_in(part: str) -> datetime:
    """Return the instant, in UTC, that a part of a cursor is. Raises `Invalid`."""
    try:
        at = datetime.fromisoformat(part)
        in_utc = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_ours() from None
    if at.tzinfo is None:
        raise _not_ours()
    return in_utc


def _not_ours() -> errors.Invalid:
    return errors.Invalid(
        "The cursor is not one of ours.",
        next_step="Leave it out to start from the first page.",
        faults=[errors.Fault(pointer="/query/cursor", message="not a cursor")],
    )
