"""What an ACME server's problems mean for us (RFC 8555 §6.7): final, for later, or for another order."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel

from services.renewal.connectors import NotNow
from shared.errors import EverleafError, Refused

UNLIMITED_AGAIN = timedelta(hours=1)
"""How long a limit is waited for where the authority does not say."""
_PREFIX = "urn:ietf:params:acme:error:"
_MOST_PARTS = 10
_FINAL = frozenset(
    {
        "accountDoesNotExist",
        "badCSR",
        "badPublicKey",
        "badRevocationReason",
        "badSignatureAlgorithm",
        "externalAccountRequired",
        "invalidContact",
        "invalidProfile",
        "malformed",
        "rejectedIdentifier",
        "unauthorized",
        "unsupportedContact",
        "unsupportedIdentifier",
        "userActionRequired",
    }
)
"""Problems that asking again does not solve (RFC 8555 §6.7)."""
_OF_A_CHALLENGE = frozenset({"unauthorized"})
"""Final for an account; of a challenge they say what was seen at the name, which may be put right there."""
_ADVICE: Mapping[str, str] = {
    "caa": "Let a CAA record of the name allow this authority (RFC 8659), or take the record away.",
    "connection": "Let the authority reach the name: on port 80 for http-01, on 443 for tls-alpn-01.",
    "dns": "Check the name's DNS records, and that its name servers answer the authority.",
    "externalAccountRequired": "Make the authority anew with `external_account` and the secret `hmac`.",
    "invalidProfile": "Choose a profile that the authority offers, or leave it out.",
    "rateLimited": "Wait: it is tried again when the authority allows it, or have it raise the limit.",
    "rejectedIdentifier": "Leave the name out, or use an authority that issues for it.",
    "unsupportedIdentifier": "Leave the name out, or use an authority that issues for such names.",
}


class Identifier(BaseModel):
    """A name (RFC 8555 §9.7.7, RFC 8738)."""

    type: str
    value: str


class ProblemDocument(BaseModel):
    """What went wrong, in the server's words (RFC 7807, RFC 8555 §6.7)."""

    type: str = "about:blank"
    detail: str = ""
    instance: str | None = None
    identifier: Identifier | None = None
    subproblems: list["ProblemDocument"] = []

    @property
    def kind(self) -> str:
        """Return the last part of an ACME error type."""
        return self.type.removeprefix(_PREFIX)

    def is_one_of(self, kinds: frozenset[str]) -> bool:
        """Return whether it, or a part of it, is a problem of these kinds."""
        return self.kind in kinds or any(each.is_one_of(kinds) for each in self.subproblems)

    def error(self, *, retry_after: timedelta | None = None) -> EverleafError:
        """Return what it means for a request of ours."""
        if self.is_one_of(_FINAL):
            return self._refused()
        if self.kind == "rateLimited":
            return NotNow(self._text, next_step=self._advice(""), retry_after=retry_after or UNLIMITED_AGAIN)
        return NotNow(
            self._text,
            next_step=self._advice("It is tried again by itself; look at the authority if it stays."),
            retry_after=retry_after,
        )

    def lost(self) -> EverleafError:
        """Return what it means where a challenge, and the order with it, became invalid (RFC 8555 §7.1.6)."""
        if self.is_one_of(_FINAL - _OF_A_CHALLENGE):
            return self._refused()
        advice = self._advice("Put right what it says.")
        return NotNow(
            self._text,
            next_step=f"{advice} It is tried again by itself, with a new order.",
            starts_over=True,
        )

    @property
    def _text(self) -> str:
        parts = [each.named for each in self.subproblems[:_MOST_PARTS]]
        said = "; ".join([self.detail[:500] or "no more", *parts])
        return f"The authority said {self.kind}: {said}"

    @property
    def named(self) -> str:
        """Return what it says of one name."""
        name = f"{self.identifier.value[:260]}: " if self.identifier else ""
        return f"{name}{self.kind} ({self.detail[:200] or 'no more'})"

    def _advice(self, otherwise: str) -> str:
        kinds = [self.kind, *(each.kind for each in self.subproblems)]
        return next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), otherwise)

    def _refused(self) -> Refused:
        advice = self._advice("Put right what it says, then try the order again.")
        if self.kind == "userActionRequired" and self.instance:
            advice = f"Do what the authority wants at {self.instance[:500]}; then try the order again."
        return Refused(self._text, next_step=advice)


class AcmeProblem(Exception):
    """The server answered with a problem."""

    def __init__(self, problem: ProblemDocument, *, status: int, retry_after: timedelta | None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.status = status
        self.retry_after = retry_after

    def error(self) -> EverleafError:
        """Return what it means for a request of ours."""
        return self.problem.error(retry_after=self.retry_after)
