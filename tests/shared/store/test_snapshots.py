"""Copies of one instant, beside somebody who writes."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from shared.errors import Unavailable
from shared.store.snapshots import snapshot

SCHEMA = "PRAGMA journal_mode=WAL; CREATE TABLE letters (id INTEGER PRIMARY KEY, body TEXT)"


def letters(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as database:
        return {row[0] for row in database.execute("SELECT id FROM letters")}


def keep_moving(outbox: Path, bus: Path, moved: threading.Event, enough: threading.Event) -> None:
    """Take letters from one file to the other as the relay does: kept there first, then deleted here."""
    with (
        closing(sqlite3.connect(outbox, isolation_level=None, timeout=60)) as source,
        closing(sqlite3.connect(bus, isolation_level=None, timeout=60)) as target,
    ):
        for number in range(100_000):
            source.execute("INSERT INTO letters VALUES (?, ?)", (number, "x" * 2000))
            target.execute("INSERT INTO letters VALUES (?, ?)", (number, "x" * 2000))
            source.execute("DELETE FROM letters WHERE id = ?", (number,))
            if number == 20:
                moved.set()
            if enough.is_set():
                return


def test_what_moves_from_one_file_to_another_is_in_one_of_the_copies(tmp_path: Path) -> None:
    outbox, bus = tmp_path / "outbox.db", tmp_path / "bus.db"
    for path in (outbox, bus):
        with closing(sqlite3.connect(path)) as database:
            database.executescript(SCHEMA)
    moved, enough = threading.Event(), threading.Event()
    mover = threading.Thread(target=keep_moving, args=(outbox, bus, moved, enough))
    mover.start()
    try:
        assert moved.wait(60)
        for number in range(20):
            copies = {bus: tmp_path / f"bus {number}.db", outbox: tmp_path / f"outbox {number}.db"}
            snapshot(copies)
            copied = set[int]().union(*map(letters, copies.values()))
            assert copied == set(range(max(copied) + 1)), number
    finally:
        enough.set()
        mover.join()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in copies.values())


def test_a_file_that_is_missing_or_no_database_is_an_error_and_never_an_empty_copy(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    for file in (tmp_path / "none.db", broken):
        with pytest.raises(Unavailable, match="cannot be copied"):
            snapshot({file: tmp_path / "copy.db"})
    assert not (tmp_path / "none.db").exists()
