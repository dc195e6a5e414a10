"""What a webhook and a command are told and what they answer: one small contract for an authority of your own.

They are told `{"type": "certificate.request", "order", "csr", "names", "lifetime", "profile", "replaces"}`, or
`{"type": "certificate.revoke", "certificate", "issuer", "reason"}`; certificates and requests are PEM, the lifetime is
seconds. They answer `{"chain": PEM, leaf first}`, or `{"pending": anything, "retry_after": seconds}`: then the same
request comes again later, with `pending` in it. Asked twice for one `order`, they answer with the same certificate.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.renewal.connectors import Issued, NotNow, Pending, Progress, Request
from services.renewal.connectors.chains import chain_for_pem, pem_of
from shared.events.renewal import RevocationReason
from shared.x509 import to_pem

ASK_AGAIN = timedelta(minutes=5)
"""Where it does not say when."""


class Answered(BaseModel):
    """One of the two answers."""

    model_config = ConfigDict(extra="forbid")

    chain: str | None = Field(None, min_length=1)
    pending: str | None = Field(None, max_length=10_000)
    retry_after: int | None = Field(None, ge=0, le=86_400)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> "Answered":
        if (self.chain is None) == (self.pending is None):
            raise ValueError("answer with either chain or pending")
        return self


def asked_for(request: Request, *, pending: str | None) -> dict[str, Any]:
    """Return what is told to ask for a certificate."""
    told = {
        "type": "certificate.request",
        "order": request.key,
        "csr": pem_of(request.csr),
        "names": list(request.names),
        "lifetime": int(request.terms.lifetime.total_seconds()),
        "profile": request.terms.profile,
        "replaces": to_pem([request.replaces]) if request.replaces is not None else None,
    }
    return told if pending is None else {**told, "pending": pending}


def to_revoke(certificate: bytes, *, issuer: bytes | None, reason: RevocationReason) -> Mapping[str, Any]:
    """Return what is told to have a certificate revoked."""
    return {
        "type": "certificate.revoke",
        "certificate": to_pem([certificate]),
        "issuer": to_pem([issuer]) if issuer is not None else None,
        "reason": reason.value,
    }


def understood(body: bytes) -> Answered:
    """Return an answer. Raises `NotNow` where it is neither of the two."""
    try:
        return Answered.model_validate_json(body)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise NotNow(
            f"The answer is not what is expected: {faults[:300]}.",
            next_step='Answer with {"chain": PEM} or {"pending": text}; see docs/how-to/use-your-ca.md.',
        ) from None  # the error quotes the answer


def progress(request: Request, answered: Answered, *, first: bool, who: str) -> Progress:
    """Return what an answer means for the order."""
    if answered.chain is not None:
        return Issued(chain=chain_for_pem(request.csr, answered.chain))
    wait = ASK_AGAIN if answered.retry_after is None else timedelta(seconds=answered.retry_after)
    text = f"{who} has taken the request and will issue later." if first else None
    return Pending(state=(answered.pending or "").encode(), step="wait", text=text, retry_after=wait)
