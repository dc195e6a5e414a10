from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain import certificates, credentials
from services.inventory.domain.servings import Serving, observe
from services.inventory.domain.thresholds import Limit, crossings
from services.inventory.settings import InventorySettings
from shared.errors import Invalid
from shared.events.inventory import Urgency
from tests.inventory.ledger import DAY, HOUR, NOON

LIFETIMES = st.timedeltas(min_value=HOUR, max_value=825 * DAY)
LIMITS = st.dictionaries(
    st.sampled_from([urgency for urgency in Urgency if urgency is not Urgency.EXPIRED]),
    st.one_of(
        st.floats(0.001, 0.999).map(lambda share: Limit(share=share)),
        st.timedeltas(min_value=HOUR, max_value=900 * DAY).map(lambda span: Limit(span=span)),
    ),
)


def remaining(lifetime: timedelta, **limits: Limit) -> dict[str, timedelta]:
    given_limits = {Urgency(name): limit for name, limit in limits.items()}
    # The last second is part of the lifetime.
    ends = NOON + lifetime - timedelta(seconds=1)
    found = crossings(not_before=NOON, not_after=ends, limits=given_limits)
    return {crossing.urgency.value: ends - crossing.at for crossing in found}


@given(lifetime=LIFETIMES, limits=LIMITS)
def test_thresholds_are_in_strict_order_and_none_is_crossed_at_birth(
    lifetime: timedelta, limits: dict[Urgency, Limit]
) -> None:
    found = crossings(not_before=NOON, not_after=NOON + lifetime, limits=limits)
    instants = [NOON, *(crossing.at for crossing in found)]
    assert all(earlier < later for earlier, later in pairwise(instants))
    assert [crossing.urgency for crossing in found] == list(Urgency)
    assert instants[-1] == NOON + lifetime


@given(lifetime=LIFETIMES, span=st.timedeltas(min_value=HOUR, max_value=900 * DAY))
def test_a_span_never_begins_earlier_than_the_usual_share(lifetime: timedelta, span: timedelta) -> None:
    usual = remaining(lifetime)
    given_span = remaining(lifetime, warning=Limit(span=span))
    assert given_span["warning"] <= min(span, usual["warning"])


@pytest.mark.parametrize(
    ("lifetime", "renew", "warning", "error", "critical"),
    [
        (398 * DAY, 132.7, 99.5, 59.7, 27.9),
        (90 * DAY, 30, 22.5, 13.5, 6.3),
        (47 * DAY, 15.7, 11.8, 7.0, 3.3),
        (160 * HOUR, 80 / 24, 64 / 24, 40 / 24, 20 / 24),
        (24 * HOUR, 12 / 24, 9.6 / 24, 6 / 24, 3 / 24),
    ],
)
def test_remaining_life_follows_the_table(
    lifetime: timedelta, renew: float, warning: float, error: float, critical: float
) -> None:
    found = [left / DAY for left in remaining(lifetime).values()]
    assert found == pytest.approx([renew, warning, error, critical, 0], abs=0.06)


def test_a_certificate_of_ten_days_is_not_short_lived() -> None:
    assert remaining(10 * DAY)["renew"] / DAY == pytest.approx(10 / 3, abs=0.01)
    assert remaining(10 * DAY - timedelta(seconds=1))["renew"] / DAY == pytest.approx(5, abs=0.01)


def test_a_certificate_that_ends_before_it_begins_only_expires() -> None:
    [only] = crossings(not_before=NOON, not_after=NOON - DAY, limits={})
    assert only.urgency is Urgency.EXPIRED


def test_a_certificate_without_a_well_defined_end_has_thresholds_all_the_same() -> None:
    for_ever = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert len(crossings(not_before=NOON, not_after=for_ever, limits={})) == len(Urgency)


def test_thresholds_are_read_from_settings() -> None:
    limits = InventorySettings.model_validate({"thresholds": "renew=50%, warning=30d,critical=36h"}).limits()
    assert limits == {
        Urgency.RENEW: Limit(share=0.5),
        Urgency.WARNING: Limit(span=30 * DAY),
        Urgency.CRITICAL: Limit(span=36 * HOUR),
    }


@pytest.mark.parametrize("text", ["soon=3d", "expired=3d", "renew", "renew=30", "renew=100%", "renew=0%", "renew=-3d", "renew=3d,renew=4d"])  # fmt: skip
def test_a_threshold_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        InventorySettings.model_validate({"thresholds": text})


def served(observations: list[tuple[int, str | None]]) -> tuple[Serving, ...]:
    history: tuple[Serving, ...] = ()
    for hour, fingerprint in observations:
        at = NOON + hour * HOUR
        began = [index for index, serving in enumerate(history) if serving.since <= at]
        first = began[-1] if began else 0
        end = len(began) + 1
        window = history[first:end]
        history = (*history[:first], *observe(window, fingerprint=fingerprint, at=at), *history[end:])
    return history


SEEN = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["a", "b", "c", None])),
    min_size=1,
    unique_by=lambda seen: seen[0],
)


@given(seen=SEEN.flatmap(lambda seen: st.tuples(st.just(seen), st.permutations(seen))))
def test_the_latest_observation_wins_in_whatever_order_they_arrive(
    seen: tuple[list[tuple[int, str | None]], list[tuple[int, str | None]]],
) -> None:
    history = served(seen[1])
    hour, fingerprint = max(seen[0])
    assert history[-1].fingerprint == fingerprint
    assert history[-1].last_seen == NOON + hour * HOUR
    assert history[-1].until is None


@given(seen=SEEN)
def test_a_history_has_no_gap_and_no_overlap(seen: list[tuple[int, str | None]]) -> None:
    history = served(seen)
    for one, following in pairwise(history):
        assert one.until == following.since
        assert one.since <= one.last_seen < following.since
        assert one.fingerprint != following.fingerprint


@given(seen=SEEN)
def test_observations_in_order_are_told_exactly_as_they_were(seen: list[tuple[int, str | None]]) -> None:
    history = served(sorted(seen))
    for hour, fingerprint in seen:
        at = NOON + hour * HOUR
        [serving] = [s for s in history if s.since <= at and (s.until is None or at < s.until)]
        assert serving.fingerprint == fingerprint


@given(st.binary(min_size=20, max_size=20))
def test_a_mistyped_api_key_is_seen_without_looking_it_up(random: bytes) -> None:
    key = credentials.api_key(random)
    assert credentials.is_api_key(key)
    changed = key[:10] + ("0" if key[10] != "0" else "1") + key[11:]
    assert not credentials.is_api_key(changed)
    assert not credentials.is_api_key(key[:-1])


@given(st.text())
def test_text_that_is_no_api_key_is_told_apart(text: str) -> None:
    assert not credentials.is_api_key(text)
    assert len(credentials.digest(text)) == 64


def test_unknown_rights_are_refused_with_their_place() -> None:
    with pytest.raises(Invalid) as refused:
        credentials.check_rights(
            kind=credentials.Kind.PERSON, roles=["king"], permissions=["keys:release", "scans"]
        )
    assert [fault.pointer for fault in refused.value.faults] == [
        "/body/roles/0",
        "/body/permissions/0",
        "/body/permissions/1",
    ]


@given(st.binary(max_size=300))
def test_no_bytes_stop_the_reading(der: bytes) -> None:
    reading = certificates.read("f" * 64, der)
    assert reading.fingerprint == "f" * 64
    assert reading.oddities
    assert reading.finding
    assert "\x00" not in reading.finding


@pytest.mark.parametrize("permission", ["approvals:approve", "approvals:override"])
def test_machines_approve_by_role_only_and_override_never(permission: str):
    machine, person = credentials.Kind.MACHINE, credentials.Kind.PERSON
    credentials.check_rights(kind=person, roles=[], permissions=[permission])
    credentials.check_rights(kind=machine, roles=["approver"], permissions=[])
    with pytest.raises(Invalid, match="is for people"):
        credentials.check_rights(kind=machine, roles=[], permissions=[permission])
