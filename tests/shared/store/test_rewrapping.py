"""Secrets of every service under a new key-encryption key: killed half way, and gone on with."""

import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.program import NAMES, service_module
from services.renewal import store
from services.renewal.service import SCHEMA
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database, rewrapping
from shared.store.rewrapping import counts, rewrap, sealed_columns

OLD, NEW = KeyEncryptionKey(b"o" * 32), KeyEncryptionKey(b"n" * 32)
NOW = datetime(2026, 11, 27, tzinfo=UTC)
PLAIN = {
    "renewal.orders.csr",
    "renewal.orders.given_csr",
    "renewal.evidence_keys.public",
    "renewal.builtin_certificates.certificate",
    "renewal.builtin_publications.issuer",
    "renewal.builtin_publications.crl",
    "renewal.builtin_publications.responder_certificate",
    "inventory.certificate_ders.der",
    "inventory.crl_bodies.body",
    "inventory.tallies.digest",
    "inventory.principals.sealing_key",
    "provisioner.deployments.sealed_key",
    "provisioner.sealing_keys.public_key",
}
"""Columns of bytes that no sealer of ours seals: they are public, or another's key opens them."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/renewal.db"
    return str(request.getfixturevalue("postgres").database("renewal").url)


async def filled(url: str, count: int) -> Database:
    """Return a database with so many authorities, whose two secrets the old key has sealed."""
    database = Database(url, source="renewal")
    await SCHEMA.upgrade(database)
    sealer = Sealer([OLD])
    rows = [
        {
            "id": f"{number:06}",
            "name": f"authority {number}",
            "kind": "builtin",
            "options": {},
            "secrets": sealer.seal(f"secret {number}".encode(), row=f"s{number}"),
            "private": sealer.seal(f"private {number}".encode(), row=f"p{number}") if number % 10 else b"",
            "roots": [],
            "groups": [],
            "created_at": NOW,
            "created_by": "test",
        }
        for number in range(count)
    ]
    async with database.transaction() as tx:
        await tx.session.execute(sa.insert(store.Authority), rows)
    return database


async def opened(database: Database, sealer: Sealer) -> int:
    """Open everything and return how many secrets that were."""
    async with database.read() as session:
        rows = (await session.scalars(sa.select(store.Authority))).all()
    for row in rows:
        number = int(row.id)
        assert sealer.open(row.secrets, row=f"s{number}") == f"secret {number}".encode()
        assert not row.private or sealer.open(row.private, row=f"p{number}") == f"private {number}".encode()
    return sum(1 + bool(row.private) for row in rows)


async def test_what_was_broken_off_is_gone_on_with_and_then_the_old_key_can_go(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 30)
    database = await filled(database_url, 100)
    both = Sealer([NEW, OLD])
    steps = rewrap(database, SCHEMA.metadata, both)
    first = await anext(steps)
    await steps.aclose()  # type: ignore[attr-defined] # it is a generator
    assert (first.column, first.rewrapped, first.of) == ("authorities.secrets", 30, 100)
    assert dict(await counts(database, SCHEMA.metadata)) == {
        both.prefix: 30,
        Sealer([OLD]).prefix: 160,
    }
    assert await opened(database, both) == 190
    last = {step.column: step async for step in rewrap(database, SCHEMA.metadata, both)}
    assert last["authorities.secrets"].rewrapped == 70
    assert last["authorities.private"].rewrapped == 90
    assert dict(await counts(database, SCHEMA.metadata)) == {both.prefix: 190}
    assert await opened(database, Sealer([NEW])) == 190
    assert [step async for step in rewrap(database, SCHEMA.metadata, both)] == []
    await database.close()


async def test_what_no_known_key_opens_is_left_counted_and_told(database_url: str) -> None:
    database = await filled(database_url, 3)
    async with database.transaction() as tx:
        strange = Sealer([KeyEncryptionKey(b"x" * 32)]).seal(b"?", row="s1")
        one = sa.update(store.Authority).where(sa.column("id") == "000001")
        await tx.session.execute(one.values(secrets=strange))
    last = {step.column: step async for step in rewrap(database, SCHEMA.metadata, Sealer([NEW, OLD]))}
    told = last["authorities.secrets"]
    assert (told.rewrapped, told.unreadable, told.of) == (2, 1, 3)
    found = await counts(database, SCHEMA.metadata)
    assert found[Sealer([KeyEncryptionKey(b"x" * 32)]).prefix] == 1
    await database.close()


async def test_what_is_changed_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is read and written in one transaction; on SQLite a writer in between would have to break its lock."""
    database = await filled(f"sqlite:///{tmp_path}/renewal.db", 1)
    newer = Sealer([NEW]).seal(b"secret 0", row="s0")

    class Changing(Sealer):
        def rewrap(self, sealed: bytes) -> bytes:
            raise AssertionError

    async with database.transaction() as tx:
        await tx.session.execute(sa.update(store.Authority).values(secrets=newer))
    assert [step async for step in rewrap(database, SCHEMA.metadata, Changing([NEW, OLD]))] == []
    await database.close()


def test_every_column_of_bytes_is_sealed_or_is_known_not_to_be() -> None:
    plain = set()
    for name in NAMES:
        metadata = service_module(name).SCHEMA.metadata
        sealed = set(sealed_columns(metadata))
        assert sealed, name
        for table in (table for each in metadata for table in each.sorted_tables):
            of_bytes = {column for column in table.columns if isinstance(column.type, sa.LargeBinary)}
            assert len(table.primary_key.columns) == 1 or not of_bytes & sealed
            plain |= {f"{name}.{column}" for column in of_bytes - sealed}
    assert {each for each in plain if not each.split(".")[1].startswith(("outbox", "inbox"))} == PLAIN


async def test_a_killed_command_is_repeated_and_everything_opens_with_the_new_key_alone(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, key in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_text(key.key.hex())
    environ = {
        "PATH": "/usr/bin:/bin",
        "EVERLEAF_KEK_FILE": str(tmp_path / "new"),
        "EVERLEAF_OLD_KEK_FILES": str(tmp_path / "old"),
        "EVERLEAF_CONFIG": str(tmp_path / "none"),
    }
    everleaf = [str(Path(sys.executable).with_name("everleaf"))]

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*everleaf, "rewrap", *words, "--data", str(data)]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    for name in NAMES:
        if name != "renewal":
            opened_database = Database(f"sqlite:///{data}/{name}.db", source=name)
            await service_module(name).SCHEMA.upgrade(opened_database)
            await opened_database.close()
    database = await filled(f"sqlite:///{data}/renewal.db", 1000)
    killed = subprocess.Popen(
        [*everleaf, "rewrap", "--data", str(data)], stdout=subprocess.PIPE, env=environ, text=True
    )
    assert killed.stdout is not None
    assert "authorities" in killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    before = ran("--check")
    assert before.returncode == 1, before.stderr
    assert "sealed with another key" in before.stdout
    after = ran()
    assert after.returncode == 0, after.stderr
    assert "1,900 secrets are sealed with the present key" in after.stdout
    assert "No other key is needed" in after.stdout
    assert await opened(database, Sealer([NEW])) == 1900
    await database.close()
    with sqlite3.connect(data / "renewal.db") as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
