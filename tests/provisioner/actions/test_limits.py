from services.provisioner.actions.sending import network_of
from services.provisioner.store import Binding
from shared.store import Database
from tests.provisioner.actions.conftest import BOTH, bound
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import workshop
from tests.servers.tls import Issued


@BOTH
async def test_no_more_targets_of_a_network_are_worked_on_than_are_allowed(
    database: Database, hosts: list[SshHost], new: Issued
):
    async with workshop(database, per_network=2) as shop:
        await bound(shop, hosts)
        await shop.renew(new)
        taken = [await shop.work.claim(now=shop.time()) for _ in range(4)]
        assert [claim is not None for claim in taken] == [True, True, False, False]
        assert taken[0] is not None
        await shop.work.run(taken[0])
        assert await shop.work.claim(now=shop.time()) is not None


def test_a_network_is_a_24_of_ipv4_and_a_64_of_ipv6():
    def of(*addresses: str) -> str | None:
        endpoints = [{"address": address, "port": 443} for address in addresses]
        return network_of(Binding.model_construct(endpoints=endpoints))

    assert of("192.0.2.77", "198.51.100.1") == "192.0.2.0/24"
    assert of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert of() is None
