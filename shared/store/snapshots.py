"""Copies of several SQLite files as they were at one instant, beside whoever reads and writes them."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from shared.errors import Unavailable

_PATIENCE = 2.0
"""Seconds to wait for the writer of one file before those of the others are let go on."""
_TRIES = 30


def snapshot(files: Mapping[Path, Path]) -> None:
    """Copy each file (a key) to a new one (its value), all as they were at one instant, whole and safely on disk.

    All writers wait for some milliseconds, until a read transaction has begun on each file; copying is beside them.
    Raises `Unavailable` where a file cannot be read, where a writer does not end, and where a copy is not whole.
    """
    try:
        with ExitStack() as opened:
            readers = [opened.enter_context(closing(_open(file))) for file in files]
            _begin_together(list(files), readers)
            for reader, copy in zip(readers, files.values(), strict=True):
                _copy(reader, copy)
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            f"The databases cannot be copied: {error}.",
            next_step="Check that their files are there and readable, and that the disk of the copy is not full.",
        ) from error


def _begin_together(files: Sequence[Path], readers: Sequence[sqlite3.Connection]) -> None:
    """Begin a read transaction on each file, between the same two writes of everybody."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with _no_writer(files):
                for reader in readers:
                    reader.execute("BEGIN")
                    reader.execute(
                        "SELECT count(*) FROM sqlite_master"
                    ).fetchone()  # BEGIN alone reads nothing yet
        except sqlite3.OperationalError:  # one of them is busy: the others must not wait for it
            if not tries_left:
                raise
        else:
            return


@contextmanager
def _no_writer(files: Sequence[Path]) -> Iterator[None]:
    """Hold the write locks of all files. Raises `sqlite3.OperationalError` where one is held by others."""
    with ExitStack() as held:
        for file in files:
            held.enter_context(closing(_open(file))).execute("BEGIN IMMEDIATE")
        yield


def _open(file: Path) -> sqlite3.Connection:
    # Read and write, but never make: a file that is missing is an error and not an empty database.
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_PATIENCE)


def _copy(reader: sqlite3.Connection, copy: Path) -> None:
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        reader.backup(target)
        # One file without companions, which can be moved and hashed.
        target.execute("PRAGMA journal_mode=DELETE")
        [found] = target.execute("PRAGMA quick_check").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"{copy.name}: {found}")
    with copy.open("rb") as written:
        os.fsync(written.fileno())
