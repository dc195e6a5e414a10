"""Orders that are worked on many at a time: all that one at a time has, and nothing else."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.renewal import store
from services.renewal.actions.batches import Batch
from services.renewal.actions.distrusts import NewDistrust
from services.renewal.domain.orders import State
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.store import Database
from tests.renewal.workshop import CALLER, Workshop


@pytest.fixture
async def house(database: Database) -> Workshop:
    """A workshop with an authority of our own that may issue below `example.test`, but for one name."""
    return await Workshop(database).set_up("builtin", options={"excluded": ["no.example.test"]})


@pytest.fixture
async def small_house(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The same over SQLite, where the database makes no difference."""
    opened = Database(f"sqlite:///{tmp_path}/renewal.db", source="renewal")
    yield await Workshop(opened).set_up("builtin")
    await opened.close()


async def placed(shop: Workshop, *names: str) -> None:
    for name in names:
        await shop.order(f"{name}.example.test", lineage_id=None)


async def books(shop: Workshop) -> list[str]:
    async with shop.database.read() as session:
        return list((await session.scalars(sa.select(store.BuiltinCertificate.fingerprint))).all())  # type: ignore[call-overload] # a column


async def test_orders_of_a_profile_are_issued_together_and_each_has_all_of_its_own(house: Workshop) -> None:
    await placed(house, "a", "b", "c")
    claim = await house.work.claim(now=house.time())
    assert claim is not None
    assert claim.is_batch
    await house.work.run(claim)
    rows = await house.all()
    assert {row.state for row in rows} == {State.RENEWED}
    assert all(row.lease is None and row.next_attempt_at is None for row in rows)
    told = {each.order_id: each for each in await house.events(CertificateRenewed)}
    for row in rows:
        event = told.pop(row.id)
        assert (event.fingerprint, event.names) == (row.fingerprint, row.names)
        assert (event.not_after, event.root is not None, len(event.chain)) == (row.not_after, True, 2)
        _, steps = await house.orders.get(row.id, caller=CALLER)
        assert [step.step for step in steps if not step.step.startswith("check ")] == ["key", "renewed"]
        assert "check names" in [step.step for step in steps]
        assert row.terms, "an automated renewal of it is approved before"
        assert house.sealer.open(row.private_key or b"", row=f"renewal/orders/{row.id}/private_key")
    assert told == {}
    assert len({row.fingerprint for row in rows}) == 3
    assert sorted(await books(house)) == sorted(str(row.fingerprint) for row in rows)


async def test_an_order_that_is_refused_fails_alone(house: Workshop) -> None:
    await placed(house, "a", "no", "c")
    await house.work_off()
    states = {row.names[0]: row.state for row in await house.all()}
    assert states == {
        "a.example.test": State.RENEWED,
        "no.example.test": State.FAILED,
        "c.example.test": State.RENEWED,
    }
    [failed] = await house.events(RenewalFailed)
    assert "may not issue for no.example.test" in failed.reason


@pytest.mark.parametrize("step", ["_issued", "_tell"])
async def test_a_batch_whose_process_dies_ends_in_one_certificate_for_each_order(
    house: Workshop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise store.LeaseLost

    await placed(house, "a", "b")
    with monkeypatch.context() as patched:
        patched.setattr(Batch, step, dies)
        await house.work_off()
    before = {row.id: row.csr for row in await house.all()}
    assert all(before.values())
    assert await house.events(CertificateRenewed) == []
    house.time.passes(timedelta(seconds=31))
    await house.work_off()
    after = await house.all()
    assert {row.id: row.csr for row in after} == before
    assert {row.state for row in after} == {State.RENEWED}
    assert sorted(await books(house)) == sorted(str(row.fingerprint) for row in after)
    assert len(await house.events(CertificateRenewed)) == 2


async def test_an_authority_that_cannot_issue_now_lets_every_order_of_a_batch_wait(house: Workshop) -> None:
    async with house.database.transaction() as tx:
        row = await store.authority_named(tx.session, "house-ca")
        assert row is not None
        row.private = b"unreadable"
    await placed(house, "a", "b")
    await house.work_off()
    assert {row.state for row in await house.all()} == {State.WAITING}
    assert len(await house.events(RenewalFailed)) == 2


@pytest.mark.parametrize("said", [{"approvals_needed": 1}, {"reuse_key": True, "reuse_key_reason": "pinned"}])
async def test_where_a_rule_is_about_a_single_order_each_is_worked_on_alone(
    small_house: Workshop, said: dict[str, Any]
) -> None:
    await small_house.change(**said)
    assert await batched(small_house) is False


async def test_an_authority_with_a_budget_is_asked_for_one_order_at_a_time(small_house: Workshop) -> None:
    async with small_house.database.transaction() as tx:
        row = await store.authority_named(tx.session, "house-ca")
        assert row is not None
        row.budget = {"orders": {"most": 5, "window": 3600}, "exempts_replacements": False}
    assert await batched(small_house) is False


async def test_a_distrusted_authority_gets_no_batch(small_house: Workshop) -> None:
    await placed(small_house, "a", "b")
    await small_house.distrusts.create(
        NewDistrust(authority="house-ca", reason="It was broken into."), caller=CALLER, now=small_house.time()
    )
    claim = await small_house.work.claim(now=small_house.time())
    assert claim is None or not claim.is_batch


async def batched(shop: Workshop) -> bool:
    await placed(shop, "a", "b")
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None
    return claim.is_batch


KNOWN: dict[type[store.Table], str] = {
    store.Profile: "id name authority_id key_type lifetime allowed_names challenge fallback_authority_id "
    "authority_profile renew_before renew_fraction renew_noncompliant key_custody reuse_key reuse_key_reason "
    "approvals_needed approver_groups approver_roles revoke_replaced version groups created_at created_by",
    store.Authority: "id name kind options secrets private roots trust budget groups created_at created_by",
}
"""The columns that batches were made with in mind."""


def test_batches_know_every_column_of_profiles_and_authorities() -> None:
    """One that is new may be a rule about a single order: see what a batch has to do about it, then add it there."""
    for table, known in KNOWN.items():
        columns = set(table.__table__.columns.keys())  # type: ignore[attr-defined] # what SQLAlchemy puts there
        assert columns == set(known.split()), table.__name__
