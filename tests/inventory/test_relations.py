"""What belongs together, from events to answers, on both databases."""

import pytest

from services.inventory.actions.relations import Relations
from shared.errors import NotFound
from shared.events.discovery import Held, HeldKey, Place
from shared.events.inventory import AuthorityCleared, AuthorityExpiring
from shared.x509 import read as read_facts
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, chain, found, lost, place, renewed, stored
from tests.servers.tls import CertificateAuthority, Issued, fingerprint


@pytest.fixture
def relations(ledger: Ledger) -> Relations:
    return Relations(ledger.database)


def key_of(issued: Issued) -> str:
    return read_facts(chain(issued)[0]).key_fingerprint


def at(number: int, name: str = "shop.test") -> Place:
    return place(number, name=name)


async def test_a_key_leads_to_its_certificates_places_hosts_and_lineages(
    ledger: Ledger, relations: Relations, issue: Issue, lab_ca: CertificateAuthority
) -> None:
    first, alone = issue("one.test"), issue("alone.test")
    second = lab_ca.issue("two.test", key=first.key, not_before=NOON - DAY, not_after=NOON + 30 * DAY)
    key = key_of(first)
    held = Held(format="pem", key=HeldKey(path="/k", fingerprint=key), addresses=["192.0.2.7"])
    await ledger.hear(
        found(first, at(1), NOON),
        found(second, at(2), NOON),
        found(alone, at(9), NOON),
        stored(first, "web-1", NOON, held=held),
        stored(first, "web-2", NOON, held=replace_addresses(held, "192.0.2.8")),
    )
    await ledger.work()
    found_key = await relations.key(key, scope=None)
    assert {row.fingerprint for row in found_key.certificates} == {first.fingerprint, second.fingerprint}
    assert len(found_key.places) == 4
    assert found_key.hosts == ["web-1", "web-2"]
    assert len({row.lineage_id for row in found_key.certificates}) == 2
    shared = await relations.shared_keys(after=None, limit=10, scope=None)
    assert [(each.id, vars(each.spread)) for each in shared] == [
        (key, {"certificates": 2, "addresses": 2, "hosts": 2, "places": 4})
    ]
    page = await relations.places_of_key(key, after=None, limit=3, scope=None)
    rest = await relations.places_of_key(key, after=page[2][0].id, limit=3, scope=None)
    assert [where.id for where, _ in [*page[:3], *rest]] == [where.id for where, _ in found_key.places]
    with pytest.raises(NotFound):
        await relations.key("0" * 64, scope=None)
    await ledger.hear(
        lost(second, at(2), NOON + HOUR),
        lost(first, Place(kind="store", address="web-2", path="/etc/tls/a.pem"), NOON + HOUR),
    )
    await ledger.work()
    [after] = await relations.shared_keys(after=None, limit=10, scope=None)
    assert (after.spread.addresses, after.spread.hosts) == (1, 1)


def replace_addresses(held: Held, *addresses: str) -> Held:
    return held.model_copy(update={"addresses": list(addresses)})


async def test_a_key_in_one_place_only_is_not_listed_any_more(
    ledger: Ledger, relations: Relations, issue: Issue
) -> None:
    issued, other = issue("one.test"), issue("other.test")
    await ledger.hear(found(issued, at(1), NOON), found(issued, at(2), NOON))
    await ledger.work()
    assert [each.id for each in await relations.shared_keys(after=None, limit=10, scope=None)] == [
        key_of(issued)
    ]
    await ledger.hear(found(other, at(2), NOON + HOUR))
    await ledger.work()
    assert await relations.shared_keys(after=None, limit=10, scope=None) == []


async def test_a_host_is_shown_under_all_its_addresses_with_all_that_is_there(
    ledger: Ledger, relations: Relations, issue: Issue
) -> None:
    served, other, held_one = issue("served.test"), issue("other.test"), issue("held.test")
    key = HeldKey(path="/k", fingerprint=key_of(held_one), is_exposed=True)
    held = Held(format="pem", key=key, addresses=["192.0.2.1", "192.0.2.2"])
    await ledger.hear(
        stored(held_one, "web-1.test", NOON, held=held),
        found(served, at(1), NOON),
        found(served, at(2), NOON),
        found(other, at(3), NOON),
    )
    for name in ("web-1.test", "192.0.2.1", "192.0.2.2"):
        report = await relations.device(name, scope=None)
        assert {name, *report.same_device} == {"web-1.test", "192.0.2.1", "192.0.2.2"}
        assert {row.fingerprint for row in report.certificates} == {served.fingerprint, held_one.fingerprint}
        assert set(report.keys) == {key_of(served), key_of(held_one)}
        assert (report.device.places, report.device.flaws) == (3, {"key-exposed": 1})
    assert (await relations.device("192.0.2.3", scope=None)).same_device == []
    rows = await relations.devices(after=None, limit=2, scope=None)
    rest = await relations.devices(after=rows[1][0].address, limit=5, scope=None)
    assert [device.address for device, _ in [*rows[:2], *rest]] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "web-1.test",
    ]
    assert rows[0][1] == ["192.0.2.2", "web-1.test"]
    with pytest.raises(NotFound):
        await relations.device("192.0.2.99", scope=None)


async def test_a_wildcard_shows_where_it_is_and_what_it_would_do_for(
    ledger: Ledger, relations: Relations, issue: Issue
) -> None:
    wild, narrow = issue("*.shop.test", "shop.test"), issue("*.narrow.test")
    others = [issue(name) for name in ("a.shop.test", "b.a.shop.test", "a.shop-test.test")]
    await ledger.hear(
        *(found(wild, at(number, f"{number}.shop.test"), NOON) for number in (1, 2, 3)),
        found(narrow, at(4, "x.narrow.test"), NOON),
        *(found(each, at(number, "n.test"), NOON) for number, each in enumerate(others, start=5)),
    )
    await ledger.work()
    listed = await relations.wildcards(after=None, limit=10, scope=None)
    assert [each.certificate.fingerprint for each in listed] == [wild.fingerprint, narrow.fingerprint]
    assert listed[0].served_names == ["1.shop.test", "2.shop.test", "3.shop.test"]
    after = (listed[0].counted.weight, listed[0].counted.id)
    assert [each.counted.id for each in await relations.wildcards(after=after, limit=10, scope=None)] == [
        narrow.fingerprint
    ]
    report = await relations.wildcard(wild.fingerprint, scope=None)
    assert (report.spread.addresses, len(report.places)) == (3, 3)
    assert report.covered_names == ["a.shop.test"]


async def test_certificates_in_use_that_do_the_same_are_found_and_one_taken_away_is_none(
    ledger: Ledger, relations: Relations, issue: Issue, lab_ca: CertificateAuthority
) -> None:
    one, two = issue("www.test", "shop.test"), issue("shop.test", "www.test", since=0)
    beside = lab_ca.issue("shop.test", "www.test", kind="rsa", not_before=NOON - DAY, not_after=NOON + DAY)
    await ledger.hear(found(one, at(1), NOON), found(two, at(2), NOON), found(beside, at(3), NOON))
    await ledger.work()
    [double] = await relations.duplicates(after=None, limit=10, scope=None)
    assert [row.fingerprint for row in double.certificates] == [one.fingerprint, two.fingerprint]
    assert double.counted.spread.addresses == 2
    await ledger.hear(lost(two, at(2), NOON + HOUR))
    await ledger.work()
    assert await relations.duplicates(after=None, limit=10, scope=None) == []


async def test_authorities_are_known_from_chains_and_what_outlives_one_is_listed(
    ledger: Ledger, relations: Relations, lab_ca: CertificateAuthority
) -> None:
    ending = CertificateAuthority("Ending", parent=lab_ca, now=NOON - 3600 * DAY)
    lasting = CertificateAuthority("Lasting", parent=lab_ca, now=NOON)
    short = ending.issue("short.test", not_before=NOON - DAY, not_after=NOON + 20 * DAY)
    long = ending.issue("long.test", not_before=NOON - DAY, not_after=NOON + 200 * DAY)
    fine = lasting.issue("fine.test", not_before=NOON - DAY, not_after=NOON + 200 * DAY)
    await ledger.hear(*(found(each, at(number), NOON) for number, each in enumerate((short, long, fine), 1)))
    await ledger.work()
    listed = await relations.issuers(after=None, limit=10, scope=None)
    assert [each.row.subject for each in listed] == ["CN=Ending", "CN=Lasting"]
    assert [(each.leaves.known, each.leaves.outliving) for each in listed] == [(2, 1), (1, 0)]
    assert [each.row.urgency for each in listed] == ["error", None]
    first = listed[0].row
    assert first.not_after is not None
    after = (first.not_after, first.fingerprint)
    assert [each.row.subject for each in await relations.issuers(after=after, limit=10, scope=None)] == [
        "CN=Lasting"
    ]
    outlived = await relations.issuers(after=None, limit=10, is_outlived=True, scope=None)
    assert [each.row.fingerprint for each in outlived] == [fingerprint(ending.certificate)]
    under = await relations.certificates_under(
        first.fingerprint, is_outliving=False, after=None, limit=10, scope=None
    )
    assert [row.fingerprint for row in under] == [short.fingerprint, long.fingerprint]
    under = await relations.certificates_under(
        first.fingerprint, is_outliving=True, after=None, limit=10, scope=None
    )
    assert [row.fingerprint for row in under] == [long.fingerprint]
    assert (await relations.issuer(first.fingerprint, now=NOON + 21 * DAY, scope=None)).valid == 1
    with pytest.raises(NotFound):
        await relations.issuer(fine.fingerprint, now=NOON, scope=None)


async def test_the_end_of_an_authority_is_told_once_per_threshold_while_certificates_in_use_are_under_it(
    ledger: Ledger, lab_ca: CertificateAuthority
) -> None:
    ending = CertificateAuthority("Ending", parent=lab_ca, now=NOON - 3600 * DAY)
    leaf = ending.issue("leaf.test", not_before=NOON - DAY, not_after=NOON + 20 * DAY)
    await ledger.hear(found(leaf, at(1), NOON))
    await ledger.work()
    [told] = await ledger.said(AuthorityExpiring)
    assert (told.fingerprint, told.urgency, told.certificate_count) == (
        fingerprint(ending.certificate),
        "error",
        1,
    )
    assert told.certificates == [leaf.fingerprint]
    await ledger.hear(found(leaf, at(2), NOON))
    await ledger.work()
    assert len(await ledger.said(AuthorityExpiring)) == 1
    ledger.now = NOON + 21 * DAY
    await ledger.work()
    assert [each.urgency for each in await ledger.said(AuthorityExpiring)] == ["error", "critical"]
    await ledger.hear(lost(leaf, at(1), ledger.now), lost(leaf, at(2), ledger.now))
    ledger.now = NOON + 51 * DAY
    await ledger.work()
    assert len(await ledger.said(AuthorityExpiring)) == 2
    assert [each.fingerprint for each in await ledger.said(AuthorityCleared)] == [told.fingerprint]
    await ledger.hear(found(leaf, at(3), ledger.now))
    await ledger.work()
    assert [each.urgency for each in await ledger.said(AuthorityExpiring)][2:] == ["expired"]


async def test_an_authority_is_cleared_when_what_is_under_it_is_renewed_under_another(
    ledger: Ledger, lab_ca: CertificateAuthority
) -> None:
    ending = CertificateAuthority("Ending", parent=lab_ca, now=NOON - 3600 * DAY)
    old = ending.issue("leaf.test", not_before=NOON - DAY, not_after=NOON + 20 * DAY)
    new = lab_ca.issue("leaf.test", not_before=NOON, not_after=NOON + 90 * DAY)
    await ledger.hear(found(old, at(1), NOON))
    await ledger.work()
    await ledger.hear(renewed(old, new, NOON + HOUR, lineage=(await ledger.row(old)).lineage_id))
    await ledger.work()
    assert [each.fingerprint for each in await ledger.said(AuthorityCleared)] == [
        fingerprint(ending.certificate)
    ]


async def test_where_a_certificate_was_on_a_day_and_what_a_place_served_on_it(
    ledger: Ledger, relations: Relations, old: Issued, new: Issued
) -> None:
    await ledger.hear(
        found(old, at(1), NOON),
        found(old, at(2), NOON),
        found(new, at(1), NOON + 2 * DAY),
    )
    every = await relations.history(old.fingerprint, during=None, after=None, limit=10, scope=None)
    assert {(where.address, serving.until) for where, serving in every} == {
        ("192.0.2.1", NOON + 2 * DAY),
        ("192.0.2.2", None),
    }
    where, serving = every[0]
    rest = await relations.history(
        old.fingerprint, during=None, after=(where.id, serving.since), limit=10, scope=None
    )
    assert rest == every[1:]
    later = NOON + 3 * DAY
    [only] = await relations.history(old.fingerprint, during=(later, later), after=None, limit=10, scope=None)
    assert only[0].address == "192.0.2.2"
    midnight = NOON - 12 * HOUR
    assert not await relations.history(
        old.fingerprint, during=(midnight - DAY, midnight), after=None, limit=10, scope=None
    )
    day = (midnight + 2 * DAY, midnight + 3 * DAY)
    both = await relations.history(old.fingerprint, during=day, after=None, limit=10, scope=None)
    assert both == every, "at one of them it was replaced on that day"
    served = await ledger.reading.history(at(1).key, scope=None, at=None, during=day)
    assert [each.fingerprint for each in served.servings] == [new.fingerprint, old.fingerprint]
