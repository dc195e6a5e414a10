"""The figures of a dashboard, on either database: counted on one, kept on the other."""

from services.inventory.domain.replacements import State
from services.inventory.store.summaries import Window
from shared.events import Event
from shared.events.inventory import Flaw, Urgency
from shared.events.renewal import LineageEnrolled
from tests.inventory.assessment.court import GOOD, STRICT, Court, looked
from tests.inventory.conftest import Issue
from tests.inventory.ledger import HOUR, NOON, Ledger, found, lost, place, stored
from tests.inventory.office import Office
from tests.inventory.test_holdings import held


async def test_a_summary_tells_what_ends_soon_and_is_renewed_by_nothing(ledger: Ledger, issue: Issue) -> None:
    ends_in = (-1, 5, 7, 20, 200)
    made = [issue(f"{days}.test", since=20, ends_in=days) for days in ends_in]
    await ledger.hear(*(found(each, place(at + 1), NOON) for at, each in enumerate(made)))
    lineage = (await ledger.row(made[1])).lineage_id
    enrolled = LineageEnrolled(lineage_id=lineage, profile="web", enrolled_at=NOON)
    await ledger.hear(Event.of(enrolled, source="renewal", now=NOON))
    told = await ledger.summary()
    assert told.windows == [
        Window(days=7, certificates=2, by_hand=1),
        Window(days=30, certificates=3, by_hand=2),
        Window(days=90, certificates=3, by_hand=2),
    ]
    assert (told.certificates, told.current, told.managed, told.unowned) == (5, 5, 1, 5)
    assert told.by_urgency[Urgency.EXPIRED] == 1


async def test_a_summary_is_of_what_the_caller_may_see(ledger: Ledger, issue: Issue) -> None:
    mine, other, office, court = issue("mine.test"), issue("other.test"), Office(ledger), Court(ledger)
    await office.group("mine", "name = mine.test")
    await office.group("both", "seen")
    await court.switch(STRICT)
    await court.hear(
        looked(mine, place(1), NOON, GOOD),
        found(other, place(2), NOON),
        lost(other, place(2), NOON + HOUR),
        stored(mine, "web-1", NOON, held=held(is_exposed=True)),
        found(other, place(3), NOON),
    )
    seen = await ledger.summaries.summary(scope=frozenset({"mine"}), now=NOON)
    assert (seen.certificates, seen.places, seen.places_lost) == (1, 2, 0)
    assert seen.flaws == {Flaw.KEY_EXPOSED: 1}
    assert (sum(seen.grades.values()), sum(seen.verdicts[STRICT].values())) == (2, 2)
    for scope in (None, frozenset({"both"}), frozenset({"mine", "both"})):
        every = await ledger.summaries.summary(scope=scope, now=NOON)
        assert (every.certificates, every.places, every.places_lost) == (2, 4, 1)
        assert sum(every.verdicts[STRICT].values()) == 3
    nothing = await ledger.summaries.summary(scope=frozenset({"gone"}), now=NOON)
    assert (nothing.certificates, nothing.places, nothing.verdicts) == (0, 0, {})
    assert nothing.replacements == dict.fromkeys(State, 0)
