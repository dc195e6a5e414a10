"""Cuts a query into words, quoted texts, operators and brackets, and says where each begins."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from services.inventory.domain.query.errors import fail
from services.inventory.domain.query.tree import Operator

_SYMBOLS = "=<>!~"
_QUOTES = "\"'"
_BREAKS = f"{_SYMBOLS}{_QUOTES}(),"
_MEANT = {"==": "=", "===": "=", "<>": "!=", "=~": "~", "!": "not", "!~": "not … ~", "=<": "<=", "=>": ">="}


class TokenKind(Enum):
    """What a piece of a query is."""

    WORD = auto()
    TEXT = auto()
    OPERATOR = auto()
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    END = auto()


_BRACKETS = {"(": TokenKind.OPEN, ")": TokenKind.CLOSE, ",": TokenKind.COMMA}


@dataclass(frozen=True, kw_only=True)
class Token:
    """A piece of a query. `column` counts characters, from 1."""

    kind: TokenKind
    text: str
    column: int

    @property
    def shown(self) -> str:
        """Return how it is called in an error."""
        return "the end of the query" if self.kind is TokenKind.END else f"`{self.text}`"

    def is_word(self, *words: str) -> bool:
        """Return whether it is one of these words, unquoted, in any case."""
        return self.kind is TokenKind.WORD and self.text.lower() in words


def is_plain(text: str) -> bool:
    """Return whether a text is one word without quotes."""
    return bool(text) and not any(each in _BREAKS or each.isspace() for each in text)


def tokens(text: str) -> Iterator[Token]:
    """Return the pieces of a query, an `END` after the last. Raises `Invalid`."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at)
        yield token
    yield Token(kind=TokenKind.END, text="", column=len(text) + 1)


def _next(text: str, at: int) -> tuple[Token, int]:
    first = text[at]
    if first in _BRACKETS:
        return Token(kind=_BRACKETS[first], text=first, column=at + 1), at + 1
    if first in _QUOTES:
        return _quoted(text, at)
    if first in _SYMBOLS:
        return _operator(text, at)
    end = at
    while end < len(text) and is_plain(text[end]):
        _refuse_unwritable(text[end], column=end + 1)
        end += 1
    return Token(kind=TokenKind.WORD, text=text[at:end], column=at + 1), end


def _operator(text: str, at: int) -> tuple[Token, int]:
    end = at
    while end < len(text) and text[end] in _SYMBOLS:
        end += 1
    symbol = text[at:end]
    if symbol not in set(Operator):
        meant = _MEANT.get(symbol)
        fail(
            column=at + 1,
            found=f"`{symbol}`",
            expected="an operator: = != < <= > >= ~ in under",
            meant=[meant] if meant else [],
        )
    return Token(kind=TokenKind.OPERATOR, text=symbol, column=at + 1), end


def _quoted(text: str, at: int) -> tuple[Token, int]:
    quote, end, parts = text[at], at + 1, []
    while end < len(text) and text[end] != quote:
        if text[end] == "\\" and end + 1 < len(text):
            end += 1
        _refuse_unwritable(text[end], column=end + 1)
        parts.append(text[end])
        end += 1
    if end >= len(text):
        fail(column=at + 1, found="a quote that is never closed", expected=f"another {quote} after the text")
    return Token(kind=TokenKind.TEXT, text="".join(parts), column=at + 1), end + 1


def _refuse_unwritable(character: str, *, column: int) -> None:
    """Refuse what no database takes, or nobody can see: control characters and halves of surrogates."""
    if unicodedata.category(character) in ("Cc", "Cs"):
        fail(column=column, found=f"the character U+{ord(character):04X}", expected="text that can be read")
