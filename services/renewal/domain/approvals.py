"""What waits for an approval here."""

from enum import StrEnum


class Kind(StrEnum):
    """What waits for an approval."""

    ORDER = "order"
    REVOCATION = "revocation"
    CAMPAIGN = "campaign"
