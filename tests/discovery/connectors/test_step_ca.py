"""What a step-ca issued, as its tables in a real PostgreSQL have it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors import Access, database, step_ca
from services.discovery.connectors.registry import source_kind
from services.discovery.connectors.step_ca import StepCa
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.errors import Refused, Unavailable
from shared.outbound import Policy
from tests.discovery.workshops import access_to
from tests.discovery.workshops.step_ca import Tables, path_of, workshop
from tests.servers.postgres import Postgres

DAY = timedelta(days=1)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Tables]:
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, Tables)
        yield opened


async def pages(access: Access, *, after: str | None = None) -> list[Page]:
    async with StepCa.open(access) as source:
        return [page async for page in source.read(after=after)]


async def read(shop: Tables, **changes: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(access_to(shop, **changes))
    held = {holding.path: holding for page in found for holding in page.holdings}
    return held, [gap for page in found for gap in page.gaps]


def with_settings(shop: Tables, **changes: Any) -> dict[str, Any]:
    return {"settings": source_kind(shop.kind).settings_type.model_validate({**shop.settings, **changes})}


async def test_what_has_expired_or_was_revoked_is_not_even_sent_and_the_rest_has_its_chain(
    shop: Tables, monkeypatch: pytest.MonkeyPatch
):
    kept, far = shop.issue("kept.test", ends_in=DAY), shop.issue("far.test", ends_in=10_000 * DAY)
    shop.issue("expired.test", ends_in=-DAY / 24)
    shop.revoke(shop.issue("revoked.test", ends_in=DAY))
    sent: list[bytes] = []
    fetch = StepCa._fetch

    async def watched(self: StepCa, question: str, *values: object) -> Any:
        rows = await fetch(self, question, *values)
        sent.extend(row["der"] for row in rows if row.get("der"))
        return rows

    monkeypatch.setattr(StepCa, "_fetch", watched)
    held, gaps = await read(shop)
    assert gaps == []
    assert held.keys() == {path_of(kept), path_of(far)}
    assert sorted(sent) == sorted(each.certificate.public_bytes(Encoding.DER) for each in (kept, far))
    holding = held[path_of(kept)]
    assert holding.chain == tuple(
        x509.from_pem(pem.decode())[0] for pem in (kept.certificate_pem, shop.authority.pem, shop.root.pem)
    )
    assert (holding.address, holding.format, holding.in_use) == ("ca.step.test", "issued", None)


async def test_rows_are_gone_through_part_by_part_and_taken_up_after_any_page(
    shop: Tables, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(step_ca, "PER_PAGE", 3)
    monkeypatch.setattr(step_ca, "ROWS_AT_A_TIME", 5)
    put = shop.put(17)
    ended = datetime.now(UTC) - DAY
    begun = ended - DAY
    shop.keep(*(shop.authority.issue("old.test", not_before=begun, not_after=ended) for _ in range(6)))
    whole = await pages(access_to(shop))
    assert sorted(holding.path for page in whole for holding in page.holdings) == sorted(put)
    assert max(len(page.holdings) for page in whole) == 3
    for at, page in enumerate(whole[:-1]):
        rest = await pages(access_to(shop), after=page.position)
        assert [holding.path for each in rest for holding in each.holdings] == [
            holding.path for each in whole[at + 1 :] for holding in each.holdings
        ]


async def test_what_cannot_be_read_is_a_gap_of_its_own_path(shop: Tables, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step_ca, "LARGEST", 2_000)
    [good] = shop.put(1)
    shop.sql(
        "INSERT INTO x509_certs VALUES ('255', 'no certificate'), ('256', NULL), ('257', ''), "
        "('258', decode(repeat('30', 3000), 'hex')), ('zz', 'no serial number')"
    )
    held, gaps = await read(shop)
    assert held.keys() == {good}
    assert {gap.scope for gap in gaps} == {f"issued/{number:x}" for number in (255, 256, 257, 258)} | {
        "issued"
    }


async def test_without_the_table_of_the_revoked_they_are_shown_and_a_gap_says_so(shop: Tables):
    made = shop.issue("revoked.test", ends_in=DAY)
    shop.revoke(made)
    shop.sql(f"REVOKE SELECT ON revoked_x509_certs FROM {shop.settings['username']}")
    held, [gap] = await read(shop)
    assert held.keys() == {path_of(made)}
    assert gap.scope == "revoked"
    assert "GRANT SELECT ON revoked_x509_certs" in gap.next_step
    async with StepCa.open(access_to(shop)) as source:
        assert {check.name: check.ok for check in await source.check()} == {
            "x509_certs": True,
            "revoked_x509_certs": False,
        }


async def test_nothing_can_be_written_even_with_the_rights_to_it(shop: Tables):
    shop.put(1)
    shop.sql(f"GRANT ALL ON x509_certs TO {shop.settings['username']}")
    async with StepCa.open(access_to(shop)) as source:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await source._connection.execute("DELETE FROM x509_certs")


async def test_a_database_without_the_tables_is_refused(shop: Tables):
    shop.sql("DROP TABLE x509_certs, revoked_x509_certs")
    with pytest.raises(Refused, match="no step-ca"):
        await read(shop)


async def test_an_address_that_the_policy_does_not_permit_is_not_connected_to(shop: Tables):
    with pytest.raises(Refused, match="does not permit"):
        await read(shop, policy=Policy())
    assert shop._proxy.packets == 0


async def test_a_database_of_an_unknown_authority_gets_no_password(shop: Tables):
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED") as unavailable:
        await read(shop, **with_settings(shop, trusted_ca=None))
    assert "`trusted_ca`" in unavailable.value.next_step


async def test_a_database_that_does_not_prove_its_name_gets_no_password(
    shop: Tables, monkeypatch: pytest.MonkeyPatch
):
    async def resolved(*_: object, **__: object) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(database, "permitted_addresses", resolved)
    with pytest.raises(Unavailable, match="Hostname mismatch"):
        await read(shop, **with_settings(shop, host="db.example.test"))


async def test_a_database_without_tls_is_not_read(shop: Tables, postgres: Postgres):
    own = postgres.database("plain")
    changes = with_settings(shop, port=own.port, database=own.name, username=own.user)
    with pytest.raises(Unavailable, match="SSL") as refused:
        await read(shop, **changes)
    assert "Turn TLS on" in refused.value.next_step
