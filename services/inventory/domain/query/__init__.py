"""The query language: how the API, the command line, the portal and rules ask for certificates.

    expires < 30d and key.type = rsa and place.port = 443 and not (ca or self_issued)

`parse` turns text into a `Query`, `write` turns it back into its canonical text. What fields there are
stands in `fields`, and nothing but that knows a name of one.
"""

from services.inventory.domain.query.fields import CATALOGUE, Catalogue, Field, Subject, ValueKind
from services.inventory.domain.query.orders import (
    FIRST_SEEN,
    Order,
    Position,
    counted,
    cursor,
    parse_order,
    position,
)
from services.inventory.domain.query.parser import parse
from services.inventory.domain.query.printer import write
from services.inventory.domain.query.tree import And, Asked, Node, Not, Operator, Or, Query, Term, terms
from services.inventory.domain.query.values import Day, FromNow, Moment, Value

__all__ = [
    "CATALOGUE",
    "FIRST_SEEN",
    "And",
    "Asked",
    "Catalogue",
    "Day",
    "Field",
    "FromNow",
    "Moment",
    "Node",
    "Not",
    "Operator",
    "Or",
    "Order",
    "Position",
    "Query",
    "Subject",
    "Term",
    "Value",
    "ValueKind",
    "counted",
    "cursor",
    "parse",
    "parse_order",
    "position",
    "terms",
    "write",
]
