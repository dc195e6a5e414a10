"""Which profile fits a certificate that somebody else has obtained so far, and what stands in the way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.renewal.domain.keys import KeyType
from services.renewal.domain.names import canonical
from services.renewal.domain.policy import Rules, Trust, Wanted, judge
from shared.errors import EverleafError

_RSA_BITS = 2048


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a certificate."""

    names: tuple[str, ...]
    issuer: str
    key_type: str
    """As `rsa` or `ecdsa-p256`."""
    key_bits: int
    lifetime: timedelta


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A profile, and by which names its authority is known as an issuer."""

    profile: str
    authority: str
    key_type: KeyType
    lifetime: timedelta
    allowed_names: Sequence[str]
    issuers: frozenset[str] = frozenset()
    trust: Trust = Trust.PRIVATE

    @property
    def rules(self) -> Rules:
        """What the policy goes by."""
        return Rules(
            allowed_names=self.allowed_names,
            key_type=self.key_type,
            lifetime=self.lifetime,
            trust=self.trust,
        )


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a profile fits; `obstacle` says why it cannot be taken at all."""

    offer: Offer
    obstacle: str | None
    is_same_issuer: bool
    is_same_key: bool

    @property
    def rank(self) -> tuple[bool, bool, bool, str]:
        """Return what fits are ordered by, the best first."""
        return (self.obstacle is not None, not self.is_same_issuer, not self.is_same_key, self.offer.profile)


def like(key_type: str, bits: int) -> KeyType | None:
    """Return the kind of key of ours that is like one; None where we make no such keys."""
    if key_type == "rsa":
        return KeyType.RSA_2048 if bits <= _RSA_BITS else KeyType.RSA_3072
    return KeyType(key_type) if key_type in {*KeyType} else None


def fits(facts: Facts, offers: Iterable[Offer], *, now: datetime) -> list[Fit]:
    """Return how well profiles fit, the best first: names first, then who has issued it, then its key."""
    wanted = like(facts.key_type, facts.key_bits)
    found = [
        Fit(
            offer=offer,
            obstacle=_obstacle(facts.names, offer, now=now),
            is_same_issuer=facts.issuer in offer.issuers,
            is_same_key=offer.key_type == wanted,
        )
        for offer in offers
    ]
    return sorted(found, key=lambda fit: fit.rank)


def _obstacle(names: Sequence[str], offer: Offer, *, now: datetime) -> str | None:
    """Return what the policy has against a renewal on these terms: the function that decides when it is ordered, too."""
    try:
        judge(Wanted(names=canonical(names)), offer.rules, now=now).require()
    except EverleafError as error:
        return error.detail
    return None
