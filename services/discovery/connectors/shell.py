"""A POSIX shell on a host, over SSH: it answers questions about files, and nothing it is told to do changes one.

The shell reads each script from its standard input, so that `sudo` needs to allow one command only.
"""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncssh

from services.discovery.configuration.files import MOST_BYTES
from services.discovery.connectors import Limits
from shared.errors import Unavailable
from shared.ssh import Login, log_in

_MISSING, _DENIED, _NO_FILE, _KEY = 44, 43, 45, 46
_WHY = {_NO_FILE: "not a regular file", _KEY: "it holds a private key, and those stay on the host"}
_PREAMBLE = "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin; umask 077\n"


class Shell:
    """Runs scripts. Methods raise `Refused` or `Unavailable`, and what `Files` names."""

    def __init__(self, connection: asyncssh.SSHClientConnection, *, command: str, limits: Limits) -> None:
        self._connection = connection
        # Asked for at once: a connection that was lost does not know it any more.
        self.address = str((connection.get_extra_info("peername") or ("",))[0])
        """The IP address at which the host was reached."""
        self._command = command
        self._limits = limits

    async def run(self, script: str) -> tuple[int, bytes]:
        """Run a script; return its exit status and what it said on standard output."""
        seconds = self._limits.command.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                done = await self._connection.run(
                    self._command, input=(_PREAMBLE + script).encode(), encoding=None
                )
        except TimeoutError:
            raise Unavailable(
                f"The host did not answer in {seconds:g} s.",
                next_step="Look at the host, or read fewer folders.",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise Unavailable(
                f"The connection was lost ({error}).", next_step="It is tried again by itself."
            ) from error
        if done.exit_status is None:
            raise Unavailable("The connection was lost.", next_step="It is tried again by itself.")
        return done.exit_status, done.stdout if isinstance(done.stdout, bytes) else b""

    async def read(self, path: str) -> bytes:
        """Return a file's content, up to one byte more than may be read; never that of one with a private key."""
        file = shlex.quote(path)
        status, content = await self.run(
            f"f={file}\n"
            f'[ -e "$f" ] || exit {_MISSING}\n[ -f "$f" ] || exit {_NO_FILE}\n[ -r "$f" ] || exit {_DENIED}\n'
            f"grep -q -e '-----BEGIN .*PRIVATE KEY-----' \"$f\" && exit {_KEY}\n"
            f'head -c {MOST_BYTES + 1} < "$f"\n'
        )
        if status == _MISSING:
            raise FileNotFoundError(path)
        if status == _DENIED:
            raise PermissionError(path)
        if status:
            raise OSError(_WHY.get(status, f"exit status {status}"))
        return content

    async def glob(self, pattern: str) -> Sequence[str]:
        """Return the paths that fit."""
        folder, words = shlex.quote(pattern.rpartition("/")[0] or "/"), _pattern(pattern)
        status, said = await self.run(
            f"if [ -d {folder} ] && ! [ -r {folder} ]; then exit {_DENIED}; fi\n"
            f'for f in {words}; do [ -e "$f" ] && printf \'%s\\n\' "$f"; done; exit 0\n'
        )
        if status == _DENIED:
            raise PermissionError(folder)
        return sorted(said.decode(errors="replace").splitlines())

    async def is_folder(self, path: str) -> bool:
        """Return whether there is a folder at this path."""
        status, _ = await self.run(f"[ -d {shlex.quote(path)} ]\n")
        return status == 0


def _pattern(text: str) -> str:
    """Quote all of a pattern but what makes it one."""
    return "".join(
        part if re.fullmatch(r"[*?]|\[[!\]]?[\w.-]*\]", part) else shlex.quote(part)
        for part in re.split(r"([*?]|\[[!\]]?[\w.-]*\])", text)
        if part
    )


@asynccontextmanager
async def logged_in(login: Login, *, limits: Limits) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Log in for one piece of work; raises `Refused` or `Unavailable`, with what to do."""
    try:
        async with asyncio.timeout(limits.connect.total_seconds()):
            connection = await log_in(login)
    except TimeoutError as error:
        raise Unavailable(
            f"{login.where} did not answer in time.", next_step="Check that it is up."
        ) from error
    async with connection:
        yield connection


@asynccontextmanager
async def shell(login: Login, *, sudo: bool, limits: Limits) -> AsyncIterator[Shell]:
    """Log in, and open a shell; with `sudo` it runs as root, where the host allows that without a password."""
    async with logged_in(login, limits=limits) as connection:
        yield Shell(connection, command="sudo -n /bin/sh -s" if sudo else "/bin/sh -s", limits=limits)
