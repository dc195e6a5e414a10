"""In which order a list comes, where a page of it begins, and by what facets count."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.inventory.domain.query.fields import CATALOGUE, Field, ValueKind
from services.inventory.domain.query.values import MOST
from shared.errors import Fault, Invalid

MOST_COUNTED = 10
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Order:
    """By which field; what has no value for it comes last in either direction."""

    field: str
    is_descending: bool = False

    def __str__(self) -> str:
        return f"-{self.field}" if self.is_descending else self.field


FIRST_SEEN = Order(field="seen")
"""The usual order: those known longest first."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """The last row of a page: the next one begins after it."""

    id: str
    value: str | int | datetime | None = None
    """Of the field that the list is ordered by."""


def parse_order(text: str) -> Order:
    """Read an order, such as `expires` or `-expires`. Raises `Invalid`."""
    name = text.removeprefix("-").lower()
    field = CATALOGUE.find(name)
    if field is None or not field.is_sortable:
        sortable = ", ".join(each.name for each in CATALOGUE.fields if each.is_sortable)
        raise Invalid(
            f"A list cannot be sorted by `{text[:_LONGEST]}`.",
            next_step=f"Sort by one of {sortable}; a minus before it turns the order round.",
            faults=[Fault(pointer="/query/sort", message="not a field that can be sorted by")],
        )
    return Order(field=name, is_descending=text.startswith("-"))


def counted(text: str) -> Sequence[Field]:
    """Read the fields that facets count by, with commas between them. Raises `Invalid`."""
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    found = [CATALOGUE.find(name) for name in names]
    if len(names) > MOST_COUNTED or any(field is None or not field.is_countable for field in found):
        countable = ", ".join(each.name for each in CATALOGUE.fields if each.is_countable)
        raise Invalid(
            f"Facets cannot count by `{text[:_LONGEST]}`.",
            next_step=f"Name at most {MOST_COUNTED} of {countable}, with commas between them.",
            faults=[Fault(pointer="/query/by", message="not fields that facets count by")],
        )
    return [field for field in found if field is not None]


def position(parts: Sequence[str] | None, order: Order) -> Position | None:
    """Read where a page begins from a cursor: the order, the id, and the value where there is one.

    Raises `Invalid` where it is not a cursor of a list in this order.
    """
    if parts is None:
        return None
    if len(parts) not in (2, 3) or parts[0] != str(order) or not all(map(_is_storable, parts)):
        raise _not_of_this_list()
    field = CATALOGUE.find(order.field)
    if field is None or len(parts) == 2:  # noqa: PLR2004 - without a value
        return Position(id=parts[1])
    return Position(id=parts[1], value=_value(field, parts[2]))


def cursor(order: Order, at: Position) -> Sequence[str]:
    """Return what `position` reads."""
    if at.value is None:
        return [str(order), at.id]
    return [str(order), at.id, at.value.isoformat() if isinstance(at.value, datetime) else str(at.value)]


def _value(field: Field, text: str) -> str | int | datetime:
    try:
        if field.kind is ValueKind.INSTANT:
            at = datetime.fromisoformat(text)
            if at.utcoffset() != timedelta():
                raise _not_of_this_list()
            return at
        number = int(text) if field.kind is ValueKind.NUMBER else 0
    except ValueError as error:
        raise _not_of_this_list() from error
    if not 0 <= number <= MOST:
        raise _not_of_this_list()
    return number if field.kind is ValueKind.NUMBER else text


def _is_storable(text: str) -> bool:
    return all(unicodedata.category(each) not in ("Cc", "Cs") for each in text)


def _not_of_this_list() -> Invalid:
    return Invalid(
        "The cursor is not one of this list in this order.",
        next_step="Leave it out to start from the first page, and keep `query` and `sort` while paging.",
        faults=[Fault(pointer="/query/cursor", message="not a cursor of this list")],
    )
