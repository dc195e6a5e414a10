"""What AWS's errors mean: a login that is wrong, a right that is missing, or no usable answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shared.errors import EverleafError, NotFound, Refused, Unavailable
from shared.web import LoginRefused, NotPermitted, TooFast

_UNKNOWN_KEY = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "AuthFailure",
        "InvalidToken",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_WRONG_LOGIN = frozenset(
    {
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
    }
)
_NOT_PERMITTED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "ForbiddenException",
        "NotAuthorized",
        "OptInRequired",
        "UnauthorizedOperation",
    }
)
_TRY_AGAIN = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_NO_SUCH = frozenset({"NoSuchEntity", "NoSuchKey", "ResourceNotFoundException", "NotFoundException"})
_SERVER_ERROR = 500
_SAID = 200


class UnknownKey(LoginRefused):
    """The access key is not known there: it is wrong, or the region is not enabled for the account."""


class Expired(LoginRefused):
    """The session's key has expired."""


class Declined(NotPermitted):
    """One call was refused, and others need not be: `action` in `region` of `account`."""


_LOGIN: tuple[tuple[frozenset[str], type[Refused], str], ...] = (
    (_UNKNOWN_KEY, UnknownKey, "Store a new credential: this one is wrong or was withdrawn."),
    (_EXPIRED, Expired, "Store a new credential: this one has expired."),
    (_WRONG_LOGIN, LoginRefused, "Store a new credential, and check the clock of this machine."),
)


def error_of(answer: Mapping[str, Any], *, action: str, where: str) -> EverleafError:
    """Return what an error answer means, as botocore reads it; `where` names account and region."""
    error = answer.get("Error", {})
    code, status = str(error.get("Code", "")), answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{action} in {where}: {code or status}{_words(error.get('Message'))}"
    if code in _TRY_AGAIN:
        return TooFast(said, next_step="It is tried again by itself.")
    if status >= _SERVER_ERROR:
        return Unavailable(said, next_step="It is tried again by itself.")
    if code in _NO_SUCH or code.endswith("NotFound"):
        return NotFound(said, next_step="Check the settings.")
    for codes, kind, next_step in _LOGIN:
        if code in codes:  # whose words may repeat what was sent
            return kind(f"{action} in {where}: {code}.", next_step=next_step)
    if code in _NOT_PERMITTED or status == HTTPStatus.FORBIDDEN:
        return Declined(f"{action} in {where} is denied.", next_step=f"Allow {action} to the login there.")
    return Declined(said, next_step=f"Check that {action} can be asked there.")


def _words(message: object) -> str:
    plain = " ".join("".join(each if each.isprintable() else " " for each in str(message or "")).split())
    return f" ({plain[:_SAID]})." if plain else "."
