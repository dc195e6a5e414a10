"""The syntax of BIG-IP's files: objects with nested braces, read in one pass whatever is in them.

`ltm virtual /Common/web { destination /Common/192.0.2.1:443 profiles { /Common/http { } } }`, one value a line. Rules
and scripts hold Tcl between their braces, where quotes need not end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\n|[{}]|(?:\\.|[^\s{}"\\])+|["\\]', re.DOTALL)
_TCL_TOKEN = re.compile(r"\\.|[{}\n]", re.DOTALL)
_TCL = ("ltm rule", "gtm rule", "cli script", "sys icall script", "sys application template", "pem irule")
_DEEPEST = 50


class Unfinished(Exception):
    """An object has no end, or is nested too deeply; `line` is where it begins."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


@dataclass(kw_only=True, slots=True)
class Block:
    """What stands between braces: values by their names, blocks by theirs, and the words of a plain list."""

    values: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, "Block"] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        """Return what a name is set to; None where it is not set."""
        return self.values.get(name)

    def within(self, name: str) -> "Block":
        """Return the block of this name, an empty one where there is none."""
        return self.blocks.get(name) or Block()


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One object at the top of a file: `ltm virtual /Common/web`."""

    kind: str
    name: str
    line: int
    block: Block


def things(text: str) -> Iterator[Thing]:
    """Yield the objects of a file. Raises `Unfinished`, after which nothing can be made of the rest."""
    at, line = 0, 1
    while (end := text.find("\n", at)) >= 0 or at < len(text):
        end = len(text) if end < 0 else end
        head = text[at:end].rstrip()
        opening = None if head.startswith("#") else head.partition("{")[1]
        if not opening:
            at, line = end + 1, line + 1
            continue
        words = [_plain(word) for word in re.findall(r'"[^"]*"|[^\s"]+', head.partition("{")[0])]
        start, began = at + head.index("{") + 1, line
        kind, name = " ".join(words[:-1]), words[-1] if words else ""
        if kind.startswith(_TCL):
            at, line = _after_tcl(text, start, line=line)
        else:
            block, at, line = _block(text, start, line=line)
            yield Thing(kind=kind, name=name, line=began, block=block)


def _after_tcl(text: str, at: int, *, line: int) -> tuple[int, int]:
    began, depth = line, 1
    for found in _TCL_TOKEN.finditer(text, at):
        part = found[0]
        line += part.count("\n")
        depth += (part == "{") - (part == "}")
        if not depth:
            return found.end(), line
    raise Unfinished(began)


def _block(text: str, at: int, *, line: int) -> tuple[Block, int, int]:
    """Return a block, where it ends, and the line of that."""
    began, whole = line, Block()
    stack, words = [whole], list[str]()
    for found in _TOKEN.finditer(text, at):
        part = found[0]
        line += part.count("\n")
        if part not in ("{", "}", "\n"):
            words.append(_plain(part))
            continue
        if part == "{":
            if len(stack) >= _DEEPEST:
                raise Unfinished(began)
            stack.append(stack[-1].blocks.setdefault(" ".join(words), Block()))
        elif part == "}":
            _finish(stack.pop(), words)
        elif words:
            stack[-1].values.setdefault(words[0], " ".join(words[1:]))
        words = []
        if not stack:
            return whole, found.end(), line
    raise Unfinished(began)


def _finish(block: Block, words: list[str]) -> None:
    """Take in what stands before a closing brace on its line: a list, or names with their values."""
    block.words.extend(words)
    for name, value in zip(words[::2], words[1::2], strict=False):
        block.values.setdefault(name, value)


def _plain(part: str) -> str:
    inner = part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
