"""Writes a query in its canonical text: reading that gives the same query again."""

from services.inventory.domain.query.tokens import is_plain
from services.inventory.domain.query.tree import And, Node, Not, Operator, Or, Query, Term
from services.inventory.domain.query.values import Value, written

KEYWORDS = frozenset({"and", "or", "not", "in", "under"})


def write(query: Query) -> str:
    """Return the canonical text."""
    return "" if query.node is None else _node(query.node)


def _node(node: Node) -> str:
    if isinstance(node, Term):
        return _term(node)
    if isinstance(node, Not):
        return f"not {_inside(node.part, And, Or)}"
    if isinstance(node, And):
        return " and ".join(_inside(part, And, Or) for part in node.parts)
    return " or ".join(_inside(part, Or) for part in node.parts)


def _inside(node: Node, *bracketed: type) -> str:
    return f"({_node(node)})" if isinstance(node, bracketed) else _node(node)


def _term(term: Term) -> str:
    if term.operator is Operator.HAS:
        return term.field
    if term.operator is Operator.IN:
        return f"{term.field} in ({', '.join(_value(value) for value in term.values)})"
    return f"{term.field} {term.operator} {_value(term.value)}"


def _value(value: Value) -> str:
    text = written(value)
    if is_plain(text) and text.lower() not in KEYWORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
