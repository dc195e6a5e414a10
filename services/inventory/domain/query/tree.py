"""What a query is once it has been read: a tree of terms.

Every term is true or false of a certificate: where it has no value, each comparison is false, and
`not` makes that true. So `x != v` is `not x = v`, and there is no third answer as SQL has one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.inventory.domain.query.values import Value


class Operator(StrEnum):
    """How a field is asked."""

    HAS = "has"
    """A field alone: it has a value; of a boolean one, it is true."""
    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "~"
    """Contains the text; where that has `*`, is the pattern from its beginning to its end."""
    IN = "in"
    UNDER = "under"
    """A domain or anything below it."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One question to one field. `HAS` comes with no value, `IN` with one or more, all others with one."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()

    @property
    def value(self) -> Value:
        """Return the value of an operator that takes one."""
        return self.values[0]


@dataclass(frozen=True, kw_only=True)
class Not:
    """What is not so."""

    part: "Node"


@dataclass(frozen=True, kw_only=True)
class And:
    """Two or more parts that are all true."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, kw_only=True)
class Or:
    """Two or more parts of which one is true, or more."""

    parts: "tuple[Node, ...]"


Node = Term | Not | And | Or


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query; without a node it asks for everything."""

    node: Node | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query, and when it is asked: what is `30d` from now depends on it."""

    query: Query
    now: datetime


def terms(query: Query) -> Iterator[Term]:
    """Return every term of a query, from left to right."""
    waiting = [] if query.node is None else [query.node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Term):
            yield node
        elif isinstance(node, Not):
            waiting.append(node.part)
        else:
            waiting.extend(reversed(node.parts))
