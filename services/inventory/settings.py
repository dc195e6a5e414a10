"""What the inventory can be told."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field, field_validator

from services.inventory.domain.thresholds import Limit
from shared.events.inventory import Urgency
from shared.settings import CommaList, ServiceSettings

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
_SETTABLE = tuple(urgency for urgency in Urgency if urgency is not Urgency.EXPIRED)


class InventorySettings(ServiceSettings):
    """The section `inventory`; durations are seconds."""

    thresholds: CommaList = Field([])
    """Remaining life at which a certificate is told to expire, as `renew=33%,warning=30d,error=15%,critical=36h`;
    days and hours count where they are shorter than the usual share of the lifetime."""
    stale_after: float = Field(86400, gt=0, le=366 * 86400)
    """After this long without a look the places of a replaced certificate are told to be stale."""
    token_lifetime: float = Field(600, ge=60, le=3600)
    """How long a token lasts that was given for an API key."""

    @field_validator("thresholds")
    @classmethod
    def _are_limits(cls, value: list[str]) -> list[str]:
        names = [_limit(text)[0] for text in value]
        if len(names) != len(set(names)):
            msg = "a threshold is given twice"
            raise ValueError(msg)
        return value

    def limits(self) -> Mapping[Urgency, Limit]:
        """Return the operator's own thresholds."""
        return dict(_limit(text) for text in self.thresholds)


def _limit(text: str) -> tuple[Urgency, Limit]:
    name, _, amount = (part.strip() for part in text.partition("="))
    if name not in _SETTABLE:
        msg = f"{name!r} is not a threshold; there are {', '.join(_SETTABLE)}"
        raise ValueError(msg)
    return Urgency(name), _amount(amount)


def _amount(text: str) -> Limit:
    number, unit = _number(text[:-1]), text[-1:]
    if unit == "%" and number is not None and 0.1 <= number < 100:  # noqa: PLR2004 - per cent
        return Limit(share=number / 100)
    if unit in _UNITS and number is not None and 0 < number <= 10000:  # noqa: PLR2004 - longer than any certificate should live
        return Limit(span=number * _UNITS[unit])
    msg = f"{text!r} is neither a share like 33% (at least 0.1 %) nor a span like 30d or 12h"
    raise ValueError(msg)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
