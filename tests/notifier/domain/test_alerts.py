"""Evidence and observations: neither order nor repetition decides what stands."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.alerts import Details, Evidence, Problem, Replacement, is_over, is_worse, merged
from shared.events.notifier import Severity
from tests.notifier.workshop import NEW, NEXT, NOON, OLD

MINUTES = st.integers(0, 5).map(lambda number: NOON + timedelta(minutes=number))
SEVERITIES = st.sampled_from(list(Severity))


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Return any evidence of one key."""
    return Evidence(
        subject="lineage-1",
        lineage_id="lineage-1",
        problem=draw(st.sampled_from(list(Problem))),
        key="key",
        name=None,
        fingerprint=NEW,
        outgoing=draw(st.sampled_from([OLD, NEW, None])),
        severity=draw(SEVERITIES),
        told_at=draw(MINUTES),
        details=Details(),
    )


def replacement(minutes: int, *, outgoing: str = OLD, subject: str = "lineage-1") -> Replacement:
    """Return an observation."""
    return Replacement(
        subject=subject, outgoing=outgoing, fingerprint=NEXT, observed_at=NOON + timedelta(minutes=minutes)
    )


@given(evidences(), st.integers(0, 5), st.integers(0, 5))
def test_a_later_observation_of_the_same_ends_whatever_an_earlier_one_ends(
    evidence: Evidence, early: int, later: int
) -> None:
    if is_over(evidence, [replacement(early)]):
        assert is_over(evidence, [replacement(max(early, later))])


@given(evidences())
def test_what_is_seen_of_another_lineage_ends_nothing(evidence: Evidence) -> None:
    assert not is_over(evidence, [replacement(9, subject="lineage-2")])


@given(evidences(), evidences())
def test_merging_keeps_the_higher_severity_whichever_came_first(one: Evidence, two: Evidence) -> None:
    forth, back = merged(one, two), merged(two, one)
    assert forth.severity == back.severity
    assert not is_worse(one.severity, forth.severity)
    assert not is_worse(two.severity, forth.severity)
    assert forth.told_at == back.told_at == max(one.told_at, two.told_at)


@given(evidences())
def test_said_twice_is_said_once(evidence: Evidence) -> None:
    assert merged(evidence, evidence) == merged(evidence, None) == evidence
