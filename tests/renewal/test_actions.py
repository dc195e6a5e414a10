import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from services.renewal import store
from services.renewal.actions.attempt import Attempt
from services.renewal.actions.keys import key_row
from services.renewal.connectors import Issued, NotNow, Pending, Request
from services.renewal.domain.orders import State
from services.renewal.service import SCHEMA
from shared.access import Principal
from shared.errors import Conflict, Forbidden, Invalid, Refused
from shared.events.inventory import Urgency
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.sealing import open_with
from shared.store import Database
from shared.x509 import key_fingerprint, load, names
from tests.renewal.workshop import CALLER, OLD, RETENTION, Rung, Scripted, Workshop
from tests.servers.tls import CertificateAuthority

STEP = Pending(state=b"one", step="place", text="The order is placed.")


async def test_the_migration_makes_what_the_code_has(database: Database) -> None:
    await SCHEMA.upgrade(database)
    assert await SCHEMA.differences(database) == []


async def test_an_order_is_renewed_and_told_with_its_chain(shop: Workshop) -> None:
    await shop.order("Shop.example.test.")
    assert shop.rung.times == 1
    await shop.work_off()
    order = await shop.only()
    assert (order.state, order.last_error, order.next_attempt_at) == (State.RENEWED, None, None)
    assert order.lease is None
    [told] = await shop.events(CertificateRenewed)
    assert told.order_id == order.id
    assert told.fingerprint == order.fingerprint
    assert told.names == ["shop.example.test"]
    assert names(load(told.chain[0])) == ("shop.example.test",)
    assert told.authority == "house-ca"
    assert told.root is not None
    load(told.chain[-1]).verify_directly_issued_by(load(told.root))


async def test_a_lineage_has_one_open_order(shop: Workshop) -> None:
    await shop.order()
    with pytest.raises(Conflict, match="is pending"):
        await shop.order()
    await shop.work_off()
    await shop.order()
    assert [order.state for order in await shop.all()] == [State.PENDING, State.RENEWED]


async def test_the_database_itself_refuses_a_second_open_order(shop: Workshop) -> None:
    second = store.Order(**(await shop.order()).model_dump() | {"id": "other"})
    async with shop.database.transaction() as tx:
        tx.session.add(second)
        with pytest.raises(sa.exc.IntegrityError):
            await tx.session.flush()
        await tx.session.rollback()


async def test_orders_asked_for_at_once_become_one(shop: Workshop) -> None:
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await shop.order()
            outcomes.append("made")
        except Conflict:
            outcomes.append("refused")

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert sorted(outcomes) == ["made"] + ["refused"] * 7


async def test_two_workers_never_claim_the_same_order(shop: Workshop) -> None:
    await shop.order()
    claims = []

    async def claim() -> None:
        claims.append(await shop.work.claim(now=shop.time()))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(claim)
    assert len([each for each in claims if each]) == 1


async def test_an_enrolled_lineage_is_ordered_when_it_runs_out(shop: Workshop) -> None:
    await shop.enrol()
    assert await shop.all() == []
    await shop.expires()
    order = await shop.only()
    assert (order.state, order.old_fingerprint, order.names) == (State.PENDING, OLD, ["shop.example.test"])
    await shop.work_off()
    [told] = await shop.events(CertificateRenewed)
    assert told.old_fingerprint == OLD


async def test_a_lineage_that_runs_out_is_ordered_when_it_is_enrolled(shop: Workshop) -> None:
    await shop.expires()
    assert await shop.all() == []
    await shop.enrol()
    assert (await shop.only()).old_fingerprint == OLD


async def test_enrolment_and_notice_at_once_make_one_order(shop: Workshop) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.enrol)
        tasks.start_soon(shop.expires)
    await shop.only()


async def test_further_notices_of_one_certificate_make_no_further_order(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires()
    await shop.expires(urgency=Urgency.ERROR)
    await shop.work_off()
    await shop.expires(urgency=Urgency.CRITICAL)
    await shop.enrol()
    await shop.only()


async def test_a_failed_order_is_made_anew_when_it_becomes_more_urgent(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires()
    Scripted.script.append(Refused("No.", next_step="Ask."))
    await shop.work_off()
    await shop.expires()
    assert len(await shop.all()) == 1
    await shop.expires(urgency=Urgency.ERROR)
    await shop.work_off()
    assert [order.state for order in await shop.all()] == [State.RENEWED, State.FAILED]


async def test_enrolled_names_go_before_those_of_the_notice(shop: Workshop) -> None:
    await shop.enrol(["WWW.example.test"])
    await shop.expires()
    assert (await shop.only()).names == ["www.example.test"]


async def test_a_notice_with_a_name_that_may_not_be_fails_and_tells(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires(names=["shop.example.test", "evil.test"])
    order = await shop.only()
    assert (order.state, order.next_attempt_at) == (State.FAILED, None)
    [told] = await shop.events(RenewalFailed)
    assert "evil.test" in told.reason


async def test_an_enrolment_with_a_name_that_may_not_be_is_refused(shop: Workshop) -> None:
    await shop.expires(names=["evil.test"])
    for asked in (None, ["other.test"]):
        with pytest.raises(Invalid, match="not allowed"):
            await shop.enrol(asked)
    assert await shop.all() == []


async def test_a_replaced_certificate_closes_the_notice_and_is_marked(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires()
    await shop.work_off()
    order = await shop.only()
    assert order.fingerprint is not None
    await shop.replaced(order.fingerprint)
    assert (await shop.only()).observed_at is not None
    await shop.expires(urgency=Urgency.CRITICAL)  # comes late
    await shop.enrol()
    await shop.only()


async def test_an_order_that_waits_is_void_when_somebody_else_has_replaced_the_certificate(
    shop: Workshop,
) -> None:
    await shop.enrol()
    await shop.expires()
    Scripted.script.append(NotNow("Busy."))
    await shop.work_off()
    await shop.replaced("f" * 64)
    order = await shop.only()
    assert (order.state, order.next_attempt_at) == (State.FAILED, None)
    assert len(await shop.events(RenewalFailed)) == 1


async def test_a_failed_attempt_waits_longer_each_time_tells_and_is_tried_again(shop: Workshop) -> None:
    await shop.order()
    Scripted.script.extend(NotNow("The authority cannot be reached.") for _ in range(5))
    for wait in (1, 10, 100, 1440, 1440):
        await shop.work_off()
        order = await shop.only()
        assert order.state == State.WAITING
        assert order.next_attempt_at is not None
        left = order.next_attempt_at - shop.time()
        assert timedelta(minutes=wait) - timedelta(seconds=10) < left <= timedelta(minutes=wait)
        shop.time.passes(left + timedelta(seconds=1))
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED
    told = await shop.events(RenewalFailed)
    assert [each.attempt for each in told] == [1, 2, 3, 4, 5]
    assert all(each.next_attempt_at and each.next_step for each in told)


async def test_the_nearer_the_expiry_the_shorter_the_waits(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires(not_after=shop.time() + timedelta(hours=10))
    Scripted.script.extend(NotNow("Busy.") for _ in range(4))
    waits = []
    for _ in range(4):
        await shop.work_off()
        order = await shop.only()
        assert order.next_attempt_at is not None
        left = order.next_attempt_at - shop.time()
        waits.append(round(left / timedelta(minutes=1)))
        shop.time.passes(left + timedelta(seconds=1))
    assert waits == [1, 10, 59, 53]


async def test_the_expiry_of_a_certificate_we_obtained_is_known_without_a_notice(shop: Workshop) -> None:
    await shop.order()
    await shop.work_off()
    shop.time.passes(timedelta(days=90) - timedelta(minutes=20))
    await shop.order()
    Scripted.script.extend(NotNow("Busy.") for _ in range(2))
    for _ in range(2):
        await shop.work_off()
        shop.time.passes(timedelta(minutes=2, seconds=1))
    await shop.work_off()
    assert [order.state for order in await shop.all()] == [State.RENEWED, State.RENEWED]


async def test_a_refused_order_fails_for_good_until_a_person_tries_it_again(shop: Workshop) -> None:
    await shop.order()
    Scripted.script.append(
        Refused("The authority said rejectedIdentifier: no.", next_step="Ask for another name.")
    )
    await shop.work_off()
    order = await shop.only()
    assert (order.state, order.next_attempt_at) == (State.FAILED, None)
    assert order.next_step == "Ask for another name."
    [told] = await shop.events(RenewalFailed)
    assert told.next_attempt_at is None
    await shop.orders.retry(order.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED
    with pytest.raises(Conflict, match="is renewed"):
        await shop.orders.retry(order.id, caller=CALLER, now=shop.time())


async def test_a_failed_order_is_not_tried_again_beside_an_open_one(shop: Workshop) -> None:
    order = await shop.order()
    Scripted.script.append(Refused("No.", next_step="Ask."))
    await shop.work_off()
    await shop.order()
    with pytest.raises(Conflict, match="is pending"):
        await shop.orders.retry(order.id, caller=CALLER, now=shop.time())


async def test_what_the_authority_asks_for_is_waited_for(shop: Workshop) -> None:
    await shop.order()
    Scripted.script.append(NotNow("rateLimited", retry_after=timedelta(hours=3)))
    await shop.work_off()
    order = await shop.only()
    assert order.next_attempt_at is not None
    assert order.next_attempt_at - shop.time() > timedelta(hours=2, minutes=59)


async def test_a_long_wait_lets_the_order_go_and_goes_on_from_the_kept_state(small_shop: Workshop) -> None:
    shop = small_shop
    await shop.order()
    Scripted.script.extend([STEP, replace(STEP, state=b"two", text=None, retry_after=timedelta(minutes=5))])
    await shop.work_off()
    order = await shop.only()
    assert (order.state, order.lease) == (State.ISSUING, None)
    assert len(Scripted.asked) == 2
    shop.time.passes(timedelta(minutes=5, seconds=1))
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED
    assert Scripted.asked == [(None, False), (b"one", False), (b"two", True)]


async def test_a_lost_order_at_the_authority_begins_anew_and_another_failure_goes_on(
    small_shop: Workshop,
) -> None:
    shop = small_shop
    await shop.order()
    Scripted.script.extend([STEP, NotNow("Busy."), NotNow("Lost.", starts_over=True)])
    for _ in range(3):
        await shop.work_off()
        shop.time.passes(timedelta(days=2))
    assert [state for state, _ in Scripted.asked] == [None, b"one", b"one", None]
    assert (await shop.only()).state == State.RENEWED


async def test_an_order_that_begins_anew_has_a_new_key_and_request(small_shop: Workshop) -> None:
    shop = small_shop
    await shop.order()
    Scripted.script.append(NotNow("Lost.", starts_over=True))
    await shop.work_off()
    lost = Scripted.requests[-1]
    assert ((await shop.only()).private_key, (await shop.only()).csr) == (None, None)
    shop.time.passes(timedelta(hours=1))
    await shop.work_off()
    await has_key_of_its_own(shop, lost)


async def test_an_order_that_a_person_tries_again_has_a_new_key_and_request(small_shop: Workshop) -> None:
    shop = small_shop
    order = await shop.order()
    Scripted.script.append(Refused("badCSR", next_step="Ask."))
    await shop.work_off()
    refused = Scripted.requests[-1]
    await shop.orders.retry(order.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    await has_key_of_its_own(shop, refused)


async def has_key_of_its_own(shop: Workshop, before: bytes) -> None:
    order = await shop.only()
    assert order.state == State.RENEWED
    assert order.private_key is not None
    assert order.csr is not None
    opened = load_pem_private_key(shop.sealer.open(order.private_key, row=key_row(order.id)), None)
    assert opened.public_key() == x509.load_der_x509_csr(order.csr).public_key()
    assert opened.public_key() != x509.load_der_x509_csr(before).public_key()


async def test_a_killed_process_is_followed_by_one_that_goes_on_when_the_lease_has_run_out(
    shop: Workshop,
) -> None:
    await shop.order()
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None  # and nothing more: the process is gone
    await shop.work_off()
    assert (await shop.only()).state == State.ISSUING
    shop.time.passes(timedelta(seconds=31))
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


async def test_what_our_authority_signed_for_a_process_that_died_before_it_kept_it_is_what_the_next_one_tells(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[bytes] = []

    async def dies(_attempt: Attempt, _task: object, told: Issued, **_: object) -> None:
        signed.append(told.chain[0])
        raise store.LeaseLost

    await shop.order()
    with monkeypatch.context() as patched:
        patched.setattr(Attempt, "_issued", dies)
        await shop.work_off()
    killed = await shop.only()
    assert (killed.chain, await shop.events(CertificateRenewed), len(signed)) == (None, [], 1)
    shop.time.passes(timedelta(seconds=31))
    await shop.work_off()
    order, [told] = await shop.only(), await shop.events(CertificateRenewed)
    assert [base64.b64encode(der).decode() for der in told.chain] == order.chain
    assert told.chain[0] == signed[0]


async def test_an_order_keeps_its_key_over_a_crash_and_the_first_step_says_that_it_is_resumed(
    small_shop: Workshop,
) -> None:
    shop = small_shop
    await shop.order()
    Scripted.script.append(NotNow("Broken off."))
    await shop.work_off()
    before = await shop.only()
    shop.time.passes(timedelta(hours=1))
    await shop.work_off()
    after = await shop.only()
    assert after.private_key == before.private_key
    assert Scripted.asked == [(None, False), (None, True)]


async def test_an_authority_that_breaks_is_a_failed_attempt(small_shop: Workshop) -> None:
    await small_shop.order()
    Scripted.script.append(RuntimeError("secret inside"))
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.state == State.WAITING
    assert "secret" not in (order.last_error or "")


async def test_a_forged_answer_is_refused_and_never_told_as_renewed(
    small_shop: Workshop, lab_ca: CertificateAuthority
) -> None:
    forged = lab_ca.issue("shop.example.test").certificate.public_bytes(Encoding.DER)
    await small_shop.order()
    Scripted.script.append(Issued(chain=(forged,)))
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.state == State.FAILED
    assert "another key" in (order.last_error or "")
    assert await small_shop.events(CertificateRenewed) == []


async def test_each_order_has_a_fresh_key(small_shop: Workshop) -> None:
    for _ in range(2):
        await small_shop.order()
        await small_shop.work_off()
    told = await small_shop.events(CertificateRenewed)
    keys = {key_fingerprint(load(each.chain[0]).public_key()) for each in told}
    assert len(keys) == 2


async def test_the_identity_that_an_authority_learns_is_kept(small_shop: Workshop) -> None:
    await small_shop.order()
    [before] = await small_shop.authorities.page(after=None, limit=10, caller=CALLER)
    Scripted.script.append(replace(STEP, private=b"learned"))
    await small_shop.work_off()
    [after] = await small_shop.authorities.page(after=None, limit=10, caller=CALLER)
    assert small_shop.sealer.open(after.private, row=f"renewal/authorities/{after.id}/private") == b"learned"
    assert before.private != after.private


async def test_an_identity_that_was_changed_meanwhile_is_not_overwritten_by_what_an_order_learns(
    small_shop: Workshop,
) -> None:
    """The account's key may be another since the order was taken up."""
    shop, order = small_shop, await small_shop.order()
    Scripted.script = [replace(STEP, private=b"learned"), replace(STEP, private=b"learned more")]
    advance = Scripted.advance

    async def meanwhile(self: Scripted, request: Request, **given: Any) -> Any:
        Scripted.advance = advance  # type: ignore[method-assign] # once
        async with shop.database.transaction() as tx:
            row = await tx.session.get_one(store.Authority, order.authority_id)
            row.private = shop.authorities.seal_private(b"changed", authority_id=row.id)
        return await advance(self, request, **given)

    Scripted.advance = meanwhile  # type: ignore[method-assign] # somebody changes the key in between
    await shop.work_off()
    async with shop.database.read() as session:
        row = await session.get_one(store.Authority, order.authority_id)
    assert shop.authorities.open_private(row) == b"changed"
    assert (await shop.only()).state == State.RENEWED


def deployer(name: str = "provisioner") -> tuple[Principal, bytes]:
    key = X25519PrivateKey.generate()
    sealing_key = key.public_key().public_bytes_raw()
    return Principal(id=name, name=name, sealing_key=sealing_key), key.private_bytes_raw()


async def test_a_released_key_opens_for_its_deployment_alone_and_is_on_record(shop: Workshop) -> None:
    order = await shop.order()
    await shop.work_off()
    principal, private = deployer()
    sealed = await shop.keys.release(order.id, deployment_id="d1", caller=principal, now=shop.time())
    opened = open_with(private, sealed, purpose=f"everleaf private key {order.id} d1")
    [told] = await shop.events(CertificateRenewed)
    assert load_pem_private_key(opened, None).public_key() == load(told.chain[0]).public_key()
    await shop.keys.release(order.id, deployment_id="d1", caller=principal, now=shop.time())
    with pytest.raises(Forbidden, match="somebody else"):
        await shop.keys.release(order.id, deployment_id="d1", caller=deployer("thief")[0], now=shop.time())
    records = await shop.keys.page(after=None, limit=10, caller=CALLER, order_id=order.id)
    assert [(each.principal, each.is_repeat) for each in records] == [
        ("provisioner", True),
        ("provisioner", False),
    ]


async def test_no_key_is_released_without_a_key_to_seal_to_or_before_there_is_a_certificate(
    small_shop: Workshop,
) -> None:
    order = await small_shop.order()
    with pytest.raises(Conflict, match="is pending"):
        await small_shop.keys.release(
            order.id, deployment_id="d", caller=deployer()[0], now=small_shop.time()
        )
    while claim := await small_shop.work.claim(now=small_shop.time()):
        await small_shop.work.run(claim)
    with pytest.raises(Forbidden, match="no key to seal to"):
        await small_shop.keys.release(order.id, deployment_id="d", caller=CALLER, now=small_shop.time())


async def renewed(shop: Workshop) -> store.Order:
    await shop.order()
    await shop.work_off()
    return (await shop.all())[0]


async def has_key(shop: Workshop) -> list[bool]:
    """Return which orders have a private key, newest first."""
    return [order.private_key is not None for order in await shop.all()]


async def test_a_key_is_deleted_when_a_newer_certificate_has_been_in_place_for_long_enough(
    shop: Workshop,
) -> None:
    first, second = await renewed(shop), await renewed(shop)
    assert first.fingerprint is not None
    assert second.fingerprint is not None
    shop.time.passes(timedelta(days=60))
    await shop.keys.delete_old(shop.time())
    assert await has_key(shop) == [True, True]  # nobody has seen the second one yet
    await shop.replaced(second.fingerprint, old=first.fingerprint)
    shop.time.passes(RETENTION - timedelta(minutes=1))
    await shop.keys.delete_old(shop.time())
    assert await has_key(shop) == [True, True]
    shop.time.passes(timedelta(minutes=2))
    assert await shop.keys.delete_old(shop.time()) is False
    assert await has_key(shop) == [True, False]
    order, steps = await shop.orders.get(first.id, caller=CALLER)
    assert order.chain
    assert steps[-1].text.startswith("The private key is deleted")
    with pytest.raises(Conflict, match="key is deleted"):
        await shop.keys.release(first.id, deployment_id="d", caller=deployer()[0], now=shop.time())
    await shop.keys.delete_old(shop.time())
    assert len((await shop.orders.get(first.id, caller=CALLER))[1]) == len(steps)


async def test_an_older_certificate_that_is_seen_again_deletes_no_newer_key(shop: Workshop) -> None:
    first, second = await renewed(shop), await renewed(shop)
    assert first.fingerprint is not None
    await shop.replaced(first.fingerprint, old=second.fingerprint or "")
    shop.time.passes(RETENTION * 2)
    await shop.keys.delete_old(shop.time())
    assert await has_key(shop) == [True, True]


async def test_another_lineage_deletes_no_key(shop: Workshop) -> None:
    await renewed(shop)
    await shop.order(lineage_id="other")
    await shop.work_off()
    async with shop.database.transaction() as tx:
        other = (await shop.all())[0].fingerprint or ""
        await store.mark_observed(tx, lineage_id="other", fingerprint=other, at=shop.time())
    shop.time.passes(RETENTION * 2)
    await shop.keys.delete_old(shop.time())
    assert await has_key(shop) == [True, True]


async def test_the_key_of_an_order_that_is_given_up_is_deleted(shop: Workshop) -> None:
    await shop.order()
    Scripted.script.append(Refused("No.", next_step="Ask."))
    await shop.work_off()
    assert await has_key(shop) == [False]


async def test_the_key_of_an_order_that_became_void_is_deleted(shop: Workshop) -> None:
    await shop.enrol()
    await shop.expires()
    Scripted.script.append(NotNow("Busy."))
    await shop.work_off()
    assert await has_key(shop) == [True]
    await shop.replaced("f" * 64)
    assert await has_key(shop) == [False]


async def test_no_private_key_can_be_read_in_the_files_of_the_database(
    small_shop: Workshop, tmp_path: Path
) -> None:
    await small_shop.order()
    Scripted.script.append(STEP)
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.private_key is not None
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(order.private_key in content for content in files)  # what we look into is where it is
    assert not any(b"PRIVATE KEY" in content for content in files)


async def test_challenges_are_answered_until_they_are_removed(shop: Workshop) -> None:
    await shop.challenges.put("token", "one")
    await shop.challenges.put("token", "two")
    assert await shop.challenges.find("token") == "two"
    await shop.challenges.remove("token")
    assert await shop.challenges.find("token") is None


@pytest.fixture
def other(shop: Workshop) -> Workshop:
    """A second process over the same database."""
    return Workshop(shop.database, time=shop.time, rung=Rung())


async def test_a_process_that_has_lost_its_lease_changes_nothing(shop: Workshop, other: Workshop) -> None:
    await shop.order()
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None
    shop.time.passes(timedelta(minutes=1))
    await other.work_off()
    renewed = await shop.only()
    await shop.work.run(claim)
    assert (await shop.only()).fingerprint == renewed.fingerprint
    assert len(await shop.events(CertificateRenewed)) == 1
