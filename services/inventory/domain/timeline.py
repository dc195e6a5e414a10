"""The kinds of things that happen to a lineage."""

from enum import StrEnum


class Happening(StrEnum):
    """What happened."""

    FOUND = "found"
    LOST = "lost"
    EXPIRING = "expiring"
    RENEWED = "renewed"
    DEPLOYED = "deployed"
    STALE = "stale"
    REPLACED = "replaced"
    NONCOMPLIANT = "noncompliant"
    COMPLIANT = "compliant"
    REVOKED = "revoked"
