"""Everything that the platform is made of and stands on is struck while certificates are renewed: nothing is lost, nothing is done twice."""

import pytest

from tests.chaos.run import PATIENCE, Storm
from tests.chaos.stage import staged

SEED = 7
SITES, ROUNDS = 6, 4


@pytest.mark.timeout(2 * PATIENCE)  # so that what is stuck is told of by name before
def test_whatever_is_struck_every_lifecycle_ends_once_and_the_audit_trail_is_whole() -> None:
    with staged(sites=SITES, replicas=2) as stage:
        tally = Storm(stage, seed=SEED).run(lifecycles=SITES * ROUNDS)
    assert tally.wrong == [], tally
    assert tally.lifecycles == SITES * ROUNDS
