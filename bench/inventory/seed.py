"""`python -m bench.inventory.seed URL [--certificates N] [--places N]`: fills an inventory on PostgreSQL by sets, and says in how many seconds.

`fill(url, certificates=…, places=…)` does the same for whoever measures: it migrates the database, which must know nothing yet,
and writes every table that lists, counts and rollups read. A million certificates at 1.5 million places take some minutes.

What is in it, the same each time but for its dates:

* 1,000,000 **certificates** in 857,000 lineages, one in seven the predecessor of another; `issuer` one of 200 (`CN=Issuing CA 0,O=Authority 0,C=US`
  the commonest, 17 %), 60 % ECDSA, lifetimes of 90, 47, 6, 398 and 1825 days, 83 % in use (`current`), 1 in 1000 unreadable.
* 1,500,000 **places**, nine in ten endpoints, 70 % of them at port 443, 5 % lost; stores have a row in `held`, some places open `flaws`.
* **Whose**: teams `team-0` … `team-99` own 70 %; groups `group-0` … `group-49` hold 80 % (the first 14 % of them), `thousand` 1,000 and
  `hundred-thousand` 100,000; 400,000 tags `tag-0` … `tag-200`; fields `cost_centre` and `criticality`. Renewal manages 55 % of lineages.
* **How good**: grades, readiness and verdicts of two policies that are on, for each place that proves use; 600,000 findings of 60 rules;
  chains, revocations, authorities, oddities, replacements, crossings and timelines.
* Nothing is due, so that workers have nothing to do while somebody measures. Bytes are those of one certificate for all.
"""

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.actions.policies import Policies
from services.inventory.connectors import policy_files
from services.inventory.domain.assessment.assess import RULES
from services.inventory.service import SCHEMA
from shared.lint.pkilint import linter_version
from shared.store import Database
from tests.servers.tls import CertificateAuthority

POLICIES_ON = ("mozilla-6.0-intermediate", "nist-sp-800-52r2")
_PART = re.compile(r"^-- part: (\w+)\n", re.MULTILINE)
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef NOT LIKE 'CREATE UNIQUE%'"


def fill(
    url: str, *, certificates: int = 1_000_000, places: int = 1_500_000, tell: Callable[[str], None] = print
) -> float:
    """Fill the database at `postgresql://…`; return how many seconds it took. `certificates` is at least 1000."""
    return asyncio.run(filled(url, certificates=certificates, places=places, tell=tell))


async def filled(url: str, *, certificates: int, places: int, tell: Callable[[str], None]) -> float:
    """Do what `fill` does, in a loop that runs already."""
    began = time.monotonic()
    await _prepare(url)
    connection = await asyncpg.connect(url)
    try:
        indexes = await _drop_indexes(connection)
        await _switch_triggers(connection, "DISABLE")
        for name, statements in _parts(certificates=certificates, places=places):
            since = time.monotonic()
            await connection.execute(statements)
            tell(f"{name}: {time.monotonic() - since:.1f} s")
        await _switch_triggers(connection, "ENABLE")
        for definition in indexes:
            await connection.execute(definition)
        # What triggers would have counted.
        if await connection.fetchval("SELECT to_regproc('count_tallies') IS NOT NULL"):
            await connection.execute("SELECT count_tallies()")
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
    took = time.monotonic() - began
    tell(f"{certificates} certificates at {places} places: {took:.0f} s")
    return took


async def _prepare(url: str) -> None:
    database = Database(url, source="inventory")
    try:
        await SCHEMA.upgrade(database)
        await Policies(database, builtin=policy_files.documents()).prepare(now=datetime.now(UTC))
    finally:
        await database.close()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE policies SET is_enabled = true WHERE id = ANY($1)", list(POLICIES_ON)
        )
    finally:
        await connection.close()


async def _drop_indexes(connection: asyncpg.Connection) -> list[str]:
    """Drop what is built faster once all is there; return how it is made again."""
    found = await connection.fetch(_INDEXES)
    for row in found:
        await connection.execute(f'DROP INDEX "{row["indexname"]}"')
    return [row["indexdef"] for row in found]


async def _switch_triggers(connection: asyncpg.Connection, word: str) -> None:
    tables = await connection.fetch(
        "SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger WHERE NOT tgisinternal"
    )
    for row in tables:
        await connection.execute(f"ALTER TABLE {row['name']} {word} TRIGGER USER")


def _parts(*, certificates: int, places: int) -> Iterator[tuple[str, str]]:
    text = (Path(__file__).parent / "seed.sql").read_text()
    der = CertificateAuthority().issue("seed.test").certificate.public_bytes(Encoding.DER)
    values = {
        "certificates": certificates,
        "places": places,
        "der": der.hex(),
        "rules": RULES,
        "linter": linter_version(),
    }
    for name, value in values.items():
        text = text.replace(f":{name}", str(value))
    _, *parts = _PART.split(text)
    yield from zip(parts[::2], parts[1::2], strict=True)


def main() -> None:
    """Read the command line and fill."""
    parser = argparse.ArgumentParser(description="Fill an inventory's database.")
    parser.add_argument("url", help="postgresql://user:password@host:port/name")
    parser.add_argument("--certificates", type=int, default=1_000_000)
    parser.add_argument("--places", type=int, default=1_500_000)
    asked = parser.parse_args()
    fill(asked.url, certificates=asked.certificates, places=asked.places)


if __name__ == "__main__":
    main()
