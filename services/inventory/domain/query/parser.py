"""Reads a query: from text to a tree whose values have the types of their fields.

query       = [ either ]
either      = both { "or" both }
both        = one { "and" one }
one         = "not" one | "(" either ")" | term
term        = field
            | field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "under" ) value
            | field [ "not" ] "in" "(" value { "," value } ")"
value       = word | quoted text
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import NoReturn

from services.inventory.domain.query import values
from services.inventory.domain.query.errors import fail, refuse_size
from services.inventory.domain.query.fields import CATALOGUE, Catalogue, Field, ValueKind
from services.inventory.domain.query.printer import KEYWORDS
from services.inventory.domain.query.tokens import Token, TokenKind, tokens
from services.inventory.domain.query.tree import And, Node, Not, Operator, Or, Query, Term
from services.inventory.domain.query.values import FromNow, Moment, Value
from shared.errors import Invalid

MAX_LENGTH = 4000
MAX_DEPTH = 20
MAX_TERMS = 100
MAX_VALUES = 200
"""In all lists together."""
_SIMPLER = "Ask a simpler question, or several."
_MEANT = {"&&": "and", "&": "and", "||": "or", "|": "or"}


def parse(text: str, catalogue: Catalogue = CATALOGUE, *, pointer: str = "/query/query") -> Query:
    """Read a query; an empty one asks for everything. `pointer` says where in a request it stands.

    Raises `Invalid` that names the column where it cannot be read, and `TooLarge`.
    """
    try:
        if len(text) > MAX_LENGTH:
            what = f"a query has at most {MAX_LENGTH} characters, this one has {len(text)}."
            refuse_size(column=MAX_LENGTH + 1, what=what, next_step=_SIMPLER)
        return _Parser(text, catalogue).query()
    except Invalid as error:
        faults = [replace(fault, pointer=pointer) for fault in error.faults]
        raise type(error)(error.detail, next_step=error.next_step, faults=faults) from None


class _Parser:
    """Reads from left to right, one token ahead."""

    def __init__(self, text: str, catalogue: Catalogue) -> None:
        self._tokens = list(tokens(text))
        self._catalogue = catalogue
        self._at = 0
        self._depth = 0
        self._terms = 0
        self._values = 0

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _is_at(self, kind: TokenKind) -> bool:
        return self._here.kind is kind

    def _take(self) -> Token:
        token = self._here
        self._at += 1
        return token

    def query(self) -> Query:
        if self._is_at(TokenKind.END):
            return Query()
        node = self._either()
        if not self._is_at(TokenKind.END):
            self._fail(f"`and`, `or` or the end of the query{self._unless_quoted()}")
        return Query(node=node)

    def _unless_quoted(self) -> str:
        """Return what else may be meant where a value has ended too early."""
        has_ended = self._at > 1 and self._tokens[self._at - 2].kind is TokenKind.OPERATOR
        return "; a value with spaces or signs in it stands in quotes" if has_ended else ""

    def _either(self) -> Node:
        parts = self._joined("or", self._both)
        return parts[0] if len(parts) == 1 else Or(parts=parts)

    def _both(self) -> Node:
        parts = self._joined("and", self._one)
        return parts[0] if len(parts) == 1 else And(parts=parts)

    def _joined(self, word: str, part: Callable[[], Node]) -> tuple[Node, ...]:
        parts = [part()]
        while self._here.is_word(word):
            self._take()
            parts.append(part())
        return tuple(parts)

    def _one(self) -> Node:
        if self._here.is_word("not"):
            return Not(part=self._deeper(self._one))
        if self._is_at(TokenKind.OPEN):
            node = self._deeper(self._either)
            if not self._is_at(TokenKind.CLOSE):
                self._fail(f"`and`, `or` or `)`{self._unless_quoted()}")
            self._take()
            return node
        return self._term()

    def _deeper(self, part: Callable[[], Node]) -> Node:
        if self._depth == MAX_DEPTH:
            what = f"`not` and brackets go at most {MAX_DEPTH} deep."
            refuse_size(column=self._here.column, what=what, next_step=_SIMPLER)
        self._take()
        self._depth += 1
        node = part()
        self._depth -= 1
        return node

    def _term(self) -> Node:
        self._terms += 1
        if self._terms > MAX_TERMS:
            what = f"a query has at most {MAX_TERMS} terms."
            refuse_size(column=self._here.column, what=what, next_step=_SIMPLER)
        field, name = self._field()
        if self._here.is_word("not") and self._tokens[self._at + 1].is_word("in"):
            self._take()
            return Not(part=self._asked(field, name))
        return self._asked(field, name)

    def _field(self) -> tuple[Field, str]:
        token = self._here
        if token.kind is not TokenKind.WORD or token.is_word(*KEYWORDS):
            self._fail("a field, `not` or `(`")
        name = token.text.lower()
        field = self._catalogue.find(name)
        if field is None:
            self._fail("a field", meant=self._catalogue.like(name))
        self._take()
        return field, name

    def _asked(self, field: Field, name: str) -> Term:
        token = self._here
        if token.kind in (TokenKind.END, TokenKind.CLOSE) or token.is_word("and", "or"):
            return Term(field=name, operator=Operator.HAS)
        if token.kind is not TokenKind.OPERATOR and not token.is_word(Operator.IN, Operator.UNDER):
            self._fail("an operator, `and`, `or` or the end of the query")
        operator = Operator(token.text.lower())
        if operator not in field.operators:
            self._fail(f"one of the operators that `{name}` takes: {_listed(field)}")
        self._take()
        if operator is Operator.IN:
            return Term(field=name, operator=operator, values=self._list(field))
        return Term(field=name, operator=operator, values=(self._value(field, operator),))

    def _list(self, field: Field) -> tuple[Value, ...]:
        if not self._is_at(TokenKind.OPEN):
            self._fail("`(` before the values")
        self._take()
        found = [self._value(field, Operator.IN)]
        while self._is_at(TokenKind.COMMA):
            self._take()
            found.append(self._value(field, Operator.IN))
        if not self._is_at(TokenKind.CLOSE):
            self._fail("`,` or `)`")
        self._take()
        return tuple(found)

    def _value(self, field: Field, operator: Operator) -> Value:
        token = self._here
        self._values += 1
        if self._values > MAX_VALUES:
            what = f"a query has at most {MAX_VALUES} values."
            refuse_size(column=token.column, what=what, next_step=_SIMPLER)
        expected = _expected(field)
        if token.kind not in (TokenKind.WORD, TokenKind.TEXT):
            self._fail(expected)
        if token.is_word(*KEYWORDS):
            self._fail(f"{expected}; a value that is such a word stands in quotes")
        value = _READERS[field.kind](field, token.text)
        if value is None:
            self._fail(expected, meant=_choices_like(field, token.text))
        if operator in (Operator.EQUAL, Operator.UNEQUAL) and isinstance(value, Moment | FromNow):
            self._fail("a whole day, such as 2027-03-15; an instant is compared with < or >")
        self._take()
        return _bare_domain(value) if operator is Operator.UNDER else value

    def _fail(self, expected: str, *, meant: Sequence[str] = ()) -> NoReturn:
        token = self._here
        known = [_MEANT[token.text]] if token.text in _MEANT else list(meant)
        fail(column=token.column, found=token.shown, expected=expected, meant=known)


def _listed(field: Field) -> str:
    return " ".join(each for each in field.operators if each is not Operator.HAS)


def _choice(field: Field, word: str) -> str | None:
    return next((choice for choice in field.choices if choice.lower() == word.lower()), None)


_READERS: Mapping[ValueKind, Callable[[Field, str], Value | None]] = {
    ValueKind.TEXT: lambda field, word: field.tidy(word),
    ValueKind.NUMBER: lambda _field, word: values.number(word),
    ValueKind.BOOLEAN: lambda _field, word: values.boolean(word),
    ValueKind.INSTANT: lambda _field, word: values.instant(word),
    ValueKind.SPAN: lambda _field, word: values.span(word),
    ValueKind.CHOICE: _choice,
}
_EXPECTED = {
    ValueKind.TEXT: "a text",
    ValueKind.NUMBER: f"a whole number up to {values.MOST}",
    ValueKind.BOOLEAN: "`true` or `false`",
    ValueKind.INSTANT: "an instant: 30d from now, -12h before now, 2027-03-15, or 2027-03-15T12:00:00Z",
    ValueKind.SPAN: "a length of time, such as 90d, 12h or 2w",
}


def _expected(field: Field) -> str:
    return _EXPECTED.get(field.kind) or f"one of: {', '.join(field.choices)}"


def _choices_like(field: Field, word: str) -> Sequence[str]:
    return get_close_matches(word.lower(), field.choices, n=2)


def _bare_domain(value: Value) -> Value:
    return value.lstrip("*.") if isinstance(value, str) else value
