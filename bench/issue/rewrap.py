"""A hundred thousand secrets in a SQLite file, wrapped anew by another key-encryption key as `everleaf rewrap` does it.

`rewrap COUNT FOLDER` seals so many, and prints what the wrapping took.
"""

import sys
from pathlib import Path

import anyio
import sqlalchemy as sa

from bench.issue.clock import timed
from services.renewal.service import SCHEMA
from services.renewal.store import Authority
from shared.clock import utc_now
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.store.rewrapping import counts, rewrap

OLD, NEW = KeyEncryptionKey(b"o" * 32), KeyEncryptionKey(b"n" * 32)
SECRET = b"x" * 240
"""As long as an ECDSA key in PEM."""


async def main() -> None:
    """Seal, then wrap anew."""
    count = int(sys.argv[1])
    database = Database(f"sqlite:///{Path(sys.argv[2]) / 'renewal.db'}", source="renewal")
    await SCHEMA.upgrade(database)
    old, both = Sealer([OLD]), Sealer([NEW, OLD])
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(Authority), [_row(number, old) for number in range(count // 2)])
    with timed(count):
        async for _ in rewrap(database, SCHEMA.metadata, both):
            pass
    if dict(await counts(database, SCHEMA.metadata)) != {both.prefix: count // 2 * 2}:
        sys.exit("not everything is wrapped anew")
    await database.close()


def _row(number: int, sealer: Sealer) -> dict[str, object]:
    return {
        "id": f"{number:06}",
        "name": str(number),
        "kind": "builtin",
        "options": {},
        "secrets": sealer.seal(SECRET, row=f"s{number}"),
        "private": sealer.seal(SECRET, row=f"p{number}"),
        "roots": [],
        "groups": [],
        "created_at": utc_now(),
        "created_by": "bench",
    }


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
