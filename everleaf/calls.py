"""What is asked of the platform, as a value: the functions of `everleaf.contracts` make it, a client sends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar
from urllib.parse import quote

T = TypeVar("T")
Form = Literal["json", "text", "bytes", "nothing"]
JSON = "application/json"


class Page(TypedDict, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: NotRequired[str | None]
    """What asks for the page after it; null on the last."""


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One operation with its arguments; `T` is what it answers."""

    operation: str
    """Its id in the contract, as `list_scans`."""
    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    """What is None is left out."""
    headers: Mapping[str, object] = field(default_factory=dict)
    """As the query's."""
    body: object = None
    sends: str = JSON
    """The media type of the body."""
    answers: Form = "json"
    takes_key: bool = False
    """Whether it takes an `Idempotency-Key`: then it may be sent twice and is done once."""

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once (RFC 9110 §9.2.2)."""
        return self.takes_key or self.method in {"GET", "HEAD", "PUT", "DELETE"}


@dataclass(frozen=True, kw_only=True)
class Listing(Call[Page[T]], Generic[T]):
    """A list that is answered page by page."""

    def after(self, cursor: str) -> "Listing[T]":
        """Return the call for the page that this cursor stands for."""
        return replace(self, query={**self.query, "cursor": cursor})


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """What came back, with what is said beside the document."""

    status: int
    body: T
    etag: str | None
    """What an update sends back as `if_match`, so that it changes what was read and nothing newer."""
    location: str | None


def quoted(value: object) -> str:
    """Return a value as one segment of a path."""
    return quote(str(value), safe="")


def parameters(query: Mapping[str, object]) -> dict[str, Any]:
    """Return the query parameters as they are sent."""
    said = {name: value for name, value in query.items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in said.items()}
