"""Custom fields: what kinds there are, and which values they take."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import isfinite

from shared.errors import Fault, Invalid

LONGEST_VALUE = 500
Raw = str | int | float | bool
"""A value as JSON has it."""


class FieldKind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    CHOICE = "choice"
    BOOLEAN = "boolean"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A field, as far as its values are concerned."""

    name: str
    kind: FieldKind
    choices: tuple[str, ...] = ()
    is_required: bool = False


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value as it is kept: its text, and the number where it is one."""

    text: str
    number: float | None = None


def value(definition: Definition, raw: Raw) -> Value:
    """Return a value as it is kept. Raises `Invalid` where the field does not take it."""
    match definition.kind:
        case FieldKind.NUMBER:
            return _number(definition, raw)
        case FieldKind.BOOLEAN:
            return _boolean(definition, raw)
        case FieldKind.DATE:
            return _date(definition, raw)
        case FieldKind.CHOICE:
            return _choice(definition, raw)
        case _:
            return _text(definition, raw)


def shown(kind: FieldKind, kept: Value) -> Raw:
    """Return a value as JSON has it."""
    if kind is FieldKind.NUMBER and kept.number is not None:
        return int(kept.number) if kept.number.is_integer() else kept.number
    return kept.text == "true" if kind is FieldKind.BOOLEAN else kept.text


def _text(definition: Definition, raw: Raw) -> Value:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > LONGEST_VALUE or "\x00" in raw:
        raise _refused(definition, raw, f"a text of 1 to {LONGEST_VALUE} characters")
    return Value(text=raw.strip())


def _number(definition: Definition, raw: Raw) -> Value:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not _is_finite(raw):
        raise _refused(definition, raw, "a number")
    number = float(raw)
    return Value(text=str(int(number) if number.is_integer() else number), number=number)


def _is_finite(raw: float) -> bool:
    try:
        return isfinite(raw)
    except OverflowError:  # an integer that no float holds
        return False


def _boolean(definition: Definition, raw: Raw) -> Value:
    if not isinstance(raw, bool):
        raise _refused(definition, raw, "true or false")
    return Value(text="true" if raw else "false")


def _date(definition: Definition, raw: Raw) -> Value:
    try:
        return Value(text=date.fromisoformat(str(raw)).isoformat())
    except ValueError as error:
        raise _refused(definition, raw, "a date as 2026-11-27") from error


def _choice(definition: Definition, raw: Raw) -> Value:
    if raw not in definition.choices:
        raise _refused(definition, raw, f"one of {', '.join(definition.choices)}")
    return Value(text=str(raw))


def _refused(definition: Definition, raw: Raw, wanted: str) -> Invalid:
    message = f"The field {definition.name} takes {wanted}, not {str(raw)[:100]!r}."
    fault = Fault(pointer=f"/body/set_fields/{definition.name}", message=message)
    return Invalid(message, next_step="Correct the value, or leave the field out.", faults=[fault])
