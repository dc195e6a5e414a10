"""Reading files within bounds: whatever cannot be read becomes a gap, and no file is fetched twice."""

import posixpath
import re
from collections.abc import Sequence

from services.discovery.configuration.files import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_FILES,
    MOST_INCLUDES,
    Files,
)
from services.discovery.domain.holdings import Gap, Reading, Use
from services.discovery.domain.targets import is_port

EVERYWHERE = ("", "*", "0.0.0.0", "::")  # noqa: S104 - nothing is bound here
"""How configurations write "every address of the host"."""
_MAY_READ = "Give the login of the source the right to read it."


class Reader:
    """Reads for one product on one host, and remembers what was read and what could not be."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._gaps: dict[tuple[str, str], Gap] = {}
        self._texts: dict[str, str | None] = {}
        self._includes = 0
        self._characters = 0

    async def text(self, path: str, *, within: tuple[str, ...] = ()) -> str | None:
        """Return a file's text; None, and a gap, where it cannot be read.

        `within` are the files that include it, the outermost first.
        """
        if path in within or len(within) >= MOST_DEPTH:
            self.gap(path, "It includes itself, or too deeply.", next_step="Untangle its includes.")
            return None
        if path not in self._texts and len(self._texts) >= MOST_FILES:
            self.gap(path, f"More than {MOST_FILES} files are read.", next_step="Split the configuration.")
            return None
        if self._includes >= MOST_INCLUDES or self._characters >= MOST_CHARACTERS:
            self.gap(path, "All includes together are too much.", next_step="Untangle its includes.")
            return None
        if path not in self._texts:
            self._texts[path] = await self._fetched(path)
        text = self._texts[path]
        self._includes += 1
        self._characters += len(text or "")
        return text

    async def _fetched(self, path: str) -> str | None:
        try:
            content = await self._files.read(path)
        except FileNotFoundError:
            step = "Check the configuration that names it."
            self.gap(path, "There is no such file.", next_step=step, is_absent=True)
        except PermissionError:
            self.gap(path, "It may not be read.", next_step=_MAY_READ)
        except OSError as error:
            self.gap(path, f"It cannot be read ({error.strerror or error}).", next_step="Look at the host.")
        else:
            if len(content) <= MOST_BYTES:
                return content.decode("utf-8", errors="replace").removeprefix("\ufeff")
            step = "Check that it is the right file."
            self.gap(path, f"It has more than {MOST_BYTES} bytes.", next_step=step)
        return None

    async def matching(self, pattern: str) -> Sequence[str]:
        """Return the paths that fit a shell pattern; none, and a gap, where a folder may not be listed."""
        try:
            return await self._files.glob(pattern)
        except PermissionError:
            self.gap(_folder_of(pattern), "It may not be listed.", next_step=_MAY_READ)
        except OSError as error:
            self.gap(_folder_of(pattern), f"It cannot be listed ({error}).", next_step="Look at the host.")
        return ()

    async def is_folder(self, path: str) -> bool:
        """Return whether there is a folder at this path, as far as can be told."""
        try:
            return await self._files.is_folder(path)
        except OSError:
            return False

    def gap(self, scope: str, reason: str, *, next_step: str, is_absent: bool = False) -> None:
        """Remember something that could not be read."""
        gap = Gap(
            scope=scope, reason=reason, next_step=next_step, is_absent=is_absent, hides_names=not is_absent
        )
        self._gaps[scope, reason] = gap

    def reading(self, uses: Sequence[Use]) -> Reading:
        """Return what came of it all."""
        files = tuple(path for path, text in self._texts.items() if text is not None)
        return Reading(uses=tuple(uses), gaps=tuple(self._gaps.values()), files=files)


def _folder_of(pattern: str) -> str:
    return posixpath.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0]) or "/"


def absolute(path: str, *, under: str) -> str:
    """Return a path that may be relative to a folder as an absolute one."""
    return posixpath.normpath(posixpath.join(under, path))


def host_and_port(text: str) -> tuple[str | None, int] | None:
    """Read `443`, `*:443`, `:443`, `192.0.2.1:443` and `[::]:443`; None where it is none of these.

    An address that stands for all of them is None.
    """
    host, separator, port = text.rpartition(":")
    if not re.fullmatch(r"\[[0-9A-Fa-f:.%]*\]|[^\s:/\[\]]*", host):
        return None
    number = port_number(port)
    return None if number is None else (listened(host if separator else ""), number)


def port_number(text: str) -> int | None:
    """Return a port, None where it is none."""
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None
    return number if is_port(number) else None


def listened(address: str) -> str | None:
    """Return an address as `Listener` has it: without brackets, and None for every address of the host."""
    bare = address.removeprefix("[").removesuffix("]").lower()
    return None if bare in EVERYWHERE else bare
