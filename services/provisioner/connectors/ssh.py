"""One SSH connection to a target: files and commands, every failure named, and the host key always verified."""

import asyncio
import shlex
import struct
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, cast

import asyncssh

from services.provisioner.connectors import Access, Limits, SshAccess, sftp
from services.provisioner.connectors.sftp import Attributes, Sftp
from services.provisioner.connectors.sftp_files import PRIVATE, NewFile, make_files, read_file
from services.provisioner.connectors.ssh_commands import run_command
from services.provisioner.connectors.ssh_failures import Absent, Unexplained, named, sftp_failure, within
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import Refused, Unavailable
from shared.ssh import Credential, HostKeyChanged, Login, OutOfReach, Reach, log_in, reachable_addresses

T = TypeVar("T")
OUTPUT = 1000
"""Characters kept of what a command says."""
SELINUX = "/sys/fs/selinux/enforce"
"""A file that is there where the kernel keeps to the labels of files (selinux(8))."""
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


class Found(NamedTuple):
    """A file: its path with symbolic links followed, whether or not there is one, and its attributes where there is."""

    path: str
    present: Attributes | None


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
        self._has_labels: bool | None = None

    async def real_path(self, path: str) -> str:
        """Return the path with symbolic links followed, whether or not there is such a file."""
        [found] = await self._all(sftp.real_path(path), what=f"find {path}", path=path)
        return str(found)

    async def attributes(self, path: str) -> Attributes | None:
        """Return a file's attributes, or None where there is no such file."""
        [found] = await self._each(sftp.look(path), what=f"look at {path}", path=path)
        return cast("Attributes | None", _present(found))

    async def find(self, *paths: str) -> list[Found]:
        """Return what `real_path` and `attributes` do of several files, asked at once."""
        requests = [request for path in paths for request in (sftp.real_path(path), sftp.look(path))]
        # Whoever looks for files is about to write beside them.
        *answers, labels = await self._each(
            *requests, sftp.look(SELINUX), what=f"look at {', '.join(paths)}", path=paths[0]
        )
        self._has_labels = _present(labels) is not None
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [Found(path=str(_or_raise(real)), present=_present(looked)) for real, looked in pairs]

    async def read(self, path: str) -> bytes:
        """Return a file's content."""
        return await self._do(read_file(self._files, path), what=f"read {path}", path=path)

    async def write(self, *files: NewFile) -> None:
        """Make new files, on the disk before this returns, those of one call in the same rounds.

        What an attempt that was cut short has left there is removed first.
        """
        for file, error in await self._refused(*files):
            # That there is one already is said by SFTP version 3 as any failure is.
            if error.failure is not Failure.WRITE_FAILED or not await self.remove(file.path):
                raise error
            for _, again in await self._refused(file):
                raise again

    async def _refused(self, *files: NewFile) -> list[tuple[NewFile, DeploymentError]]:
        """Make files; return those that could not be made, and why."""
        what, path = f"write {', '.join(file.path for file in files)}", files[0].path
        outcomes = await self._do(make_files(self._files, files), what=what, path=path)
        return [
            (file, await self._named(refused, what=f"write {file.path}", path=file.path))
            for file, refused in zip(files, outcomes, strict=True)
            if refused is not None
        ]

    async def link_or_copy(self, *files: tuple[str, str]) -> None:
        """Keep files under second names: as hard links, or where those are refused, as copies."""
        for path, beside in await self._unlinked(*files):
            like = await self.attributes(path)
            await self.write(NewFile(path=beside, content=await self.read(path), like=like, mode=PRIVATE))
            await self.label([(beside, path)])

    async def link_there(self, *files: tuple[str, str]) -> None:
        """Keep files under second names, without their content leaving the host."""
        for path, beside in await self._unlinked(*files):
            ran = await self.script(f"umask 077; cp -a -- {shlex.quote(path)} {shlex.quote(beside)}")
            if ran.status != 0:
                reason = f"Could neither link nor copy {path}: exit {ran.status}. {ran.output}"
                raise DeploymentError(Failure.WRITE_FAILED, reason, step="files")

    async def _unlinked(self, *files: tuple[str, str]) -> list[tuple[str, str]]:
        """Make hard links, in the place of what an attempt that was cut short has left; return what cannot be linked."""
        what = f"link {', '.join(path for path, _ in files)}"
        requests = [sftp.link(path, beside) for path, beside in files]
        answers = await self._each(*requests, what=what, path=next(iter(files), ("/", "/"))[0])
        unlinked: list[tuple[str, str]] = []
        for file, answer in zip(files, answers, strict=True):
            if not isinstance(answer, DeploymentError):
                continue
            if answer.failure not in (Failure.WRITE_FAILED, Failure.PERMISSION_DENIED):
                raise answer
            unlinked += await self._unlinked(file) if await self.remove(file[1]) else [file]
        return unlinked

    async def label(self, files: Sequence[tuple[str, str]]) -> None:
        """Give each first file the SELinux context of the second, where the host has such."""
        # A file is born with the context that the policy has for its folder, which need not be that of the file it replaces.
        if not files or not await self._is_labelled():
            return
        commands = (f"chcon --reference={shlex.quote(like)} -- {shlex.quote(path)}" for path, like in files)
        ran = await self.script(" && ".join(commands))
        if ran.status != 0:
            reason = f"chcon could not copy the SELinux context: exit {ran.status}. {ran.output}"
            raise DeploymentError(Failure.PERMISSION_DENIED, reason, step="files")

    async def _is_labelled(self) -> bool:
        if self._has_labels is None:
            self._has_labels = await self.attributes(SELINUX) is not None
        return self._has_labels

    async def give(self, path: str, *, like: Attributes) -> None:
        """Give a file the owner and mode of `like`."""
        what = f"give {path} its owner"
        [made] = await self._all(sftp.look(path), what=what, path=path)
        owner = [] if made.is_owned_as(like) else [sftp.give(path, uid=like.uid, gid=like.gid)]
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
                    status, said = await run_command(self._connection, command, given=given, keep=keep)
        except TimeoutError:
            return Ran(status=None, output=f"It did not end in {seconds:g} s.")
        if status is None:
            raise DeploymentError(
                Failure.UNREACHABLE, "The connection was lost while a command ran.", step="connect"
            )
        return Ran(status=status, output=_shortened(said, keep))

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


def _present(answer: Any) -> Any:
    """Return an answer; None where there is no such file. Raises what is another of our errors."""
    return None if isinstance(answer, Absent) else _or_raise(answer)


def _or_raise(answer: Any) -> Any:
    """Return an answer, or raise what is one of our errors."""
    if isinstance(answer, DeploymentError):
        raise answer
    return answer


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
        return await Sftp().start(connection)
    found = " ".join(f"if [ -x {each} ]; then exec {prefix} {each}; fi;" for each in _SFTP_SERVERS)
    files = Sftp()
    try:
        return await files.start(connection, command=f"{found} exit 127")
    except asyncssh.SFTPError as error:
        if connection.is_closed():
            raise
        said = _shortened(files.complaints.decode(errors="replace"), OUTPUT) or error.reason
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
