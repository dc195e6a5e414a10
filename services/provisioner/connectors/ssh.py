"""One SSH connection to a target: files and commands, every failure named, and the host key always verified."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import asyncssh

from services.provisioner.connectors import Access, Limits
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import Refused, Unavailable
from shared.ssh import HostKeyChanged, Login, log_in

T = TypeVar("T")
OUTPUT = 1000
"""Characters kept of what a command says."""
_PRIVATE = 0o600


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """Whose a file is, and what may be done with it."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended: its exit status (None where a signal or the time limit ended it) and its words."""

    status: int | None
    output: str


class Session:
    """An open connection. Methods raise `DeploymentError`."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, *, limits: Limits
    ) -> None:
        self._connection = connection
        self._sftp = sftp
        self._limits = limits

    async def real_path(self, path: str) -> str:
        """Return the path with symbolic links followed, whether or not there is such a file."""
        found = await self._do(self._sftp.realpath(path), what=f"find {path}", path=path)
        return str(found)

    async def attributes(self, path: str) -> Attributes | None:
        """Return a file's attributes, or None where there is no such file."""
        try:
            found = await self._do(self._sftp.stat(path), what=f"look at {path}", path=path)
        except _Absent:
            return None
        return Attributes(mode=(found.permissions or 0) & 0o7777, uid=found.uid or 0, gid=found.gid or 0)

    async def read(self, path: str) -> bytes:
        """Return a file's content."""

        async def reading() -> bytes:
            async with self._sftp.open(path, "rb") as file:
                return cast("bytes", await file.read())

        return await self._do(reading(), what=f"read {path}", path=path)

    async def write(self, path: str, content: bytes, *, like: Attributes | None, mode: int) -> None:
        """Make a new file, on the disk before this returns, with the owner and mode of `like`, else `mode`."""
        await self._do(self._write(path, content, like=like, mode=mode), what=f"write {path}", path=path)

    async def _write(self, path: str, content: bytes, *, like: Attributes | None, mode: int) -> None:
        # Nobody else may read it before owner and mode are what they shall be.
        closed = asyncssh.SFTPAttrs(permissions=_PRIVATE)
        async with self._sftp.open(path, "xb", closed) as file:
            await file.write(content)
            if like is not None:
                made = await file.stat()
                if (made.uid, made.gid) != (like.uid, like.gid):
                    await file.chown(like.uid, like.gid)
            await file.chmod(like.mode if like is not None else mode)
            await file.fsync()

    async def link_or_copy(self, path: str, beside: str) -> None:
        """Keep a file under a second name: as a hard link, or where those are refused, as a copy."""
        try:
            await self._do(self._sftp.link(path, beside), what=f"link {path}", path=path)
        except DeploymentError as error:
            if error.failure not in (Failure.WRITE_FAILED, Failure.PERMISSION_DENIED):
                raise
            like = await self.attributes(path)
            await self.write(beside, await self.read(path), like=like, mode=_PRIVATE)

    async def link_there(self, path: str, beside: str) -> None:
        """Keep a file under a second name, without its content leaving the host."""
        try:
            await self._do(self._sftp.link(path, beside), what=f"link {path}", path=path)
        except DeploymentError as error:
            if error.failure not in (Failure.WRITE_FAILED, Failure.PERMISSION_DENIED):
                raise
            ran = await self.run(f"umask 077; cp -p -- {shlex.quote(path)} {shlex.quote(beside)}")
            if ran.status != 0:
                raise

    async def give(self, path: str, *, like: Attributes) -> None:
        """Give a file the owner and mode of `like`."""

        async def giving() -> None:
            made = await self._sftp.stat(path)
            if (made.uid, made.gid) != (like.uid, like.gid):
                await self._sftp.chown(path, like.uid, like.gid)
            await self._sftp.chmod(path, like.mode)

        await self._do(giving(), what=f"give {path} its owner", path=path)

    async def replace(self, moves: list[tuple[str, str]]) -> None:
        """Rename files over others, each atomically, all requests sent at once."""
        # The requests leave in one write, so a connection that is cut has hardly ever cut between them.
        done = await asyncio.gather(*(self._rename(old, new) for old, new in moves), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result

    async def _rename(self, old: str, new: str) -> None:
        await self._do(self._sftp.posix_rename(old, new), what=f"rename {old}", path=new)

    async def remove(self, path: str) -> None:
        """Remove a file, where there is one."""
        try:
            await self._do(self._sftp.remove(path), what=f"remove {path}", path=path)
        except _Absent:
            return

    async def run(self, command: str, *, keep: int = OUTPUT) -> Ran:
        """Run a command; how it ends is for the caller to judge. The last `keep` characters of its words are kept."""
        seconds = self._limits.command.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                with _named("run a command"):
                    done = await self._connection.run(command, stdin=asyncssh.DEVNULL, errors="replace")
        except TimeoutError:
            return Ran(status=None, output=f"It did not end in {seconds:g} s.")
        if done.exit_status is None:
            raise DeploymentError(
                Failure.UNREACHABLE, "The connection was lost while a command ran.", step="connect"
            )
        return Ran(status=done.exit_status, output=_shortened(_text(done.stdout) + _text(done.stderr), keep))

    async def _do(self, work: Awaitable[T], *, what: str, path: str) -> T:
        try:
            with _named(what):
                return await _within(work, self._limits.transfer, what=what)
        except _Unexplained as error:
            raise await self._explained(error, path=path) from error

    async def _explained(self, error: "_Unexplained", *, path: str) -> DeploymentError:
        # SFTP version 3 says only "Failure" of a full disk, so the file system is asked.
        try:
            space = await self._sftp.statvfs(path.rpartition("/")[0] or "/")
        except (asyncssh.Error, OSError):
            return DeploymentError(error.failure, error.detail, step=error.step)
        full = space.bavail == 0 or (space.favail == 0 and space.files > 0)
        return DeploymentError(
            Failure.DISK_FULL if full else error.failure,
            f"{error.detail} The file system has no space left." if full else error.detail,
            step=error.step,
        )


class _Absent(DeploymentError):
    """There is no such file."""


class _Unexplained(DeploymentError):
    """The server said no more than that it failed."""


async def _within(work: Awaitable[T], limit: timedelta, *, what: str) -> T:
    seconds = limit.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise DeploymentError(
            Failure.UNREACHABLE, f"Could not {what}: no answer in {seconds:g} s.", step="connect"
        ) from None


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Turn what asyncssh raises into failures with a name."""
    try:
        yield
    except asyncssh.SFTPError as error:
        raise _sftp_failure(error, what=what) from error
    except (asyncssh.Error, OSError) as error:
        raise DeploymentError(Failure.UNREACHABLE, f"Could not {what}: {error}.", step="connect") from error


def _sftp_failure(error: asyncssh.SFTPError, *, what: str) -> DeploymentError:
    reason = f"Could not {what}: {error.reason}."
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return _Absent(Failure.NO_SUCH_FOLDER, reason, step="files")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return DeploymentError(Failure.PERMISSION_DENIED, reason, step="files")
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return DeploymentError(Failure.UNREACHABLE, reason, step="connect")
    return _Unexplained(Failure.WRITE_FAILED, reason, step="files")


def _text(output: asyncssh.BytesOrStr | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _shortened(text: str, keep: int) -> str:
    text = text.strip()
    return text if len(text) <= keep else f"… {text[-keep:]}"


@asynccontextmanager
async def connect(access: Access) -> AsyncIterator[Session]:
    """Connect, verify the host key, log in and open SFTP. Raises `DeploymentError`."""
    limit = access.limits.connect
    where = f"{access.host}:{access.port}"
    connection = await _within(_connection(access), limit, what=f"log in to {where}")
    async with connection:
        with _named("open SFTP"):
            sftp = await _within(connection.start_sftp_client(), limit, what="open SFTP")
        async with sftp:
            yield Session(connection, sftp, limits=access.limits)


async def _connection(access: Access) -> asyncssh.SSHClientConnection:
    login = Login(
        host=access.host,
        port=access.port,
        username=access.username,
        host_key=access.host_key,
        credential=access.credential,
        agent=access.agent,
    )
    try:
        return await log_in(login)
    except HostKeyChanged as error:
        raise DeploymentError(
            Failure.HOST_KEY_CHANGED, "The host has another key than the one stored.", step="connect"
        ) from error
    except Refused as error:
        raise DeploymentError(Failure.LOGIN_REFUSED, error.detail, step="connect") from error
    except Unavailable as error:
        raise DeploymentError(Failure.UNREACHABLE, error.detail, step="connect") from error


@dataclass(frozen=True, kw_only=True)
class SeenHostKey:
    """The key a host shows; whether it is the right one is for a person to say."""

    host_key: str
    fingerprint: str


async def seen_host_key(host: str, *, port: int, limit: timedelta) -> SeenHostKey:
    """Return the key that the host shows now. Raises `DeploymentError` (unreachable)."""
    where = f"{host}:{port}"
    with _named(f"connect to {where}"):
        asked = asyncssh.get_server_host_key(host, port, config=None)
        key = await _within(asked, limit, what=f"reach {where}")
    if key is None:
        raise DeploymentError(Failure.UNREACHABLE, f"{where} showed no host key.", step="connect")
    text = key.export_public_key("openssh").decode()
    return SeenHostKey(host_key=" ".join(text.split()[:2]), fingerprint=key.get_fingerprint("sha256"))
