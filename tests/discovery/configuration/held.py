"""Files that are held in memory, for what a reader makes of text: the product itself is asked where it runs."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HeldFiles:
    """Files by their absolute path; those in `closed` may not be read, nor listed."""

    texts: dict[str, str]
    closed: frozenset[str] = field(default_factory=frozenset)

    async def read(self, path: str) -> bytes:
        if path in self.closed:
            raise PermissionError(path)
        try:
            return self.texts[path].encode()
        except KeyError:
            raise FileNotFoundError(path) from None

    async def glob(self, pattern: str) -> Sequence[str]:
        if pattern.rpartition("/")[0] in self.closed:
            raise PermissionError(pattern)
        deep = pattern.count("/")
        return sorted(p for p in self.texts if p.count("/") == deep and fnmatch.fnmatchcase(p, pattern))

    async def is_folder(self, path: str) -> bool:
        return any(held.startswith(f"{path}/") for held in self.texts)
