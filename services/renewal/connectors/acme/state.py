"""What an ACME order has to remember between two steps, and the objects of the protocol it reads."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, model_validator

from services.renewal.connectors.acme.problems import Identifier, ProblemDocument

BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


class Phase(StrEnum):
    """The step that comes next."""

    PLACE = "place"
    FOLLOW = "follow"
    AUTHORIZE = "authorize"
    SHOW = "show"
    ANSWER = "answer"
    VALIDATE = "validate"
    CLEAN = "clean"
    FINALIZE = "finalize"
    DOWNLOAD = "download"


class Shown(BaseModel):
    """A challenge that is being shown: kept before it is shown, so that it is taken away in any case."""

    name: str
    type: str
    url: str
    token: str
    thumbprint: str = ""
    """Of the key it is shown for: also where the account has another one since, that is what is to be taken away."""
    place: str = ""
    """Where it is shown, found out before: also where its name leads elsewhere since, that is what is to be taken away."""
    since: datetime = BEFORE
    """When it was set up: what cannot be seen long after that is given up."""


class AcmeState(BaseModel):
    """Where the order is."""

    phase: Phase = Phase.PLACE
    steps: int = 0
    polls: int = 0
    order_url: str = ""
    finalize_url: str = ""
    certificate_url: str = ""
    authorizations: list[str] = []
    done: int = 0
    """How many of the authorizations are valid."""
    shown: Shown | None = None
    failure: ProblemDocument | None = None
    is_chain_chosen: bool = False
    is_shared: bool = False
    """Whether somebody else may have finalized the order: then the certificate may not be ours."""

    def to_bytes(self) -> bytes:
        """Return what is kept."""
        return self.model_dump_json().encode()


class Order(BaseModel):
    """RFC 8555 §7.1.3."""

    status: str
    identifiers: list[Identifier] = []
    authorizations: list[str] = []
    profile: str | None = None
    finalize: str = ""
    certificate: str | None = None
    error: ProblemDocument | None = None


class OfferedChallenge(BaseModel):
    """RFC 8555 §7.1.5, §8."""

    type: str
    url: str
    token: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,200}$")
    error: ProblemDocument | None = None


class Authorization(BaseModel):
    """RFC 8555 §7.1.4."""

    status: str
    identifier: Identifier
    challenges: list[OfferedChallenge] = []


class AccountDocument(BaseModel):
    """RFC 8555 §7.1.2; many authorities leave `orders` out."""

    orders: str | None = None


class OrderList(BaseModel):
    """RFC 8555 §7.1.2.1; smallstep's servers (Caddy 2.6, step-ca) give the bare list."""

    orders: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"orders": value} if isinstance(value, list) else value
