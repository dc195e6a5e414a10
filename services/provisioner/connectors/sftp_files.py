"""Whole files over SFTP, in as few rounds as it takes for one: what several of them need is asked for together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import asyncssh

from services.provisioner.connectors import sftp
from services.provisioner.connectors.sftp import PIECE, Attributes, Request, Sftp

PRIVATE = 0o600
"""The mode of a file that only its owner may read."""


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file to be made, with the owner and mode of `like`, else `mode`."""

    path: str
    content: bytes = field(repr=False)
    like: Attributes | None
    mode: int


async def read_file(files: Sftp, path: str) -> bytes:
    """Return a file's content. Raises `asyncssh.Error`."""
    handle = await files.one(sftp.open_file(path))
    pieces: list[bytes] = []
    while not pieces or len(pieces[-1]) == PIECE:
        [piece] = await files.each(sftp.read(handle, at=len(pieces) * PIECE))
        if isinstance(piece, asyncssh.SFTPEOFError):
            break
        if isinstance(piece, asyncssh.SFTPError):
            raise piece
        pieces.append(piece)
    files.put_off(sftp.close(handle))
    return b"".join(pieces)


async def make_files(files: Sftp, new: Sequence[NewFile]) -> list[asyncssh.SFTPError | None]:
    """Make files that are not there yet, on the disk before this returns; return what was refused, file by file.

    Raises `asyncssh.Error` where the connection is lost.
    """
    # Nobody else may read one before owner and mode are what they shall be.
    opened = await files.each(*(sftp.make(each.path, mode=PRIVATE) for each in new))
    rounds = [
        [] if isinstance(handle, asyncssh.SFTPError) else list(_filling(handle, each))
        for handle, each in zip(opened, new, strict=True)
    ]
    answers = iter(await files.each(*chain.from_iterable(rounds)))
    return [
        _refusal(each, list(islice(answers, len(requests)))) if requests else handle
        for handle, requests, each in zip(opened, rounds, new, strict=True)
    ]


def _filling(handle: bytes, new: NewFile) -> Iterator[Request]:
    # Asked for whatever comes of those before, so that it is closed: they are answered one after another.
    yield sftp.look_at(handle)
    if new.like is not None:
        yield sftp.give(handle, uid=new.like.uid, gid=new.like.gid)
    for at in range(0, len(new.content), PIECE):
        yield sftp.write(handle, new.content[at : at + PIECE], at=at)
    yield sftp.allow(handle, mode=new.mode if new.like is None else new.like.mode)
    yield sftp.sync(handle)
    yield sftp.close(handle)


def _refusal(new: NewFile, outcomes: Sequence[Any]) -> asyncssh.SFTPError | None:
    """Return the first of what was refused of a file's filling; whose it is already, it need not have been given to."""
    made, *others = outcomes
    if new.like is not None and isinstance(made, Attributes) and made.is_owned_as(new.like):
        del others[0]
    return next((each for each in (made, *others) if isinstance(each, asyncssh.SFTPError)), None)
