"""When an ACME authority would have a certificate renewed (RFC 9773): asked without an account, as anybody may."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from pydantic import BaseModel, Field, field_validator

from services.renewal.connectors import NotNow, Window
from services.renewal.connectors.acme.jose import base64url
from services.renewal.connectors.acme.problems import AcmeProblem
from services.renewal.connectors.acme.session import Answer, Session
from shared import x509 as shared_x509
from shared.errors import EverleafError, Invalid

SOONEST = timedelta(minutes=1)
LATEST = timedelta(days=1)
"""What an authority asks for is kept to within these (RFC 9773 §4.3.3)."""
LONG = timedelta(hours=6)
"""When to ask again after what asking again at once does not put right (RFC 9773 §4.3.3)."""
_SERVER_ERROR = 500


class SuggestedWindow(BaseModel):
    """RFC 9773 §4.2."""

    start: datetime
    end: datetime

    @field_validator("start", "end")
    @classmethod
    def _has_a_zone(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)


class RenewalInfo(BaseModel):
    """RFC 9773 §4.2."""

    suggested_window: SuggestedWindow = Field(alias="suggestedWindow")
    explanation_url: str | None = Field(None, alias="explanationURL", max_length=2000)


def certificate_id(certificate: bytes) -> str | None:
    """Return what RFC 9773 §4.1 calls a certificate (DER), or None where it cannot: it does not name its issuer's key."""
    try:
        parsed = shared_x509.load(certificate)
        signer = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (Invalid, x509.ExtensionNotFound, ValueError):
        return None
    if signer is None:
        return None
    serial = parsed.serial_number
    content = serial.to_bytes(
        serial.bit_length() // 8 + 1, "big"
    )  # a leading zero keeps it positive (X.690 §8.3)
    return f"{base64url(signer)}.{base64url(content)}"


async def renewal_window(session: Session, certificate: bytes, *, now: datetime) -> Window | None:
    """Return the window; None where the authority tells none, or the certificate has expired. Raises `NotNow`."""
    base = (await _directory_of(session)).rstrip("/")
    its_id = certificate_id(certificate)
    if not base or its_id is None or shared_x509.load(certificate).not_valid_after_utc <= now:
        return None
    try:
        return _window(await session.read_plainly(f"{base}/{its_id}"))
    except AcmeProblem as error:
        is_passing = error.status >= _SERVER_ERROR or error.problem.kind == "rateLimited"
        raise _later(f"said {error.problem.kind}", error.retry_after if is_passing else LONG) from error


async def _directory_of(session: Session) -> str:
    try:
        return (await session.directory()).renewal_info or ""
    except AcmeProblem as error:
        raise error.error() from error


def _window(answer: Answer) -> Window:
    try:
        info = answer.read(RenewalInfo)
    except EverleafError as error:
        raise _later("gave no renewal information", LONG) from error
    suggested = info.suggested_window
    if suggested.end <= suggested.start:
        raise _later("gave a window that ends before it begins", LONG)
    return Window(
        start=suggested.start,
        end=suggested.end,
        explanation_url=info.explanation_url,
        ask_again_after=LONG if answer.retry_after is None else clamped(answer.retry_after),
    )


def clamped(asked: timedelta) -> timedelta:
    """Return when to ask again, as near to what the authority asks for as is sensible."""
    return min(max(asked, SOONEST), LATEST)


def _later(what: str, wait: timedelta | None) -> NotNow:
    return NotNow(
        f"The authority {what} when asked for a certificate's renewal window.",
        next_step="It is asked again by itself; meanwhile the certificate is renewed by its lifetime.",
        retry_after=wait,
    )
