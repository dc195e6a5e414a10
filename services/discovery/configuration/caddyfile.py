"""The Caddyfile as text: tokens, blocks, snippets and imports.

Rules from https://caddyserver.com/docs/caddyfile/concepts and /directives/import.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.discovery.configuration.files import LONGEST_VALUE, MOST_DEPTH, MOST_INCLUDES
from services.discovery.configuration.reader import Reader, absolute

MOST_NESTED = 64
"""Blocks within one another."""
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+|\\\r?\n) | (?P<comment>(?<!\S)\#[^\n]*) | (?P<end>\n)
    | (?P<here><<(?P<mark>[A-Za-z0-9_-]+)\r?\n)
    | "(?P<quoted>(?:\\.|[^"\\])*)" | `(?P<raw>[^`]*)` | (?P<plain>\S+)
    """,
    re.VERBOSE | re.DOTALL,
)
_VARIABLE = re.compile(r"\{\$(?P<name>[^}:\s]*)(?::(?P<default>[^}\n]*))?\}")
_ARGUMENT = re.compile(r"\{args(?:\[(?P<at>[0-9]{1,3})\]|\.(?P<old>[0-9]{1,3}))\}")
_SNIPPET = re.compile(r"&?\((?P<name>[^()]+)\)")
_CORRECT = "Correct the file: Caddy itself does not take it (`caddy validate`)."


@dataclass(kw_only=True)
class Line:
    """One line of words, with the block that it opens, if any."""

    words: tuple[str, ...]
    file: str
    number: int
    block: "list[Line] | None" = None

    def inner(self, name: str) -> Iterator["Line"]:
        """Yield the lines of its block that begin with a word."""
        return (line for line in self.block or () if line.words[:1] == (name,))


class Caddyfile:
    """Reads a Caddyfile, with every import in the place where it stands."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._snippets: dict[str, list[Line]] = {}
        self._imports = 0

    async def read(self, path: str) -> list[Line]:
        """Return the lines at the top of a file: the global options, and one for each site."""
        lines = await self._parsed(path, within=())
        return await self._expanded(lines, arguments=(), within=(path,))

    async def _parsed(self, path: str, *, within: tuple[str, ...]) -> list[Line]:
        text = await self._reader.text(path, within=within) or ""
        lines: list[Line] = []
        for line in _lines(text, path, reader=self._reader):
            found = _SNIPPET.fullmatch(line.words[0]) if line.words else None
            if found is None:
                lines.append(line)
            elif line.block is not None and not line.words[0].startswith("&"):
                self._snippets[found["name"]] = line.block
        return lines

    async def _expanded(
        self, lines: Sequence[Line], *, arguments: Sequence[str], within: tuple[str, ...]
    ) -> list[Line]:
        found: list[Line] = []
        for line in lines:
            words = tuple(_given(word, arguments) for word in line.words)
            if words[:1] == ("import",) and len(words) > 1:
                found += await self._imported(words[1], words[2:], line, within=within)
                continue
            block = line.block
            if block is not None:
                block = await self._expanded(block, arguments=arguments, within=within)
            found.append(Line(words=words, file=line.file, number=line.number, block=block))
        return found

    async def _imported(
        self, name: str, arguments: Sequence[str], line: Line, *, within: tuple[str, ...]
    ) -> list[Line]:
        if name in self._snippets:
            inner = f"({name})"
            self._imports += 1
            if inner in within or len(within) >= MOST_DEPTH or self._imports > MOST_INCLUDES:
                step = "Untangle its snippets."
                self._reader.gap(line.file, "Its snippets import one another too often.", next_step=step)
                return []
            return await self._expanded(self._snippets[name], arguments=arguments, within=(*within, inner))
        found: list[Line] = []
        for path in await self._reader.matching(absolute(name, under=posixpath.dirname(line.file))):
            parsed = await self._parsed(path, within=within)
            found += await self._expanded(parsed, arguments=arguments, within=(*within, path))
        return found


def _given(word: str, arguments: Sequence[str]) -> str:
    def value(found: re.Match[str]) -> str:
        at = int(found["at"] or found["old"])
        return arguments[at] if at < len(arguments) else found[0]

    return _ARGUMENT.sub(value, word)[:LONGEST_VALUE]


def _lines(text: str, path: str, *, reader: Reader) -> list[Line]:
    """Return lines with their blocks; where braces do not fit, a gap and what was read until there."""
    top: list[Line] = []
    stack = [top]
    for words, number in _rows(text):
        is_closing, is_opening = words == ["}"], words[-1] == "{"
        if (is_closing and len(stack) == 1) or (is_opening and len(stack) > MOST_NESTED):
            reader.gap(path, f"The braces of line {number} do not fit.", next_step=_CORRECT)
            return top
        if is_closing:
            stack.pop()
            continue
        line = Line(words=tuple(words[:-1] if is_opening else words), file=path, number=number)
        stack[-1].append(line)
        if is_opening:
            line.block = []
            stack.append(line.block)
    if len(stack) > 1:
        reader.gap(path, "A block is not closed.", next_step=_CORRECT)
    return top


def _rows(text: str) -> Iterator[tuple[list[str], int]]:
    """Yield the words of each line and its number; a line that ends in a comma goes on in the next."""
    words: list[str] = []
    first = 1
    for word, number in _words(text):
        if word is not None:
            first = first if words else number
            words.append(word)
        elif words and not words[-1].endswith(","):
            yield words, first
            words = []
    if words:
        yield words, first


def _words(text: str) -> Iterator[tuple[str | None, int]]:
    """Yield each word with its line's number, and None for each end of a line."""
    # What a variable holds is known on the host only; what it is without one is written here.
    text = _VARIABLE.sub(lambda found: found[0] if found["default"] is None else found["default"], text)
    at, number = 0, 1
    while found := _TOKEN.match(text, at):
        end = found.end()
        if found["here"] is not None:
            closing = re.compile(rf"^[ \t]*{found['mark']}$", re.MULTILINE).search(text, end)
            yield text[end : closing.start() if closing else len(text)], number
            end = closing.end() if closing else len(text)
        elif found["end"] is not None:
            yield None, number
        elif found["space"] is None and found["comment"] is None:
            yield _plain(found), number
        number += text.count("\n", at, end)
        at = end


def _plain(found: re.Match[str]) -> str:
    if found["quoted"] is not None:
        return re.sub(r'\\(["\\])', r"\1", found["quoted"])
    return found["raw"] if found["raw"] is not None else found["plain"]
