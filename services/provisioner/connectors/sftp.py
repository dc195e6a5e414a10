"""SFTP version 3 (draft-ietf-secsh-filexfer-02), several requests in one write: what that takes is mostly the packets.

The library's client sends each request by itself, and has tasks that see to many at once: for the few small files of a
deployment that is twice the work. What fails is one of the library's own errors.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

PIECE = 32 * 1024
"""Bytes of a file that every server takes, and gives, at a time (§3)."""
_VERSION = 3
_MOST = 256 * 1024
"""Bytes of an answer: no server sends more (§3)."""
_COMPLAINTS = 4000
"""Bytes."""
_INIT, _VERSIONED = 1, 2
_STATUS, _HANDLE, _DATA, _NAME, _ATTRIBUTES, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
_OPEN, _CLOSE, _READ, _WRITE, _FSTAT, _FSETSTAT = 3, 4, 5, 6, 8, 10
_SETSTAT, _REMOVE, _REALPATH, _STAT, _EXTENDED = 9, 13, 16, 17, 200
_FOR_READING, _NEW_FOR_WRITING = 0x01, 0x02 | 0x08 | 0x20
"""The latter: created, and refused where there is such a file (§6.3)."""
_SIZE, _OWNER, _MODE = 1, 2, 4
"""Which attributes are said (§5)."""
_SPACE = ">11Q"


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """Whose a file is, and what may be done with it."""

    mode: int
    uid: int
    gid: int

    def is_owned_as(self, other: "Attributes") -> bool:
        """Return whether both are of the same owner and group."""
        return (self.uid, self.gid) == (other.uid, other.gid)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what it is, and what follows its number."""

    kind: int
    body: bytes


def real_path(path: str) -> Request:
    """Ask for a path with symbolic links followed."""
    return Request(_REALPATH, _text(path))


def look(path: str) -> Request:
    """Ask for the attributes of a file, symbolic links followed."""
    return Request(_STAT, _text(path))


def look_at(handle: bytes) -> Request:
    """Ask for the attributes of an open file."""
    return Request(_FSTAT, _string(handle))


def make(path: str, *, mode: int) -> Request:
    """Make a file that is not there yet, and ask for its handle."""
    return Request(_OPEN, _text(path) + struct.pack(">III", _NEW_FOR_WRITING, _MODE, mode))


def open_file(path: str) -> Request:
    """Open a file for reading, and ask for its handle."""
    return Request(_OPEN, _text(path) + struct.pack(">II", _FOR_READING, 0))


def read(handle: bytes, *, at: int) -> Request:
    """Ask for a piece of a file; one that is shorter is the last (§6.4)."""
    return Request(_READ, _string(handle) + struct.pack(">QI", at, PIECE))


def write(handle: bytes, content: bytes, *, at: int) -> Request:
    """Write a piece of a file."""
    return Request(_WRITE, _string(handle) + struct.pack(">Q", at) + _string(content))


def give(file: str | bytes, *, uid: int, gid: int) -> Request:
    """Give a file, by its path or its handle, to an owner."""
    return _set(file, struct.pack(">III", _OWNER, uid, gid))


def allow(file: str | bytes, *, mode: int) -> Request:
    """Say what may be done with a file, by its path or its handle."""
    return _set(file, struct.pack(">II", _MODE, mode))


def sync(handle: bytes) -> Request:
    """Have a file on the disk before the answer comes."""
    return _extended("fsync@openssh.com", _string(handle))


def close(handle: bytes) -> Request:
    """Close a file."""
    return Request(_CLOSE, _string(handle))


def remove(path: str) -> Request:
    """Remove a file."""
    return Request(_REMOVE, _text(path))


def link(path: str, beside: str) -> Request:
    """Give a file a second name."""
    return _extended("hardlink@openssh.com", _text(path) + _text(beside))


def rename(old: str, new: str) -> Request:
    """Rename a file, atomically, over another."""
    return _extended("posix-rename@openssh.com", _text(old) + _text(new))


def space(path: str) -> Request:
    """Ask for what is left on a file system."""
    return _extended("statvfs@openssh.com", _text(path))


@dataclass(frozen=True, kw_only=True)
class Space:
    """What is left on a file system, for who is no superuser (OpenSSH's PROTOCOL, §4.4)."""

    blocks: int
    files: int
    all_files: int

    @classmethod
    def of(cls, answer: bytes) -> Self:
        """Read the answer. Raises `SFTPBadMessage` where it is none."""
        if len(answer) < struct.calcsize(_SPACE):
            raise asyncssh.SFTPBadMessage("The server's answer makes no sense")
        _, _, _, _, blocks, all_files, _, files, *_ = struct.unpack_from(_SPACE, answer)
        return cls(blocks=blocks, files=files, all_files=all_files)


class Sftp(asyncssh.SSHClientSession[bytes]):
    """An SFTP in a channel: one asks at a time. Methods raise `asyncssh.Error`, `SFTPError` of what was refused among them."""

    def __init__(self) -> None:
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._number = 0
        self._put_off = b""
        self._arrived = bytearray()
        self._more = asyncio.Event()
        self._is_over = False
        self.complaints = bytearray()
        """The end of what the server says beside, for a person."""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Speak over this channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take what comes."""
        if datatype is None:
            self._arrived += data
            self._more.set()
        else:
            self.complaints += data
            del self.complaints[:-_COMPLAINTS]

    def eof_received(self) -> bool:
        """Nothing more will come; what was sent is still to be read by the server."""
        self._is_over = True
        self._more.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the connection says why to whoever asks it
        """Nothing more will come."""
        self.eof_received()

    async def start(self, connection: asyncssh.SSHClientConnection, *, command: str | None = None) -> Self:
        """Open a channel to sshd's own SFTP server, or to one that a command runs, and agree on the version."""
        subsystem = None if command is not None else "sftp"
        await connection.create_session(lambda: self, command, subsystem=subsystem, encoding=None)
        self._send(_framed(_INIT, struct.pack(">I", _VERSION)))
        kind, body = await self._packet()
        if kind != _VERSIONED or _u32(body, 0) != _VERSION:
            raise asyncssh.SFTPBadMessage("The server speaks no SFTP version 3")
        return self

    async def all(self, *requests: Request) -> list[Any]:
        """Return what is answered: handles, contents, paths, `Attributes`, or None. Raises the first of what was refused."""
        outcomes = await self.each(*requests)
        for outcome in outcomes:
            if isinstance(outcome, asyncssh.SFTPError):
                raise outcome
        return outcomes

    async def one(self, request: Request) -> Any:
        """Return the answer to one request. Raises what was refused."""
        [answer] = await self.all(request)
        return answer

    async def each(self, *requests: Request) -> list[Any]:
        """Return what is answered, in the order of the requests: an `SFTPError` for what was refused."""
        if not requests:
            return []
        first = self._number
        packets = self._put_off + self._numbered(requests)
        self._put_off = b""
        self._send(packets)
        waiting, answers = set(range(first, self._number)), dict[int, Any]()
        while waiting:
            kind, body = await self._packet()
            number = _u32(body, 0)
            if number in waiting:  # else it belongs to what was given up, or put off
                waiting.discard(number)
                answers[number] = _answer(kind, body)
        return [answers[number] for number in range(first, self._number)]

    def put_off(self, request: Request) -> None:
        """Send a request with the next ones: whatever comes of it, nobody waits for that."""
        self._put_off += self._numbered([request])

    def _numbered(self, requests: Sequence[Request]) -> bytes:
        """Return packets with the next numbers."""
        first = self._number
        self._number = first + len(requests)
        numbered = enumerate(requests, start=first)
        return b"".join(
            _framed(each.kind, struct.pack(">I", number) + each.body) for number, each in numbered
        )

    def _send(self, packets: bytes) -> None:
        try:
            self._open_channel.write(packets)
        except ConnectionError as error:  # what ended the server is for whoever asks to say
            raise asyncssh.SFTPConnectionLost(str(error)) from error

    async def _packet(self) -> tuple[int, bytes]:
        """Return what has come next: its kind, and what follows that."""
        await self._until(4)
        length = _u32(self._arrived, 0)
        if not 5 <= length <= _MOST:  # noqa: PLR2004 - a kind, and a number of four bytes
            raise asyncssh.SFTPBadMessage(f"The server sends a packet of {length} bytes")
        end = 4 + length
        await self._until(end)
        kind, body = self._arrived[4], bytes(self._arrived[5:end])
        del self._arrived[:end]
        return kind, body

    async def _until(self, count: int) -> None:
        """Wait until so many bytes have come."""
        while len(self._arrived) < count:
            if self._is_over:
                raise asyncssh.SFTPConnectionLost("Connection closed")
            self._more.clear()
            await self._more.wait()

    @property
    def _open_channel(self) -> asyncssh.SSHClientChannel[bytes]:
        if self._channel is None:
            msg = "nothing can be asked before `start`"
            raise TypeError(msg)
        return self._channel

    def end(self) -> None:
        """Say that there is nothing more to ask."""
        self._open_channel.close()


def _answer(kind: int, body: bytes) -> Any:
    read_as = _ANSWERS.get(kind)
    if read_as is None:
        raise asyncssh.SFTPBadMessage(f"The server answers with a packet of the kind {kind}")
    try:
        return read_as(body)
    except (struct.error, PacketDecodeError, UnicodeDecodeError) as error:
        raise asyncssh.SFTPBadMessage("The server's answer makes no sense") from error


def _status(body: bytes) -> asyncssh.SFTPError | None:
    return asyncssh.SFTPError.construct(SSHPacket(body[4:]), "replace")


def _name(body: bytes) -> str:
    return _taken(body, 8).decode("utf-8")


def _attributes(body: bytes) -> Attributes:
    flags, at = _u32(body, 4), 8
    uid = gid = mode = 0
    if flags & _SIZE:
        at += 8
    if flags & _OWNER:
        uid, gid = struct.unpack_from(">II", body, at)
        at += 8
    if flags & _MODE:
        mode = _u32(body, at) & 0o7777
    return Attributes(mode=mode, uid=uid, gid=gid)


_ANSWERS: Mapping[int, Any] = {
    _STATUS: _status,
    _HANDLE: lambda body: _taken(body, 4),
    _DATA: lambda body: _taken(body, 4),
    _NAME: _name,
    _ATTRIBUTES: _attributes,
    _EXTENDED_REPLY: lambda body: body[4:],
}


def _set(file: str | bytes, attributes: bytes) -> Request:
    if isinstance(file, str):
        return Request(_SETSTAT, _text(file) + attributes)
    return Request(_FSETSTAT, _string(file) + attributes)


def _extended(name: str, body: bytes) -> Request:
    return Request(_EXTENDED, _text(name) + body)


def _framed(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 1 + len(body), kind) + body


def _text(text: str) -> bytes:
    return _string(text.encode("utf-8"))


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _u32(body: bytes | bytearray, at: int) -> int:
    number: int = struct.unpack_from(">I", body, at)[0]
    return number


def _taken(body: bytes, at: int) -> bytes:
    """Return the string that begins there."""
    end = at + 4 + _u32(body, at)
    if end > len(body):
        raise struct.error("a string that is cut off")
    return body[at + 4 : end]
