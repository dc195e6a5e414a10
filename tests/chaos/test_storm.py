"""Everything that the platform is made of and stands on is struck while certificates are renewed: nothing is lost, nothing is done twice."""

from tests.chaos.run import Storm
from tests.chaos.stage import staged

SEED = 7
SITES, ROUNDS = 6, 4


def test_whatever_is_struck_every_lifecycle_ends_once_and_the_audit_trail_is_whole() -> None:
    with staged(sites=SITES, replicas=2) as stage:
        tally = Storm(stage, seed=SEED).run(lifecycles=SITES * ROUNDS)
    assert tally.wrong == [], tally
    assert tally.lifecycles == SITES * ROUNDS
