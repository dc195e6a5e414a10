"""What the inventory does by the clock: thresholds, overdue replacements, groups, edits, what is to be judged, what strangers say."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.inventory.actions.access import Access
from services.inventory.actions.assessing import Assessing
from services.inventory.actions.associating import Associating
from services.inventory.actions.chains import Chains
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.edits import Edits
from services.inventory.actions.first_start import FirstStart
from services.inventory.actions.groups import Groups
from services.inventory.actions.linting import Linting
from services.inventory.actions.regrouping import Regrouping
from services.inventory.actions.replacements import Replacements
from services.inventory.actions.revocations import Revocations
from services.inventory.actions.signing_in import SigningIn
from services.inventory.actions.summaries import Summaries
from services.inventory.actions.unowned import Unowned
from shared.clock import Clock
from shared.service import Worker

LOOK = timedelta(seconds=1)
"""A certificate of an hour has thresholds minutes apart; looking costs one indexed query."""
UPKEEP = timedelta(hours=1)
COUNT = timedelta(minutes=1)
"""Counting what nobody owns costs one look at an index that holds nothing else."""
UNHURRIED = timedelta(seconds=10)
"""What is found out about new certificates may come this much later than they."""


def workers(
    *,
    crossings: Crossings,
    replacements: Replacements,
    associating: Associating,
    access: Access,
    first_start: FirstStart,
    signing_in: SigningIn,
    regrouping: Regrouping,
    groups: Groups,
    edits: Edits,
    unowned: Unowned,
    assessing: Assessing,
    summaries: Summaries,
    clock: Clock,
) -> Sequence[Worker]:
    """Return the workers."""

    async def upkeep(now: datetime) -> bool:
        await first_start.prepare(now)
        await access.forget_tokens(now=now)
        await signing_in.forget(now=now)
        return False

    return (
        Worker("crossings", crossings.cross_due, clock=clock, every=LOOK),
        Worker("replacements", replacements.settle_due, clock=clock, every=LOOK),
        Worker("regrouping", regrouping.tell, clock=clock, every=LOOK),
        Worker("groups", groups.go_through_due, clock=clock, every=LOOK),
        Worker("edits", edits.go_on, clock=clock, every=LOOK),
        Worker("unowned", unowned.look, clock=clock, every=COUNT),
        Worker("associations", associating.associate_due, clock=clock, every=LOOK),
        Worker("authorities", associating.cross_due, clock=clock, every=LOOK),
        Worker("assessing", assessing.judge_due, clock=clock, every=LOOK),
        Worker("policies-off", assessing.lapse, clock=clock, every=LOOK),
        Worker("tallies", summaries.fold, clock=clock, every=LOOK),
        Worker("upkeep", upkeep, clock=clock, every=UPKEEP),
    )


def judges(
    *, chains: Chains, linting: Linting | None, revocations: Revocations | None, clock: Clock
) -> Sequence[Worker]:
    """Return the workers that find out about certificates what ingesting them does not wait for."""
    after: list[Worker] = []
    if linting is not None:
        after.append(Worker("linting", linting.lint_due, clock=clock, every=UNHURRIED))
        after.append(
            Worker("linting-authorities", linting.lint_authorities_due, clock=clock, every=UNHURRIED)
        )
    if revocations is not None:
        after.append(Worker("revocations", revocations.ask_due, clock=clock, every=UNHURRIED))

    async def judge(now: datetime) -> bool:
        is_more = await chains.judge_due(now)
        for worker in after:  # what was judged is what they wait for
            worker.ring()
        return is_more

    return (Worker("chains", judge, clock=clock, every=UNHURRIED), *after)
