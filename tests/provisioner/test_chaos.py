"""Whatever dies, and whenever: no end point is left with a mismatched pair, a broken configuration or an unknown state."""

from pathlib import Path

import pytest

from tests.provisioner.chaos.plan import Blow
from tests.provisioner.chaos.run import Chaos
from tests.servers.tls import CertificateAuthority


@pytest.mark.timeout(600)
async def test_provisioner_sshd_and_network_are_killed_at_random_points_and_every_deployment_has_a_good_end(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with Chaos(folder=tmp_path, ca=lab_ca, sites=3, seed=7).staged() as chaos:
        tally = await chaos.run(deployments=12)
    assert tally.wrong == [], str(tally)
    assert tally.ends["verified"] > 5, str(tally)
    assert tally.ends["restored"] > 0, str(tally)
    assert tally.blows[Blow.PROVISIONER] > 1, str(tally)
    for struck in ((Blow.SESSIONS, Blow.SSHD), (Blow.NETWORK, Blow.SILENCE)):
        assert any(tally.blows[blow] for blow in struck), str(tally)
