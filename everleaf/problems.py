"""Every way in which it may not work, typed by meaning; each says what to do next.

ClientError
├── Problem            the platform says no: a problem document (RFC 9457)
│   ├── NotValid       it cannot be done as asked (400, 413, 422)
│   ├── NotAccepted    there is no token, or it is not accepted (401)
│   ├── Forbidden      whoever asks may not do this (403)
│   ├── NotFound       there is none, or none that may be seen (404)
│   ├── Conflict       it contradicts what is there (409)
│   ├── Stale          it was changed since it was read (412)
│   ├── TooMany        it was asked too often (429)
│   └── Unavailable    the platform cannot answer now (5xx)
├── Unreachable        no answer came
├── NotSafe            the token would travel where others can read it
├── EndedOtherwise     what was waited for ended, and not as hoped
└── NotInTime          what was waited for has not ended yet
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

_OTHER = {
    "detail": "The answer is no document of the platform.",
    "next_step": "Check the address, and the log of what answers there.",
}


class ClientError(Exception):
    """It did not work: `detail` says why, `next_step` what to do."""

    def __init__(self, detail: str, *, next_step: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.detail} Next step: {self.next_step}"


class Problem(ClientError):
    """The platform says no."""

    def __init__(self, status: int, document: Mapping[str, Any], *, retry_after: str | None = None) -> None:
        super().__init__(
            str(document.get("detail") or f"The platform answered {status}."),
            next_step=str(document.get("next_step") or _OTHER["next_step"]),
        )
        self.status = status
        self.title = str(document.get("title", ""))
        self.trace_id: str | None = document.get("trace_id")
        """What finds this request in the platform's logs and traces."""
        self.faults: Sequence[Mapping[str, str]] = tuple(document.get("errors", ()))
        """What is wrong where: `pointer` (a JSON pointer), `message`, and `column` in a query."""
        self.retry_after = retry_after


class NotValid(Problem):
    """It cannot be done as asked."""


class NotAccepted(Problem):
    """There is no token, or it is not accepted."""


class Forbidden(Problem):
    """Whoever asks may not do this."""


class NotFound(Problem):
    """There is none, or none that whoever asks may see."""


class Conflict(Problem):
    """It contradicts what is there."""


class Stale(Problem):
    """It was changed since it was read."""


class TooMany(Problem):
    """It was asked too often."""


class Unavailable(Problem):
    """The platform cannot answer now."""


class Unreachable(ClientError):
    """No answer came."""


class NotSafe(ClientError):
    """The token would travel where others can read it."""


class EndedOtherwise(ClientError):
    """What was waited for ended, and not as hoped."""

    def __init__(self, detail: str, *, next_step: str, last: Mapping[str, Any]) -> None:
        super().__init__(detail, next_step=next_step)
        self.last = last


class NotInTime(EndedOtherwise):
    """What was waited for has not ended yet; it goes on without us."""


_KINDS = {
    400: NotValid,
    401: NotAccepted,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: NotValid,
    422: NotValid,
    429: TooMany,
}
_SERVER = 500


def problem(answer: httpx.Response) -> Problem:
    """Return the exception for an answer that is no success; its body has been read."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict) or "detail" not in document:
        document = {**_OTHER, "detail": f"{answer.url.host} answered {answer.status_code} without a reason."}
    status = answer.status_code
    kind = _KINDS.get(status, Unavailable if status >= _SERVER else Problem)
    return kind(status, document, retry_after=answer.headers.get("Retry-After"))
