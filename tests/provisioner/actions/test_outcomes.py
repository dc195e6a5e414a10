from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.provisioner.store.audited import AUDITED
from shared.events.audit import ChangeRecorded
from shared.store import Auditing, Database
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import Workshop
from tests.servers.stores import Stores
from tests.servers.tls import Issued


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database of each kind, whose changes are recorded."""
    auditing = Auditing(tables=AUDITED, clock=lambda: datetime.now(UTC))
    with stores.copy("provisioner", request.param, tmp_path) as url:
        opened = Database(url, source="provisioner", auditing=auditing)
        yield opened
        await opened.close()


async def test_that_a_certificate_is_in_place_is_in_the_audit_trail(
    shop: Workshop, host: SshHost, new: Issued
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)], lineage="shop")
    await shop.renew(new, lineage="shop")
    await shop.work_off()
    row, _ = await shop.only()
    [told] = [each for each in await shop.events(ChangeRecorded) if each.action == "deployment.changed"]
    assert (told.object_id, told.lineage_id, told.actor_id) == (row.id, "shop", "provisioner")
    assert told.before is not None
    assert told.after is not None
    assert (told.before["state"], told.after["state"]) == ("running", "deployed")
    assert (told.before["phase"], told.after["phase"]) == ("binding", "tidying")
    assert "sealed_key" not in told.after
