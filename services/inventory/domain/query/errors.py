"""How a query is refused: where, what stands there, and what should."""

from collections.abc import Sequence
from typing import NoReturn

from shared.errors import Fault, Invalid, TooLarge

_POINTER = "/query"
"""`parse` puts in its place where the query stands in the request."""
NEXT_STEP = "Correct the query there. GET /v1/query-fields lists the fields and how each may be asked."


def fail(*, column: int, found: str, expected: str, meant: Sequence[str] = ()) -> NoReturn:
    """Raise `Invalid` that says the column, what was found, what was expected, and what may have been meant."""
    hint = f" Did you mean {' or '.join(f'`{each}`' for each in meant)}?" if meant else ""
    problem = f"found {found}, expected {expected}.{hint}"
    raise Invalid(
        f"Column {column} of the query: {problem}",
        next_step=NEXT_STEP,
        faults=[Fault(pointer=_POINTER, message=f"column {column}: {problem}", column=column)],
    )


def refuse_size(*, column: int, what: str, next_step: str) -> NoReturn:
    """Raise `TooLarge`."""
    raise TooLarge(
        f"Column {column} of the query: {what}",
        next_step=next_step,
        faults=[Fault(pointer=_POINTER, message=f"column {column}: {what}", column=column)],
    )
