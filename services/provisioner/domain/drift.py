"""Whether a bound slot was changed by somebody else, and whether we put it right."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

AGAIN_AFTER = timedelta(hours=1)
"""Where something keeps changing a slot it is put right only so often: whoever it is, they are told, not fought."""


class OnDrift(StrEnum):
    """What is done about it."""

    ALERT = "alert"
    RESTORE = "restore"
    """Tell, and put the certificate back."""


class Finding(StrEnum):
    """What a look at the places of a binding has shown."""

    SETTLED = "settled"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"
    """Nothing was seen that says so: an endpoint that is down is no drift."""


@dataclass(frozen=True, kw_only=True)
class Strange:
    """A certificate that is not ours, and where it was seen."""

    place: str
    fingerprint: str


def strange(seen: Mapping[str, str | None], *, expected: str) -> Strange | None:
    """Return the first place of a binding that shows another certificate."""
    for place, fingerprint in seen.items():
        if fingerprint is not None and fingerprint != expected:
            return Strange(place=place, fingerprint=fingerprint)
    return None


def finding(seen: Mapping[str, str | None], *, expected: str) -> Finding:
    """Return what a look has shown: fingerprints by place, None where nothing was seen."""
    if strange(seen, expected=expected) is not None:
        return Finding.DRIFTED
    return Finding.SETTLED if all(seen.values()) and seen else Finding.UNKNOWN


def is_put_right(on_drift: OnDrift, *, last: datetime | None, now: datetime) -> bool:
    """Return whether the certificate is put back now."""
    if on_drift is not OnDrift.RESTORE:
        return False
    return last is None or now - last >= AGAIN_AFTER
