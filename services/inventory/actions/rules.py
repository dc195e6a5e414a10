"""Reads the queries that rules are made of, and remembers what they were read to."""

from datetime import UTC, datetime
from functools import lru_cache

from services.inventory.domain.query import FromNow, Query, parse, terms
from services.inventory.store.matching import Condition
from services.inventory.store.queries import condition as condition_of
from shared.errors import Fault, Invalid

_REMEMBERED = 2000
_BY_THE_CLOCK = frozenset(
    {"place.seen", "issuer.expires", "issuer.outlived", "issuer.finding", "issuer.finding.severity"}
)
"""Fields that change with every look, also where it finds nothing new, or with what is found out about authorities."""


def check(text: str, *, pointer: str, may_ask_for_groups: bool = True) -> None:
    """Raise `Invalid` where a rule cannot be read, or asks for what it may not."""
    try:
        asked = {term.field for term in terms(read(text))}
    except Invalid as error:
        faults = [
            Fault(pointer=pointer, message=fault.message, column=fault.column) for fault in error.faults
        ]
        raise Invalid(error.detail, next_step=error.next_step, faults=faults) from error
    if not asked:
        raise Invalid(
            "The rule is empty, so it would match everything.",
            next_step="Say what it is about; for really everything write `seen or not seen`.",
            faults=[Fault(pointer=pointer, message="empty")],
        )
    if not may_ask_for_groups and "group" in asked:
        raise Invalid(
            "The rule of a group may not ask for groups: who is in one would hang on who is in another.",
            next_step="Write the other group's rule in its place.",
            faults=[Fault(pointer=pointer, message="asks for `group`")],
        )


@lru_cache(_REMEMBERED)
def read(text: str) -> Query:
    """Return a rule as it was read. Raises `Invalid`."""
    return parse(text)


@lru_cache(_REMEMBERED)
def is_by_the_clock(text: str) -> bool:
    """Return whether what a rule matches changes as time goes by, though nothing happens."""
    return any(
        term.field in _BY_THE_CLOCK or any(isinstance(value, FromNow) for value in term.values)
        for term in terms(read(text))
    )


def condition(text: str, *, now: datetime, leads: bool = True) -> Condition:
    """Return a rule as a condition on certificates; `leads` is false where certificates are given to be asked about."""
    if is_by_the_clock(text):
        return condition_of(read(text), now=now, leads=leads)
    return _timeless(text, leads)


@lru_cache(_REMEMBERED)
def _timeless(text: str, leads: bool) -> Condition:  # noqa: FBT001 - a key of what is remembered
    return condition_of(read(text), now=datetime.min.replace(tzinfo=UTC), leads=leads)
