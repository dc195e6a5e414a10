"""One SSH connection to a target: files and commands, every failure named, and the host key always verified."""

import asyncio
import shlex
import struct
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import asyncssh

from services.provisioner.connectors import Access, Limits, SshAccess, sftp
from services.provisioner.connectors.sftp import PIECE, Attributes, Sftp
from services.provisioner.connectors.ssh_failures import Absent, Unexplained, named, sftp_failure, within
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import Refused, Unavailable
from shared.ssh import Credential, HostKeyChanged, Login, OutOfReach, Reach, log_in, reachable_addresses

T = TypeVar("T")
OUTPUT = 1000
"""Characters kept of what a command says."""
SELINUX = "/sys/fs/selinux/enforce"
"""A file that is there where the kernel keeps to the labels of files (selinux(8))."""
_PRIVATE = 0o600
_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)
"""Where Debian, Red Hat, Alpine and Arch, and the BSDs put it."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended: its exit status (None where a signal or the time limit ended it) and its words."""

    status: int | None
    output: str


class Session:
    """An open connection. Methods raise `DeploymentError`."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        files: Sftp,
        *,
        limits: Limits,
        prefix: str = "",
    ) -> None:
        """`prefix` stands before the programs that handle files (`sudo -n`)."""
        self._connection = connection
        self._files = files
        self._limits = limits
        self._prefix = prefix

    async def real_path(self, path: str) -> str:
        """Return the path with symbolic links followed, whether or not there is such a file."""
        [found] = await self._all(sftp.real_path(path), what=f"find {path}", path=path)
        return str(found)

    async def attributes(self, path: str) -> Attributes | None:
        """Return a file's attributes, or None where there is no such file."""
        [found] = await self._each(sftp.look(path), what=f"look at {path}", path=path)
        return None if isinstance(found, Absent) else _or_raise(found)

    async def find(self, path: str) -> tuple[str, Attributes | None]:
        """Return what `real_path` and `attributes` do, asked at once."""
        asked = (sftp.real_path(path), sftp.look(path))
        real, found = await self._each(*asked, what=f"look at {path}", path=path)
        return str(_or_raise(real)), None if isinstance(found, Absent) else _or_raise(found)

    async def read(self, path: str) -> bytes:
        """Return a file's content."""
        return await self._do(self._read(path), what=f"read {path}", path=path)

    async def _read(self, path: str) -> bytes:
        handle = await self._files.one(sftp.open_file(path))
        pieces: list[bytes] = []
        while not pieces or len(pieces[-1]) == PIECE:
            [piece] = await self._files.each(sftp.read(handle, at=len(pieces) * PIECE))
            if isinstance(piece, asyncssh.SFTPEOFError):
                break
            if isinstance(piece, asyncssh.SFTPError):
                raise piece
            pieces.append(piece)
        await self._files.one(sftp.close(handle))
        return b"".join(pieces)

    async def write(self, path: str, content: bytes, *, like: Attributes | None, mode: int) -> None:
        """Make a new file, on the disk before this returns, with the owner and mode of `like`, else `mode`.

        What an attempt that was cut short has left there is removed first.
        """
        try:
            await self._make(path, content, like=like, mode=mode)
        except DeploymentError as error:
            # That there is one already is said by SFTP version 3 as any failure is.
            if error.failure is not Failure.WRITE_FAILED or not await self.remove(path):
                raise
            await self._make(path, content, like=like, mode=mode)

    async def _make(self, path: str, content: bytes, *, like: Attributes | None, mode: int) -> None:
        await self._do(self._write(path, content, like=like, mode=mode), what=f"write {path}", path=path)

    async def _write(self, path: str, content: bytes, *, like: Attributes | None, mode: int) -> None:
        # Nobody else may read it before owner and mode are what they shall be.
        handle = await self._files.one(sftp.make(path, mode=_PRIVATE))
        pieces = (sftp.write(handle, content[at : at + PIECE], at=at) for at in range(0, len(content), PIECE))
        made, *written = await self._files.each(sftp.look_at(handle), *pieces)
        owner = _given(handle, made, like=like) if like is not None else []
        allowed = sftp.allow(handle, mode=like.mode if like is not None else mode)
        # Closed whatever comes of the others: they are answered one after another.
        done = await self._files.each(*owner, allowed, sftp.sync(handle), sftp.close(handle))
        for outcome in (made, *written, *done):
            if isinstance(outcome, asyncssh.SFTPError):
                raise outcome

    async def link_or_copy(self, path: str, beside: str) -> None:
        """Keep a file under a second name: as a hard link, or where those are refused, as a copy."""
        if not await self._linked(path, beside):
            like = await self.attributes(path)
            await self.write(beside, await self.read(path), like=like, mode=_PRIVATE)
            await self.label([(beside, path)])

    async def link_there(self, path: str, beside: str) -> None:
        """Keep a file under a second name, without its content leaving the host."""
        if await self._linked(path, beside):
            return
        ran = await self.script(f"umask 077; cp -a -- {shlex.quote(path)} {shlex.quote(beside)}")
        if ran.status != 0:
            reason = f"Could neither link nor copy {path}: exit {ran.status}. {ran.output}"
            raise DeploymentError(Failure.WRITE_FAILED, reason, step="files")

    async def _linked(self, path: str, beside: str) -> bool:
        """Make a hard link, in the place of what an attempt that was cut short has left; return whether it was made."""
        while True:
            try:
                await self._all(sftp.link(path, beside), what=f"link {path}", path=path)
            except DeploymentError as error:
                if error.failure not in (Failure.WRITE_FAILED, Failure.PERMISSION_DENIED):
                    raise
                if not await self.remove(beside):
                    return False
            else:
                return True

    async def label(self, files: Sequence[tuple[str, str]]) -> None:
        """Give each first file the SELinux context of the second, where the host has such."""
        # A file is born with the context that the policy has for its folder, which need not be that of the file it replaces.
        if not files or await self.attributes(SELINUX) is None:
            return
        commands = (f"chcon --reference={shlex.quote(like)} -- {shlex.quote(path)}" for path, like in files)
        ran = await self.script(" && ".join(commands))
        if ran.status != 0:
            reason = f"chcon could not copy the SELinux context: exit {ran.status}. {ran.output}"
            raise DeploymentError(Failure.PERMISSION_DENIED, reason, step="files")

    async def give(self, path: str, *, like: Attributes) -> None:
        """Give a file the owner and mode of `like`."""
        what = f"give {path} its owner"
        [made] = await self._all(sftp.look(path), what=what, path=path)
        owner = _given(path, made, like=like)
        await self._all(*owner, sftp.allow(path, mode=like.mode), what=what, path=path)

    async def replace(self, moves: list[tuple[str, str]]) -> None:
        """Rename files over others, each atomically, all requests sent at once; what was renamed before stays as it is."""
        # A connection that is cut has hardly ever cut between them.
        requests = [sftp.rename(old, new) for old, new in moves]
        olds, news = zip(*moves, strict=True) if moves else ((), ())
        what = f"rename {', '.join(olds)}"
        for result in await self._each(*requests, what=what, path=next(iter(news), "/")):
            if not isinstance(result, Absent):
                _or_raise(result)

    async def remove(self, *paths: str) -> bool:
        """Remove files, all requests sent at once; return whether there was one."""
        what = f"remove {', '.join(paths)}"
        results = await self._each(*map(sftp.remove, paths), what=what, path=next(iter(paths), "/"))
        there = [_or_raise(result) for result in results if not isinstance(result, Absent)]
        return bool(there)

    async def script(self, text: str, *, given: str | None = None, keep: int = OUTPUT) -> Ran:
        """Run a shell's script of our own, with the rights that files are handled with."""
        command = f"{self._prefix} /bin/sh -c {shlex.quote(text)}" if self._prefix else text
        return await self.run(command, given=given, keep=keep)

    async def run(self, command: str, *, given: str | None = None, keep: int = OUTPUT) -> Ran:
        """Run a command; how it ends is for the caller to judge. The last `keep` characters of its words are kept.

        What is `given` is its standard input: what others on the host must not see, as they see command lines.
        """
        seconds = self._limits.command.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                with named("run a command"):
                    done = await self._connection.run(command, errors="replace", **_input(given))
        except TimeoutError:
            return Ran(status=None, output=f"It did not end in {seconds:g} s.")
        if done.exit_status is None:
            raise DeploymentError(
                Failure.UNREACHABLE, "The connection was lost while a command ran.", step="connect"
            )
        return Ran(status=done.exit_status, output=_shortened(_text(done.stdout) + _text(done.stderr), keep))

    async def _all(self, *requests: sftp.Request, what: str, path: str) -> list[Any]:
        """Return the answers to requests that all have to be granted."""
        return await self._do(self._files.all(*requests), what=what, path=path)

    async def _each(self, *requests: sftp.Request, what: str, path: str) -> list[Any]:
        """Return the answers to requests, a `DeploymentError` for each that was refused."""
        answers = await self._do(self._files.each(*requests), what=what, path=path) if requests else []
        return [
            await self._named(answer, what=what, path=path)
            if isinstance(answer, asyncssh.SFTPError)
            else answer
            for answer in answers
        ]

    async def _do(self, work: Awaitable[T], *, what: str, path: str) -> T:
        try:
            with named(what):
                return await within(work, self._limits.transfer, what=what)
        except Unexplained as error:
            raise await self._explained(error, path=path) from error

    async def _named(self, error: asyncssh.SFTPError, *, what: str, path: str) -> DeploymentError:
        failed = sftp_failure(error, what=what)
        return await self._explained(failed, path=path) if isinstance(failed, Unexplained) else failed

    async def _explained(self, error: Unexplained, *, path: str) -> DeploymentError:
        # SFTP version 3 says only "Failure" of a full disk, so the file system is asked.
        try:
            folder = path.rpartition("/")[0] or "/"
            space = sftp.Space.of(await self._files.one(sftp.space(folder)))
        except (asyncssh.Error, OSError, struct.error, TypeError):
            return DeploymentError(error.failure, error.detail, step=error.step)
        full = space.blocks == 0 or (space.files == 0 and space.all_files > 0)
        return DeploymentError(
            Failure.DISK_FULL if full else error.failure,
            f"{error.detail} The file system has no space left." if full else error.detail,
            step=error.step,
        )


def _given(file: str | bytes, made: Any, *, like: Attributes) -> list[sftp.Request]:
    """Return what gives a file the owner of another, where it has not got it."""
    if isinstance(made, Attributes) and (made.uid, made.gid) == (like.uid, like.gid):
        return []
    return [sftp.give(file, uid=like.uid, gid=like.gid)]


def _or_raise(answer: Any) -> Any:
    """Return an answer, or raise what is one of our errors."""
    if isinstance(answer, DeploymentError):
        raise answer
    return answer


def _input(given: str | None) -> dict[str, Any]:
    return {"stdin": asyncssh.DEVNULL} if given is None else {"input": given}


def _text(output: asyncssh.BytesOrStr | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _shortened(text: str, keep: int) -> str:
    text = text.strip()
    return text if len(text) <= keep else f"… {text[-keep:]}"


@asynccontextmanager
async def logged_in(access: Access) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect, verify the host key and log in. Raises `DeploymentError`."""
    host = ssh_of(access)
    what = f"log in to {host.host}:{host.port}"
    async with await within(_connection(access), access.limits.connect, what=what) as connection:
        yield connection


@asynccontextmanager
async def connect(access: Access, *, prefix: str = "") -> AsyncIterator[Session]:
    """Connect, verify the host key, log in and open SFTP, after a `prefix` where there is one. Raises `DeploymentError`."""
    limit = access.limits.connect
    async with logged_in(access) as connection:
        with named("open SFTP"):
            files = await within(_sftp(connection, prefix), limit, what="open SFTP")
        try:
            yield Session(connection, files, limits=access.limits, prefix=prefix)
        finally:
            files.end()


async def _sftp(connection: asyncssh.SSHClientConnection, prefix: str) -> Sftp:
    """Open SFTP: after a prefix as a command, as sshd's own subsystem has no more rights than the account."""
    if not prefix:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        return await Sftp.start(writer, reader)
    found = " ".join(f"if [ -x {each} ]; then exec {prefix} {each}; fi;" for each in _SFTP_SERVERS)
    writer, reader, errors = await connection.open_session(f"{found} exit 127", encoding=None)
    try:
        return await Sftp.start(writer, reader)
    except asyncssh.SFTPError as error:
        if connection.is_closed():
            raise
        said = _shortened(_text(await errors.read(OUTPUT)), OUTPUT) or error.reason
        reason = f"Could not open SFTP after {prefix!r}: {said}"
        raise DeploymentError(Failure.PERMISSION_DENIED, reason, step="connect") from error


def ssh_of(access: Access) -> SshAccess:
    """Return where a host is."""
    if access.ssh is None:
        msg = "this target is an API, and is not reached by SSH"
        raise TypeError(msg)
    return access.ssh


def _login(access: Access) -> Login:
    host, credential = ssh_of(access), access.credential
    if not isinstance(credential, Credential):
        msg = f"no host can be logged into with a {type(credential).__name__}"
        raise TypeError(msg)
    return Login(
        host=host.host,
        port=host.port,
        username=host.username,
        host_key=host.host_key,
        credential=credential,
        agent=host.agent,
        reach=host.reach,
    )


async def _connection(access: Access) -> asyncssh.SSHClientConnection:
    login = _login(access)
    try:
        return await log_in(login)
    except HostKeyChanged as error:
        raise DeploymentError(
            Failure.HOST_KEY_CHANGED, "The host has another key than the one stored.", step="connect"
        ) from error
    except OutOfReach as error:
        raise DeploymentError(Failure.OUT_OF_REACH, error.detail, step="connect") from error
    except Refused as error:
        raise DeploymentError(Failure.LOGIN_REFUSED, error.detail, step="connect") from error
    except Unavailable as error:
        raise DeploymentError(Failure.UNREACHABLE, error.detail, step="connect") from error


@dataclass(frozen=True, kw_only=True)
class SeenHostKey:
    """The key a host shows; whether it is the right one is for a person to say."""

    host_key: str
    fingerprint: str


async def seen_host_key(host: str, *, port: int, limit: timedelta, reach: Reach | None = None) -> SeenHostKey:
    """Return the key that the host shows now. Raises `DeploymentError` (unreachable, out_of_reach)."""
    where = f"{host}:{port}"
    with named(f"connect to {where}"):
        key = await within(_shown(host, port=port, reach=reach), limit, what=f"reach {where}")
    if key is None:
        raise DeploymentError(Failure.UNREACHABLE, f"{where} showed no host key.", step="connect")
    text = key.export_public_key("openssh").decode()
    return SeenHostKey(host_key=" ".join(text.split()[:2]), fingerprint=key.get_fingerprint("sha256"))


async def _shown(host: str, *, port: int, reach: Reach | None) -> asyncssh.SSHKey | None:
    try:
        addresses = await reachable_addresses(host, port, reach=reach)
    except OutOfReach as error:
        raise DeploymentError(Failure.OUT_OF_REACH, error.detail, step="connect") from error
    for address in addresses[:-1]:
        with suppress(OSError):
            return await asyncssh.get_server_host_key(address, port, config=None)
    return await asyncssh.get_server_host_key(addresses[-1], port, config=None)
