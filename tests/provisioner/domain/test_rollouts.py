from collections.abc import Mapping

import pytest

from services.provisioner.domain import State
from services.provisioner.domain.order import Waves
from services.provisioner.domain.rollouts import Counts, Next, judge

DONE, FAILED = {State.DEPLOYED: 2}, {State.RESTORED: 1, State.DEPLOYED: 1}
REST = {State.WAITING: 5}


@pytest.mark.parametrize(
    ("counts", "wave", "has_soaked", "next_one"),
    [
        pytest.param({0: {State.RUNNING: 1}, 2: REST}, 0, False, Next.GO_ON, id="it is at work"),
        pytest.param({0: {State.WATCHING: 1}, 2: REST}, 0, True, Next.GO_ON, id="it is watched"),
        pytest.param({0: {State.WAITING: 1}, 2: REST}, 0, False, Next.GO_ON, id="it could not begin"),
        pytest.param({0: DONE, 2: REST}, 0, False, Next.SOAK, id="it is in place"),
        pytest.param({0: DONE, 2: REST}, 0, True, Next.NEXT_WAVE, id="it has stayed in place"),
        pytest.param({0: FAILED, 2: REST}, 0, True, Next.STOP, id="a canary was put back"),
        pytest.param({0: {State.NEEDS_ATTENTION: 1}, 2: REST}, 0, True, Next.STOP, id="a person is needed"),
        pytest.param({0: {State.FAILED: 1}, 2: REST}, 0, True, Next.STOP, id="it was given up"),
        pytest.param({0: DONE, 2: DONE}, 2, False, Next.FINISH, id="all are in place"),
        pytest.param({0: DONE, 2: {State.SUPERSEDED: 1}}, 2, False, Next.FINISH, id="the rest is superseded"),
        pytest.param({0: DONE, 1: {}}, 0, False, Next.FINISH, id="there is no other wave"),
        pytest.param({0: {State.CANCELLED: 1}, 2: REST}, 0, True, Next.NEXT_WAVE, id="it was taken back"),
        pytest.param({0: DONE, 2: FAILED}, 2, False, Next.STOP, id="one of the rest was put back"),
        pytest.param({0: DONE, 2: FAILED}, 1, True, Next.NEXT_WAVE, id="what has not begun does not count"),
    ],
)
def test_a_rollout_goes_on_by_what_its_waves_show(
    counts: Mapping[int, Counts], wave: int, has_soaked: bool, next_one: Next
):
    assert judge(counts, wave=wave, waves=Waves(), has_soaked=has_soaked) is next_one


@pytest.mark.parametrize(
    ("second", "next_one"),
    [
        pytest.param({State.RESTORED: 1}, Next.GO_ON, id="is tried again"),
        pytest.param({State.FAILED: 1}, Next.NEXT_WAVE, id="was given up"),
        pytest.param({State.RESTORED: 2}, Next.STOP, id="is not the only one"),
    ],
)
def test_with_more_than_one_failure_allowed_the_first(second: Counts, next_one: Next):
    found = judge({0: DONE, 1: second, 2: REST}, wave=1, waves=Waves(stop_after=2), has_soaked=True)
    assert found is next_one
