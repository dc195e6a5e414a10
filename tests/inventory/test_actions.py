from datetime import timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.inventory.domain.replacements import State
from services.inventory.domain.thresholds import Limit
from services.inventory.store.certificates import CertificateFilter
from shared.bus import Verdict
from shared.bus.sqlite import SqliteBus
from shared.errors import NotFound
from shared.events import Event
from shared.events.inventory import (
    CertificateAging,
    CertificateExpiring,
    CertificateReplaced,
    CertificateStale,
    Urgency,
)
from shared.store import Database
from tests.inventory.conftest import Issue
from tests.inventory.ledger import (
    DAY,
    HOUR,
    NOON,
    Ledger,
    deliveries,
    deployed,
    found,
    found_bytes,
    lost,
    place,
    renewed,
)
from tests.servers.tls import CertificateAuthority, Issued, fingerprint

SECOND = timedelta(seconds=1)


async def test_a_found_certificate_is_known_with_its_place(
    ledger: Ledger, lab_ca: CertificateAuthority
) -> None:
    issued = lab_ca.intermediate().issue(
        "shop.test", "*.shop.test", not_after=NOON + 300 * DAY, not_before=NOON - DAY
    )
    await ledger.hear(found(issued, place(), NOON))
    report = await ledger.reading.certificate(issued.fingerprint, scope=None)
    assert report.row.names == ["*.shop.test", "shop.test"]
    assert report.row.key_type == "ecdsa-p256"
    assert report.row.is_current
    [where] = report.facts.places
    assert (where.key, where.first_seen, where.last_seen) == (place().key, NOON, NOON)
    assert await ledger.told(report.row.lineage_id) == ["found"]
    pem = await ledger.reading.pem(issued.fingerprint, scope=None)
    assert (pem.pem + "".join(pem.chain)).encode() == issued.chain_pem


async def test_seeing_it_again_moves_last_seen_and_nothing_else(ledger: Ledger, old: Issued) -> None:
    await ledger.hear(found(old, place(), NOON), found(old, place(), NOON + HOUR))
    await ledger.hear(found(old, place(), NOON - HOUR))
    report = await ledger.reading.certificate(old.fingerprint, scope=None)
    [where] = report.facts.places
    assert (where.first_seen, where.last_seen) == (NOON - HOUR, NOON + HOUR)
    assert await ledger.told(report.row.lineage_id) == ["found"]
    assert await ledger.said(CertificateExpiring) == []


async def test_a_repeated_event_has_one_effect(ledger: Ledger, issue: Issue) -> None:
    event = found(issue(since=80, ends_in=10), place(), NOON)
    await ledger.hear(event, event)
    await ledger.hear(event)
    [_once] = await ledger.said(CertificateExpiring)


async def test_an_older_observation_does_not_override_a_newer_one(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(new, place(), NOON + HOUR), found(old, place(), NOON))
    assert await ledger.served(place()) == [new.fingerprint, old.fingerprint]
    assert not (await ledger.row(old)).is_current


async def test_what_a_place_served_at_an_instant_can_be_asked(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, place(), NOON), lost(old, place(), NOON + DAY), found(new, place(), NOON + 2 * DAY)
    )
    assert await ledger.served(place(), at=NOON + HOUR) == [old.fingerprint]
    assert await ledger.served(place(), at=NOON + DAY + HOUR) == [None]
    assert await ledger.served(place(), at=NOON + 30 * DAY) == [new.fingerprint]
    assert await ledger.served(place(), at=NOON - HOUR) == []


async def test_a_chain_that_changes_under_the_same_certificate_is_kept(
    ledger: Ledger, lab_ca: CertificateAuthority
) -> None:
    issued = lab_ca.intermediate().issue("shop.test", not_before=NOON - DAY, not_after=NOON + 90 * DAY)
    bare = Issued(certificate=issued.certificate, key=issued.key)
    await ledger.hear(found(bare, place(), NOON))
    assert (await ledger.row(issued)).chain == []
    await ledger.hear(found(issued, place(), NOON + HOUR))
    assert len((await ledger.row(issued)).chain) == 1


async def test_bytes_that_are_no_certificate_are_kept_with_a_finding(ledger: Ledger, old: Issued) -> None:
    junk = b"\x30\x03\x02\x01\x00 no certificate \x00"
    name = sha256(junk).hexdigest()
    await ledger.hear(found_bytes(name, [junk], place(2), NOON), found(old, place(), NOON))
    row = (await ledger.reading.certificate(name, scope=None)).row
    assert row.finding
    assert row.not_after is None
    assert (await ledger.row(old)).finding is None
    assert (await ledger.summary()).unreadable == 1
    assert "BEGIN CERTIFICATE" in (await ledger.reading.pem(name, scope=None)).pem


async def test_names_with_nul_and_names_too_long_to_search_for_are_kept(ledger: Ledger, issue: Issue) -> None:
    issued = issue("good.test", "evil\x00.test", "x" * 3000 + ".test")
    await ledger.hear(found(issued, place(), NOON))
    row = await ledger.row(issued)
    assert row.finding is None
    assert "evil\\x00.test" in row.names
    assert any(len(name) > 3000 for name in row.names)
    [_same] = await ledger.reading.certificates(CertificateFilter(name="good.test"), after=None, limit=2)


async def test_a_chain_of_another_certificate_is_refused_and_holds_nothing_up(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    wrong = found_bytes("0" * 64, [b"other"], place(), NOON)
    outcomes = await ledger.reactor.handle(deliveries([wrong, found(old, place(2), NOON)]))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.RETRY, Verdict.DONE]
    assert (await ledger.row(old)).is_current


async def test_ten_thousand_names_are_kept_and_found(ledger: Ledger, issue: Issue) -> None:
    issued = issue(*(f"host-{number}.shop.test" for number in range(10_000)))
    await ledger.hear(found(issued, place(), NOON))
    for wanted in ("host-9999.shop.test", "*.shop.test"):
        [row] = await ledger.reading.certificates(CertificateFilter(name=wanted), after=None, limit=10)
        assert row.fingerprint == issued.fingerprint


async def test_a_certificate_found_expiring_is_told_at_once_and_only_the_most_urgent(
    ledger: Ledger, issue: Issue
) -> None:
    issued = issue(since=85, ends_in=5)
    await ledger.hear(found(issued, place(), NOON))
    [told] = await ledger.said(CertificateExpiring)
    assert told.urgency is Urgency.CRITICAL
    assert told.place_count == 1
    assert told.places == [place()]
    report = await ledger.reading.certificate(issued.fingerprint, scope=None)
    assert [(row.urgency, row.is_told) for row in report.facts.crossed] == [
        ("renew", False),
        ("warning", False),
        ("error", False),
        ("critical", True),
    ]
    assert await ledger.told(report.row.lineage_id) == ["found", "expiring"]


async def test_each_threshold_is_told_once_as_time_goes_by(ledger: Ledger, issue: Issue) -> None:
    issued = issue(since=10, ends_in=80)
    await ledger.hear(found(issued, place(), NOON))
    for day in range(85):
        ledger.now = NOON + day * DAY
        await ledger.work()
        await ledger.hear(found(issued, place(2 + day), ledger.now))
    assert [told.urgency for told in await ledger.said(CertificateExpiring)] == list(Urgency)
    assert (await ledger.row(issued)).next_crossing_at is None


async def test_half_of_a_life_is_told_once_and_before_anything_is_urgent(
    ledger: Ledger, issue: Issue
) -> None:
    issued, aged, urgent = (
        issue(since=10, ends_in=80),
        issue("aged.test", since=50, ends_in=40),
        issue("urgent.test", since=80, ends_in=10),
    )
    for number, each in enumerate((issued, aged, urgent)):
        await ledger.hear(found(each, place(number), NOON))
    assert [told.fingerprint for told in await ledger.said(CertificateAging)] == [aged.fingerprint]
    for day in range(0, 85, 5):
        ledger.now = NOON + day * DAY
        await ledger.work()
        await ledger.hear(found(issued, place(100 + day), ledger.now))
    [_, told] = await ledger.said(CertificateAging)
    assert told.fingerprint == issued.fingerprint
    assert (told.names, told.not_before, told.not_after) == (
        ["shop.test"],
        NOON - 10 * DAY,
        NOON + 80 * DAY,
    )


async def test_thresholds_of_the_operator_are_followed(
    database: Database, bus: SqliteBus, old: Issued
) -> None:
    ledger = Ledger(database, bus, limits={Urgency.RENEW: Limit(share=0.9)})
    await ledger.hear(found(old, place(), NOON))
    assert [told.urgency for told in await ledger.said(CertificateExpiring)] == [Urgency.RENEW]


async def test_a_certificate_that_is_nowhere_any_more_is_not_told_to_expire(
    ledger: Ledger, old: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON), lost(old, place(), NOON + HOUR))
    ledger.now = NOON + 59 * DAY
    await ledger.work()
    assert await ledger.said(CertificateExpiring) == []
    await ledger.hear(found(old, place(), ledger.now))
    assert [told.urgency for told in await ledger.said(CertificateExpiring)] == [Urgency.CRITICAL]


async def test_a_certificate_that_renewal_has_replaced_is_not_told_to_expire(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON), renewed(old, new, NOON + HOUR))
    ledger.now = NOON + 59 * DAY
    await ledger.work()
    assert [told.fingerprint for told in await ledger.said(CertificateExpiring)] == []
    ledger.now = NOON + 61 * DAY
    await ledger.work()
    assert {told.fingerprint for told in await ledger.said(CertificateExpiring)} == {new.fingerprint}


async def test_a_certificate_that_somebody_else_replaced_still_expires_where_it_is_left(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        *(found(old, place(number), NOON) for number in (1, 2)), found(new, place(1), NOON + HOUR)
    )
    ledger.now = NOON + 40 * DAY
    await ledger.work()
    assert {told.fingerprint for told in await ledger.said(CertificateExpiring)} == {old.fingerprint}


async def test_the_authority_above_a_certificate_is_not_told_to_expire(ledger: Ledger, new: Issued) -> None:
    dying = CertificateAuthority("Old root", now=NOON - 3650 * DAY)
    issued = dying.intermediate().issue("shop.test", not_before=NOON - DAY, not_after=NOON + 89 * DAY)
    await ledger.hear(found(issued, place(), NOON))
    assert await ledger.said(CertificateExpiring) == []
    assert (await ledger.summary()).certificates == 1


async def test_a_successor_with_the_same_names_joins_the_lineage(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON), found(new, place(), NOON + HOUR))
    assert (await ledger.row(new)).lineage_id == (await ledger.row(old)).lineage_id


async def test_a_certificate_with_other_names_begins_a_lineage(
    ledger: Ledger, old: Issued, issue: Issue
) -> None:
    other = issue("shop.test", "www.shop.test")
    await ledger.hear(found(old, place(), NOON), found(other, place(), NOON + HOUR))
    assert (await ledger.row(other)).lineage_id != (await ledger.row(old)).lineage_id


async def test_a_certificate_seen_before_it_was_told_to_be_renewed_comes_into_the_right_lineage(
    ledger: Ledger, old: Issued, issue: Issue
) -> None:
    other = issue("shop.test", "www.shop.test", since=0)
    await ledger.hear(found(old, place(), NOON), found(other, place(2), NOON + HOUR))
    lineage = (await ledger.row(old)).lineage_id
    accidental = (await ledger.row(other)).lineage_id
    await ledger.hear(renewed(old, other, NOON + HOUR, lineage=lineage))
    assert (await ledger.row(other)).lineage_id == lineage
    with pytest.raises(NotFound):
        await ledger.reading.lineage(accidental, scope=None)
    assert await ledger.told(lineage) == ["found", "found", "renewed"]


async def test_a_lineage_that_renewal_made_up_is_taken_over(ledger: Ledger, new: Issued) -> None:
    await ledger.hear(renewed(None, new, NOON, lineage="made-by-renewal"))
    row, [certificate] = await ledger.reading.lineage("made-by-renewal", scope=None)
    assert (row.title, certificate.fingerprint) == ("shop.test", new.fingerprint)
    await ledger.hear(found(new, place(), NOON + HOUR))
    assert (await ledger.row(new)).lineage_id == "made-by-renewal"


async def test_the_root_that_a_renewal_tells_of_is_known_and_in_no_lineage_of_another(
    ledger: Ledger, new: Issued, lab_ca: CertificateAuthority
) -> None:
    event = renewed(None, new, NOON, lineage="shop")
    root = lab_ca.certificate.public_bytes(Encoding.DER)
    told = Event.of(event.data.model_copy(update={"root": root}), source="renewal", now=NOON)
    await ledger.hear(told)
    row = (await ledger.reading.certificate(fingerprint(lab_ca.certificate), scope=None)).row
    assert (row.is_ca, row.lineage_id == "shop") == (True, False)


async def test_replaced_is_told_when_every_place_serves_the_new_one(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(*(found(old, place(number), NOON) for number in (1, 2)))
    lineage = (await ledger.row(old)).lineage_id
    await ledger.hear(renewed(old, new, NOON + HOUR, lineage=lineage))
    await ledger.hear(
        deployed(old, new, NOON + 2 * HOUR, lineage=lineage), found(new, place(1), NOON + 3 * HOUR)
    )
    assert await ledger.said(CertificateReplaced) == []
    await ledger.hear(found(new, place(2), NOON + 4 * HOUR))
    [told] = await ledger.said(CertificateReplaced)
    assert (told.lineage_id, told.old_fingerprint) == (lineage, old.fingerprint)
    assert {where.key for where in told.places} == {place(1).key, place(2).key}
    assert await ledger.said(CertificateStale) == []
    assert await ledger.told(lineage) == [
        "found",
        "found",
        "renewed",
        "deployed",
        "found",
        "found",
        "replaced",
    ]


async def test_places_that_are_gone_need_no_replacement(ledger: Ledger, old: Issued, new: Issued) -> None:
    await ledger.hear(
        found(old, place(), NOON), renewed(old, new, NOON + HOUR), lost(old, place(), NOON + 2 * HOUR)
    )
    [_told] = await ledger.said(CertificateReplaced)


async def test_a_certificate_that_was_nowhere_is_replaced_when_the_new_one_is_seen(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(renewed(old, new, NOON), deployed(old, new, NOON + HOUR))
    assert await ledger.said(CertificateReplaced) == []
    await ledger.hear(found(new, place(), NOON + 2 * HOUR))
    [_told] = await ledger.said(CertificateReplaced)


async def test_a_renewal_by_hand_is_noticed_and_replaces(ledger: Ledger, old: Issued, new: Issued) -> None:
    await ledger.hear(found(old, place(), NOON), found(new, place(), NOON + HOUR))
    [told] = await ledger.said(CertificateReplaced)
    assert told.fingerprint == new.fingerprint
    assert (await ledger.replacement()).order_id is None


async def test_an_old_certificate_seen_after_deployment_is_stale_until_it_is_gone(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(*(found(old, place(number), NOON) for number in (1, 2, 3)))
    await ledger.hear(renewed(old, new, NOON + HOUR), deployed(old, new, NOON + 2 * HOUR))
    await ledger.hear(found(new, place(1), NOON + 3 * HOUR), found(old, place(2), NOON + 3 * HOUR))
    [first] = await ledger.said(CertificateStale)
    assert first.places == [place(2)]
    await ledger.hear(found(old, place(2), NOON + 4 * HOUR))
    assert len(await ledger.said(CertificateStale)) == 1
    await ledger.hear(found(old, place(3), NOON + 4 * HOUR))
    told = await ledger.said(CertificateStale)
    assert len(told) == 2
    assert {where.key for where in told[1].places} == {place(2).key, place(3).key}
    await ledger.hear(found(new, place(2), NOON + 5 * HOUR), found(new, place(3), NOON + 5 * HOUR))
    assert len(await ledger.said(CertificateReplaced)) == 1
    assert (await ledger.replacement()).state == State.REPLACED


async def test_an_observation_before_the_deployment_is_not_stale(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, place(), NOON), renewed(old, new, NOON + HOUR), deployed(old, new, NOON + 2 * HOUR)
    )
    await ledger.hear(found(old, place(), NOON + 2 * HOUR - SECOND))
    assert await ledger.said(CertificateStale) == []


async def test_only_the_last_deployment_of_several_makes_the_rest_stale(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON), renewed(old, new, NOON + HOUR))
    await ledger.hear(
        deployed(old, new, NOON + 2 * HOUR, is_last=False), found(old, place(), NOON + 3 * HOUR)
    )
    assert await ledger.said(CertificateStale) == []
    await ledger.hear(deployed(old, new, NOON + 4 * HOUR), found(old, place(), NOON + 5 * HOUR))
    assert len(await ledger.said(CertificateStale)) == 1


async def test_a_renewal_that_nobody_puts_in_place_becomes_stale(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON), renewed(old, new, NOON))
    ledger.now = NOON + DAY - SECOND
    await ledger.work()
    assert await ledger.said(CertificateStale) == []
    ledger.now = NOON + DAY
    await ledger.work()
    await ledger.work()
    [told] = await ledger.said(CertificateStale)
    assert told.places == [place()]
    await ledger.hear(found(new, place(), NOON + 2 * DAY))
    assert len(await ledger.said(CertificateReplaced)) == 1


async def test_an_old_certificate_that_comes_back_is_stale_again(
    ledger: Ledger, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, place(), NOON), renewed(old, new, NOON + HOUR), deployed(old, new, NOON + 2 * HOUR)
    )
    await ledger.hear(found(new, place(), NOON + 3 * HOUR), found(old, place(), NOON + 4 * HOUR))
    assert len(await ledger.said(CertificateStale)) == 1
    assert (await ledger.replacement()).state == State.STALE


async def test_a_chain_of_renewals_settles_the_first_where_only_the_last_is_seen(
    ledger: Ledger, old: Issued, new: Issued, issue: Issue
) -> None:
    newest = issue(since=-1, ends_in=100)
    await ledger.hear(
        found(old, place(), NOON), renewed(old, new, NOON), renewed(new, newest, NOON + 2 * DAY)
    )
    await ledger.hear(found(newest, place(), NOON + 3 * DAY))
    assert {told.old_fingerprint for told in await ledger.said(CertificateReplaced)} == {
        old.fingerprint,
        new.fingerprint,
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(6)),
    repeated=st.lists(st.integers(0, 5), max_size=3),
    is_one_batch=st.booleans(),
)
async def test_whatever_the_order_of_events_replaced_is_told_once(
    ledger: Ledger, old: Issued, new: Issued, order: list[int], repeated: list[int], *, is_one_batch: bool
) -> None:
    await ledger.forget()
    await _tell_in_order(ledger, old, new, [*order, *repeated], is_one_batch=is_one_batch)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(5)))
async def test_whatever_the_order_of_events_a_place_left_behind_is_told_stale(
    ledger: Ledger, old: Issued, new: Issued, order: list[int]
) -> None:
    await ledger.forget()
    events = [
        found(old, place(1), NOON),
        renewed(old, new, NOON + HOUR),
        deployed(old, new, NOON + 2 * HOUR),
        found(new, place(2), NOON + 3 * HOUR),
        found(old, place(1), NOON + 4 * HOUR),
    ]
    for index in order:
        await ledger.hear(events[index])
    assert (await ledger.replacement()).state == State.STALE
    [told] = await ledger.said(CertificateStale)
    assert told.places == [place(1)]


async def _tell_in_order(
    ledger: Ledger, old: Issued, new: Issued, order: list[int], *, is_one_batch: bool
) -> None:
    events = [
        found(old, place(1), NOON),
        found(old, place(2), NOON),
        renewed(old, new, NOON + HOUR),
        deployed(old, new, NOON + 2 * HOUR),
        found(new, place(1), NOON + 3 * HOUR),
        found(new, place(2), NOON + 3 * HOUR),
    ]
    told_in_order = [events[index] for index in order]
    for batch in [told_in_order] if is_one_batch else [[event] for event in told_in_order]:
        await ledger.hear(*batch)
    [told] = await ledger.said(CertificateReplaced)
    assert (told.old_fingerprint, told.fingerprint) == (old.fingerprint, new.fingerprint)
    assert await ledger.said(CertificateStale) == []
    assert await ledger.said(CertificateExpiring) == []
    row = await ledger.replacement()
    assert (row.state, row.lineage_id, row.order_id) == (State.REPLACED, "lineage", "order")
    assert (row.opened_at, row.deployed_at) == (NOON + HOUR, NOON + 2 * HOUR)
    assert [lineage.id for lineage in await ledger.reading.lineages(after=None, limit=10, scope=None)] == [
        "lineage"
    ]
    for number in (1, 2):
        assert await ledger.served(place(number)) == [new.fingerprint, old.fingerprint]
    assert [(await ledger.row(each)).is_current for each in (old, new)] == [False, True]
