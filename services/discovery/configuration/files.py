"""How a configuration is read: a few questions to whoever holds the files, bounded in number, size and depth."""

from collections.abc import Sequence
from typing import Protocol

MOST_FILES = 2_000
"""Files read for one product on one host."""
MOST_INCLUDES = 20_000
"""How often its files are included, one of them perhaps many times …"""
MOST_CHARACTERS = 64 * 1024 * 1024
"""… and how much text that makes together."""
LONGEST_VALUE = 10_000
"""Characters of a value in which variables are replaced: they may name one another, and grow without end."""
MOST_BYTES = 4 * 1024 * 1024
"""Of one file."""
MOST_DEPTH = 16
"""Of includes."""


class Files(Protocol):
    """The files of one host. Paths are absolute POSIX paths."""

    async def read(self, path: str) -> bytes:
        """Return a file's content. Raises `FileNotFoundError`, `PermissionError` or `OSError`."""

    async def glob(self, pattern: str) -> Sequence[str]:
        """Return the paths that fit a shell pattern, sorted; one without wildcards fits what is there.

        Raises `PermissionError` where a folder on the way may not be listed.
        """

    async def is_folder(self, path: str) -> bool:
        """Return whether there is a folder at this path."""
