"""What the other services have said, as far as reports need it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pydantic import BaseModel, ConfigDict


class Known(BaseModel):
    """A part of another service's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class KnownOwner(Known):
    """The team that owns a certificate."""

    id: str
    name: str


class KnownCertificate(Known):
    """A certificate, as inventory lists it."""

    fingerprint: str
    lineage_id: str
    subject: str | None = None
    issuer: str | None = None
    names: list[str] = []
    not_after: datetime | None = None
    urgency: str | None = None
    owner: KnownOwner | None = None
    groups: list[str] = []
    key_type: str | None = None

    @property
    def title(self) -> str:
        """Return what people call it."""
        plain = [name for name in self.names if not name.startswith("*.")]
        return next(iter([*plain, *self.names]), self.subject or self.fingerprint[:16])


class KnownPolicy(Known):
    """A policy, as inventory lists it."""

    id: str
    title: str
    is_enabled: bool
    version: int


class KnownScope(Known):
    """For whom a broken rule is let pass."""

    kind: str
    value: str


class KnownException(Known):
    """An exception, as inventory lists it."""

    id: str
    policy_id: str
    rule_id: str
    scope: KnownScope
    reason: str
    ends_at: datetime
    state: str
    requested_by_name: str
    decided_by_name: str | None = None


class KnownOrder(Known):
    """An order, as renewal lists it."""

    id: str
    lineage_id: str
    state: str
    names: list[str]
    authority: str
    last_error: str | None = None
    created_at: datetime
    renewed_at: datetime | None = None
    observed_at: datetime | None = None


class KnownDeployment(Known):
    """A deployment, as the provisioner lists it."""

    id: str
    lineage_id: str
    target_id: str
    state: str
    attempt: int
    reason: str | None = None
    created_at: datetime
    deployed_at: datetime | None = None


class KnownLoad(Known):
    """What it takes to keep all alive."""

    a_day: float
    a_week: int
    by_hand_a_day: float


class KnownDay(Known):
    """What a day brings."""

    day: date
    expiries: int
    renewals: int
    by_hand: int


class KnownCeiling(Known):
    """The longest that a public certificate may last, from a day on."""

    begins: datetime
    longest: timedelta


class KnownBroken(Known):
    """How many last longer than a ceiling to come allows."""

    ceiling: KnownCeiling
    certificates: int
    by_hand: int


class KnownShare(Known):
    """What an owner has ahead."""

    key: str
    certificates: int
    by_hand: int
    renewals: int
    busiest_day: int


class KnownForecast(Known):
    """What lies ahead, as inventory says it."""

    certificates: int
    by_hand: int
    now: KnownLoad
    then: KnownLoad
    broken: list[KnownBroken]
    days: list[KnownDay]
    groups: list[KnownShare]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What every report says of itself."""

    made_at: datetime
    made_for: str
    about: str
    days: int


@dataclass(frozen=True, kw_only=True)
class Some:
    """Things of a list, and whether there were more than were taken."""

    certificates: Sequence[KnownCertificate]
    is_cut: bool
