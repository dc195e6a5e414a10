"""`python -m bench.events.bare_sqlite FILE COUNT`: the rows that an event leaves on its way, by `executemany` and nothing else.

A delivery, a line in the inbox and the effect, 200 events to a transaction that is on the disk when it ends. Nobody reads
them, nothing is claimed, and nothing is deleted.
"""

import sqlite3
import sys
import time

from bench.events.pulse import EFFECTS, NAME, event
from bench.ingest.telling import Stopwatch
from shared.store.plumbing import INBOX

AT_ONCE = 200


def main(path: str, count: int) -> None:
    """Write them."""
    events = [event(number) for number in range(count)]
    bodies = [each.to_bytes() for each in events]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE deliveries (queue TEXT, event_id TEXT, type TEXT, body BLOB, due_at REAL, PRIMARY KEY (queue, event_id));"
        f"CREATE TABLE {INBOX.name} (queue TEXT, event_id TEXT, seen_at TEXT, PRIMARY KEY (queue, event_id));"
        f"CREATE TABLE {EFFECTS.name} (number INTEGER PRIMARY KEY, text TEXT);"
    )
    with Stopwatch():
        for start in range(0, count, AT_ONCE):
            part = range(start, min(start + AT_ONCE, count))
            now = time.time()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?)",
                [(NAME, events[at].id, events[at].type, bodies[at], now) for at in part],
            )
            connection.executemany(
                f"INSERT INTO {INBOX.name} VALUES (?, ?, ?)", [(NAME, events[at].id, now) for at in part]
            )
            connection.executemany(
                f"INSERT INTO {EFFECTS.name} VALUES (?, ?)",
                [(events[at].data.number, events[at].data.text) for at in part],
            )
            connection.execute("COMMIT")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
