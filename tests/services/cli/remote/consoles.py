"""Terminal sessions in documents, run again: each command in a real shell, its output beside what is written."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ELLIPSIS = "…"
_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command after `$ `, and what it says on both outputs; `…` stands for anything, spaces for as many as there are."""

    command: str
    output: str

    def fits(self, said: str) -> bool:
        """Return whether this was said."""
        pattern = re.escape(_narrow(self.output)).replace(re.escape(ELLIPSIS), ".*?")
        return re.fullmatch(pattern, _narrow(said), re.DOTALL) is not None


def _narrow(text: str) -> str:
    """Return a text without the widths of its columns."""
    return re.sub(r" {2,}", " ", re.sub(r" +$", "", text.strip(), flags=re.MULTILINE))


def blocks(page: Path, kind: str) -> Iterator[str]:
    """Yield the blocks of a kind on a page, as `sh` or `yaml`."""
    yield from (found["text"] for found in _BLOCK.finditer(page.read_text()) if found["kind"] == kind)


def steps(page: Path) -> Iterator[Step]:
    """Yield each command of a page's `console` blocks."""
    for text in blocks(page, "console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command = f"{command}\n{more.removeprefix('> ')}"
            yield Step(command, output)


def shell(command: str, *, environ: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in bash, as a person would; both outputs are one."""
    return subprocess.run(
        ["bash", "-c", command],
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
