"""What becomes of a rollout: the next wave, a pause to watch, a stop, or its end."""

from collections.abc import Mapping
from enum import StrEnum

from services.provisioner.domain import State
from services.provisioner.domain.order import Waves


class RolloutState(StrEnum):
    """Where a rollout is."""

    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    STOPPED = "stopped"
    """Too much has failed: a person resumes or aborts it."""
    FINISHED = "finished"
    ABORTED = "aborted"
    """A person has ended it, or nobody has approved it."""
    SUPERSEDED = "superseded"
    """A newer certificate of the lineage goes out instead."""


ALIVE = (RolloutState.AWAITING_APPROVAL, RolloutState.RUNNING, RolloutState.STOPPED)


class Standing(StrEnum):
    """How a deployment counts for its rollout."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


_DONE = frozenset({State.DEPLOYED, State.SUPERSEDED, State.CANCELLED})
_FAILED = frozenset({State.RESTORED, State.FAILED, State.NEEDS_ATTENTION})


def standing(state: State) -> Standing:
    """Return how a deployment in this state counts.

    One that could not even begin (`waiting`: the target is not reached, say) tells nothing of the certificate: its wave
    waits for it.
    """
    if state in _DONE:
        return Standing.DONE
    return Standing.FAILED if state in _FAILED else Standing.OPEN


Counts = Mapping[State, int]


class Next(StrEnum):
    """What is to be done."""

    GO_ON = "go_on"
    SOAK = "soak"
    """The wave is in place: it is watched for a while."""
    NEXT_WAVE = "next_wave"
    STOP = "stop"
    FINISH = "finish"


def judge(counts: Mapping[int, Counts], *, wave: int, waves: Waves, has_soaked: bool) -> Next:
    """Return what becomes of a rollout whose deployments are in these states, by their waves.

    Failures of all waves that have begun count together. A failure that is given up, below the number that stops it, does
    not keep the next wave waiting; one that is tried again does.
    """
    begun = [counts[each] for each in counts if each <= wave]
    failures = sum(each[state] for each in begun for state in each if standing(state) is Standing.FAILED)
    if failures >= waves.stop_after:
        return Next.STOP
    if any(each[state] for each in begun for state in each if not _is_over(state)):
        return Next.GO_ON
    if all(each <= wave or not any(counts[each].values()) for each in counts):
        return Next.FINISH
    return Next.NEXT_WAVE if has_soaked else Next.SOAK


def _is_over(state: State) -> bool:
    return standing(state) is Standing.DONE or state is State.FAILED
