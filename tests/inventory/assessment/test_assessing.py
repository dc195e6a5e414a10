"""Places judged from events, by the clock and by people, on SQLite and on PostgreSQL."""

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.assessment.exceptions import ScopeKind
from services.inventory.domain.assessment.facts import Result
from services.inventory.store.organised import GroupMember, GroupRow
from services.inventory.store.places import place_id
from shared.errors import Invalid, Stale
from shared.events.inventory import CertificateNoncompliant, RuleSeverity
from tests.inventory.assessment.court import ANN, GOOD, OLD, STRICT, Court, looked
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, lost, place, stored
from tests.servers.tls import Issued

WHERE = place(1)


@pytest.fixture
def court(ledger: Ledger) -> Court:
    return Court(ledger)


async def test_a_full_look_gives_a_letter_and_the_same_look_again_judges_nothing_anew(
    court: Court, old: Issued
) -> None:
    await court.hear(looked(old, WHERE, NOON, OLD))
    found = await court.of(WHERE)
    assert (found.row.grade, found.row.score) == ("B", 90.5)
    assert [each["code"] for each in found.details["reasons"]] == ["old-versions", "beast"]
    assert "trust" in found.details["not_checked"]
    first = found.row.assessed_at
    for hours, tls in ((1, OLD), (2, None)):
        await court.ledger.hear(looked(old, WHERE, NOON + hours * HOUR, tls))
        court.ledger.now = NOON + hours * HOUR
        assert not await court.ledger.assessing.judge_due(court.now)
        assert (await court.of(WHERE)).row.assessed_at == first
    await court.hear(looked(old, WHERE, NOON + 3 * HOUR, GOOD))
    assert (await court.of(WHERE)).row.grade == "A"
    await court.hear(looked(old, WHERE, NOON + 2 * HOUR, OLD))
    assert (await court.of(WHERE)).row.grade == "A", "what was before does not undo what is later"
    assert (await court.reading.counts(scope=None)).by_grade == {"A": 1}


async def test_a_quick_look_gives_no_letter_and_one_that_belies_the_full_one_puts_an_end_to_it(
    court: Court, old: Issued
) -> None:
    await court.switch(STRICT)
    await court.hear(looked(old, WHERE, NOON, None))
    found = await court.of(WHERE)
    assert (found.row.grade, found.row.pq_key_exchange) == (None, "unknown")
    assert await court.verdicts(WHERE) == {STRICT: "unknown"}
    await court.hear(looked(old, WHERE, NOON + HOUR, OLD))
    assert await court.verdicts(WHERE) == {STRICT: "fail"}
    other = ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519")
    await court.hear(looked(old, WHERE, NOON + 2 * HOUR, None, other))
    assert (await court.of(WHERE)).row.grade is None
    assert await court.verdicts(WHERE) == {STRICT: "unknown"}
    assert await court.told() == [f"{STRICT} broken: versions"], "nobody knows that it is mended"
    await court.hear(looked(old, WHERE, NOON + 3 * HOUR, GOOD))
    assert await court.told() == [
        f"{STRICT} broken: versions",
        f"{STRICT} over: Every place was seen to keep to it.",
    ]


async def test_a_broken_policy_is_told_once_for_all_places_of_a_lineage_and_told_to_be_over(
    court: Court, old: Issued
) -> None:
    await court.switch(STRICT)
    other = place(2)
    await court.hear(looked(old, WHERE, NOON, OLD), looked(old, other, NOON, OLD))
    await court.hear(looked(old, WHERE, NOON + HOUR, OLD), looked(old, other, NOON + HOUR, OLD))
    [said] = await court.ledger.said(CertificateNoncompliant)
    assert (said.policy, said.severity, said.place_count) == (STRICT, RuleSeverity.HIGH, 2)
    assert [(rule.rule, rule.evidence) for rule in said.rules] == [("versions", "offers TLSv1")]
    assert said.rules[0].remedy == "Switch off TLS 1.0, TLS 1.1 and SSL."
    assert {each.key for each in said.places} == {WHERE.key, other.key}
    assert await court.places(policy=STRICT, verdict="fail") == [WHERE.address, other.address]
    assert (await court.reading.counts(scope=None)).by_policy == {STRICT: {"fail": 2}}
    asked = {
        "grade <= B": 1,
        "grade > B": 0,
        f"policy.fails = {STRICT}": 1,
        "policy.passes": 0,
        f"pq = none and place.address = {other.address} and not policy.fails = house": 1,
    }
    assert {text: await court.certificates(text) for text in asked} == asked

    court.ledger.now = NOON + 2 * HOUR
    await court.hear(looked(old, WHERE, court.now, GOOD))
    assert len(await court.told()) == 1, "the other place breaks it still"
    await court.hear(lost(old, other, court.now))
    assert (await court.told())[1:] == [f"{STRICT} over: Every place was seen to keep to it."]
    lineage = (await court.ledger.row(old)).lineage_id
    kinds = [
        row.kind for row in await court.ledger.reading.timeline(lineage, scope=None, after=None, limit=100)
    ]
    assert [kind for kind in kinds if kind.endswith("compliant")] == ["noncompliant", "compliant"]
    assert await court.rows() == (1, 1)


async def test_a_policy_that_is_switched_off_ends_what_was_told_of_it_and_its_changes_count_at_once(
    court: Court, old: Issued
) -> None:
    await court.policies.prepare(now=NOON)
    await court.hear(looked(old, WHERE, NOON, OLD))
    assert await court.told() == [], "no policy is on"
    rule: dict[str, Any] = {
        "id": "own",
        "title": "x",
        "demand": {"kind": "versions_within", "values": ["TLSv1.3"]},
    }
    await court.own("house", rule)
    loose = {**rule, "demand": {"kind": "versions_within", "values": ["TLSv1.3", "TLSv1"]}}
    court.ledger.now += HOUR
    await court.own("house", loose, is_new=False)
    court.ledger.now += HOUR
    await court.own("house", rule, is_new=False)
    court.ledger.now += HOUR
    await court.switch("house", is_on=False)
    assert await court.told() == [
        "house broken: own",
        "house over: Every place was seen to keep to it.",
        "house broken: own",
        "house over: The policy was switched off.",
    ]
    assert await court.rows() == (1, 0)
    with pytest.raises(Stale):
        await court.policies.replace("house", (await _document(court)), expected=1, caller=ANN, now=NOON)
    with pytest.raises(Invalid, match="comes with Everleaf"):
        await court.policies.replace(STRICT, (await _document(court)), expected=1, caller=ANN, now=NOON)


async def _document(court: Court) -> Any:
    from services.inventory.store.policies import as_policy

    return as_policy(await court.policies.get("house")).document


async def test_what_a_date_changes_is_judged_when_it_comes(court: Court, issue: Issue) -> None:
    issued = issue("shop.test", ends_in=10)
    await court.policies.prepare(now=NOON)
    await court.hear(looked(issued, WHERE, NOON, GOOD))
    day = (NOON + 3 * DAY).date()
    rule = {
        "id": "later",
        "title": "x",
        "demand": {"kind": "groups_include", "values": ["X25519MLKEM768"]},
        "effective_from": day,
    }
    await court.own("house", rule)
    assert await court.verdicts(WHERE) == {"house": "pass"}
    await court.at(NOON + 2 * DAY)
    assert await court.told() == []
    await court.at(NOON + 3 * DAY)
    assert await court.told() == ["house broken: later"]
    assert (await court.of(WHERE)).row.grade == "A"
    await court.at(NOON + 10 * DAY + timedelta(seconds=1))
    assert (await court.of(WHERE)).row.grade == "T"
    assert await court.places(grade="T", pq_key_exchange="none") == [WHERE.address]
    assert (await court.of(WHERE)).row.pq_after == date(2030, 12, 31)


async def test_an_exception_lets_a_failure_pass_until_it_ends(court: Court, issue: Issue) -> None:
    """For a place, a certificate, a group and what a query finds; somebody else fails on."""
    await court.switch(STRICT)
    names = [*(f"{kind}.test" for kind in ScopeKind), "fails.test"]
    issued = {name: issue(name) for name in names}
    where = {name: place(number, name=name) for number, name in enumerate(names)}
    await court.hear(*(looked(issued[name], where[name], NOON, OLD) for name in names))
    async with court.ledger.database.transaction() as tx:
        tx.session.add(GroupRow(id="tills", name="Tills", kind="hand", created_at=NOON, created_by="ann"))
        tx.session.add(GroupMember(group_id="tills", fingerprint=issued["group.test"].fingerprint))
    values = {
        ScopeKind.PLACE: place_id(where["place.test"].key),
        ScopeKind.CERTIFICATE: issued["certificate.test"].fingerprint,
        ScopeKind.GROUP: "tills",
        ScopeKind.QUERY: "name = query.test",
    }
    ends_at = NOON + 5 * DAY
    court.ledger.now = NOON + HOUR
    ids = {kind: await court.let_pass("versions", kind, values[kind], ends_at=ends_at) for kind in ScopeKind}
    for kind in ScopeKind:
        [verdict] = (await court.of(where[f"{kind}.test"])).verdicts
        assert (verdict.verdict, verdict.is_by_exception) == ("pass", True)
        assert ids[kind] in {each.exception_id for each in verdict.rules if each.rule.id == "versions"}
    failing = where["fails.test"].address
    for at in (NOON + HOUR, ends_at - HOUR):
        await court.at(at)
        assert await court.places(policy=STRICT, verdict="fail") == [failing]
    await court.at(ends_at)
    assert len(await court.places(policy=STRICT, verdict="fail")) == len(names)
    told = [text.partition(":")[0].rpartition(" ")[2] for text in await court.told()]
    assert told == ["broken"] * len(names) + ["over"] * len(ids) + ["broken"] * len(ids)


async def test_a_preview_says_what_would_newly_fail_and_keeps_nothing(
    court: Court, old: Issued, issue: Issue
) -> None:
    await court.policies.prepare(now=NOON)
    await court.hear(
        looked(old, WHERE, NOON, OLD),
        looked(issue("b.test"), place(2, name="b.test"), NOON, GOOD),
        looked(issue("c.test"), place(3, name="c.test"), NOON, None),
    )
    found = await court.previews.preview(STRICT, None, now=NOON)
    assert (found.judged, found.is_complete, found.newly_failing, found.newly_passing) == (3, True, 1, 0)
    assert dict(found.results) == {Result.FAIL: 1, Result.PASS: 1, Result.UNKNOWN: 1}
    [(judged, verdict)] = found.examples
    assert found.places[judged.place_id].key == WHERE.key
    assert [each.rule.id for each in verdict.failed] == ["versions"]
    assert await court.rows() == (3, 0)

    await court.switch(STRICT)
    loose = (await _draft(court)).model_copy(
        update={"rules": [each for each in (await _draft(court)).rules if each.id != "versions"]}
    )
    found = await court.previews.preview(STRICT, loose, now=NOON)
    assert (found.newly_failing, found.newly_passing) == (0, 1)
    assert await court.verdicts(WHERE) == {STRICT: "fail"}


async def _draft(court: Court) -> Any:
    from services.inventory.store.policies import as_policy

    return as_policy(await court.policies.get(STRICT)).document


async def test_a_group_by_rule_may_go_by_grades(court: Court, old: Issued) -> None:
    async with court.ledger.database.transaction() as tx:
        row = GroupRow(
            id="weak", name="Weak", kind="rule", rule="grade < A", created_at=NOON, created_by="ann"
        )
        tx.session.add(row)

    async def members() -> list[str]:
        async with court.ledger.database.read() as session:
            return list((await session.scalars(sa.select(col(GroupMember.fingerprint)))).all())

    await court.hear(looked(old, WHERE, NOON, OLD))
    assert await members() == [old.fingerprint]
    await court.hear(looked(old, WHERE, NOON + HOUR, GOOD))
    assert await members() == []


async def test_what_others_find_out_of_a_certificate_feeds_its_letters(court: Court, old: Issued) -> None:
    await court.hear(looked(old, WHERE, NOON, GOOD))

    async def told(**said: bool | None) -> str | None:
        async with court.ledger.database.transaction() as tx:
            await court.ledger.assessing.told(tx, old.fingerprint, now=NOON, **said)
        await court.ledger.work()
        return (await court.of(WHERE)).row.grade

    assert await told(is_trusted=True, is_chain_complete=True, is_public=True) == "A"
    assert await told(is_chain_complete=False) == "B"
    assert await told(is_revoked=True) == "T"
    assert await told(is_revoked=None, is_chain_complete=True) == "A"


async def test_only_what_something_uses_is_judged(court: Court, old: Issued) -> None:
    from tests.inventory.test_comparisons import configured

    await court.switch(STRICT)
    await court.hear(stored(old, "web-1", NOON, held=configured(in_use=False)))
    assert await court.rows() == (0, 0)
    await court.hear(stored(old, "web-1", NOON + HOUR, held=configured()))
    assert await court.rows() == (1, 1)
