"""Every error that may reach a caller, typed by meaning.

EverleafError
├── Invalid            what was asked cannot be done as asked
│   └── TooLarge       it could be, but it is more than the limits allow
├── Unauthenticated    nobody said who is asking
├── Forbidden          the caller may not do this
├── NotFound           there is no such thing, or none that the caller may see
├── Conflict           it contradicts what is already there
│   └── Stale          it was changed since the caller last read it
├── TooMany            it was tried too often, and may be again in a while
├── Refused            an outside system said no, and asking again will not help
└── Unavailable        an outside system gave no usable answer; asking again may help

Only `shared.http` knows which status code belongs to which of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong in a request: where (a JSON pointer) and what."""

    pointer: str
    message: str
    column: int | None = None
    """Where in the text that the pointer leads to, counted in characters from 1."""


class EverleafError(Exception):
    """An error that tells the caller what happened and what to do next.

    `detail` and `next_step` are shown to callers and written to logs, so they never hold a secret.
    """

    title = "Something went wrong"
    slug = "error"

    def __init__(self, detail: str, *, next_step: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return f"{self.detail} Next step: {self.next_step}"


class Invalid(EverleafError):
    """The request cannot be done as asked."""

    title = "The request is not valid"
    slug = "invalid"


class TooLarge(Invalid):
    """The request is well formed, but it asks for more than the limits allow."""

    title = "The request is too large"
    slug = "too-large"


class Unauthenticated(EverleafError):
    """There is no token, or it cannot be trusted."""

    title = "A valid token is needed"
    slug = "unauthenticated"


class Forbidden(EverleafError):
    """The caller is known, and may not do this."""

    title = "This is not allowed"
    slug = "forbidden"


class NotFound(EverleafError):
    """There is no such thing, or none that the caller may see."""

    title = "Not found"
    slug = "not-found"


class Conflict(EverleafError):
    """The request contradicts what is already there."""

    title = "This contradicts what is already there"
    slug = "conflict"


class Stale(Conflict):
    """The thing was changed since the caller last read it."""

    title = "It was changed in the meantime"
    slug = "stale"


class TooMany(EverleafError):
    """It was tried too often; `retry_after` is how long to wait."""

    title = "This was tried too often"
    slug = "too-many"

    def __init__(self, detail: str, *, next_step: str, retry_after: timedelta) -> None:
        super().__init__(detail, next_step=next_step)
        self.retry_after = retry_after


class Refused(EverleafError):
    """An outside system said no; asking again unchanged will not help."""

    title = "An outside system refused"
    slug = "refused"


class Unavailable(EverleafError):
    """An outside system gave no usable answer; asking again may help."""

    title = "An outside system did not answer"
    slug = "unavailable"
