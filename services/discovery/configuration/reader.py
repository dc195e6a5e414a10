"""Reading files within bounds: whatever cannot be read becomes a gap, and nothing is read twice."""

import posixpath
import re
from collections.abc import Sequence

from services.discovery.configuration.files import MOST_BYTES, MOST_FILES, Files
from services.discovery.domain.holdings import Gap, Reading, Use

_MAY_READ = "Give the login of the source the right to read it."


class Reader:
    """Reads for one product on one host, and remembers what was read and what could not be."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._gaps: dict[tuple[str, str], Gap] = {}
        self._read: dict[str, None] = {}

    async def text(self, path: str) -> str | None:
        """Return a file's text; None, and a gap, where it cannot be read."""
        if len(self._read) >= MOST_FILES:
            self.gap(
                path, f"More than {MOST_FILES} files are included.", next_step="Split the configuration."
            )
            return None
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
                self._read[path] = None
                return content.decode("utf-8", errors="replace").removeprefix("\ufeff")
            self.gap(
                path, f"It has more than {MOST_BYTES} bytes.", next_step="Check that it is the right file."
            )
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
        gap = Gap(scope=scope, reason=reason, next_step=next_step, is_absent=is_absent)
        self._gaps[scope, reason] = gap

    def reading(self, uses: Sequence[Use]) -> Reading:
        """Return what came of it all."""
        return Reading(uses=tuple(uses), gaps=tuple(self._gaps.values()), files=tuple(self._read))


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
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:  # noqa: PLR2004 - the last port
        return None
    bare = host.removeprefix("[").removesuffix("]") if separator else ""
    return (None if bare in ("", "*", "0.0.0.0", "::") else bare.lower()), int(port)  # noqa: S104 - nothing is bound here
