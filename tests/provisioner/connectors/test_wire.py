from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.provisioner.connectors import wire
from services.provisioner.connectors.wire import Endpoint, Expected, Handshakes, until_served
from services.provisioner.domain import DeploymentError, Failure
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port


class Scripted:
    """Serves one fingerprint after another, and keeps to the last."""

    def __init__(self, *served: str | None, shows: str | None = None) -> None:
        """`shows` is what it shows to who makes no handshake."""
        self.left = list(served)
        self.shows = shows
        self.handshakes = 0

    async def served(self, endpoint: Endpoint) -> str | None:
        self.handshakes += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    async def shown(self, endpoint: Endpoint) -> str | None:
        return self.shows


ANYWHERE = Endpoint(address="192.0.2.1", port=443)
NEW = [Expected(endpoint=ANYWHERE, fingerprint="new")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_PAUSE", 0.001)


async def test_each_name_of_a_real_nginx_is_told_apart(start_nginx: StartNginx):
    nginx = start_nginx("a.test", "b.test")
    for site in nginx.sites:
        endpoint = Endpoint(address="127.0.0.1", port=site.port, server_name=site.server_name)
        assert await Handshakes().served(endpoint) == site.issued.fingerprint
        assert await Handshakes().shown(endpoint) == site.issued.fingerprint


async def test_who_speaks_no_tls_before_13_shows_nothing_without_a_handshake(start_nginx: StartNginx):
    nginx = start_nginx("new.test")
    site = nginx.sites[0]
    nginx.settings = "ssl_protocols TLSv1.3;"
    nginx.stop()
    nginx.start()
    endpoint = Endpoint(address="127.0.0.1", port=site.port, server_name="new.test")
    assert await Handshakes().shown(endpoint) is None
    expected = [Expected(endpoint=endpoint, fingerprint=site.issued.fingerprint)]
    await until_served(Handshakes(), expected, limit=timedelta(seconds=1))


async def test_ipv6_and_no_name_are_served_too(start_nginx: StartNginx):
    site = start_nginx("six.test", address="::1").sites[0]
    assert await Handshakes().served(Endpoint(address="::1", port=site.port)) == site.issued.fingerprint


async def test_where_nobody_listens_nothing_is_served():
    nobody = Endpoint(address="127.0.0.1", port=free_port())
    assert await Handshakes().served(nobody) is None
    assert await Handshakes().shown(nobody) is None


async def test_old_and_new_taking_turns_is_not_yet_new():
    scripted = Scripted("old", "new", "old", "new", "new", "old", "new")
    await until_served(scripted, NEW, limit=timedelta(seconds=1))
    assert scripted.left == ["new"]


async def test_of_three_looks_that_agree_the_last_is_a_handshake():
    scripted = Scripted("new", shows="new")
    await until_served(scripted, NEW, limit=timedelta(seconds=1))
    assert scripted.handshakes == 1


async def test_what_is_shown_without_a_handshake_is_not_believed_against_one():
    with pytest.raises(DeploymentError) as refused:
        await until_served(Scripted("old", shows="new"), NEW, limit=timedelta(milliseconds=20))
    assert refused.value.failure is Failure.STILL_OLD


@pytest.mark.parametrize(("served", "failure"), [("old", Failure.STILL_OLD), (None, Failure.NOT_SERVED)])
async def test_what_does_not_come_is_said_at_the_end(served: str | None, failure: Failure):
    with pytest.raises(DeploymentError, match=r"192\.0\.2\.1:443") as refused:
        await until_served(Scripted(served), NEW, limit=timedelta(milliseconds=20))
    assert refused.value.failure is failure


def test_an_endpoint_is_an_address_not_a_name():
    assert Endpoint(address="2001:DB8:0::1", port=1).address == "2001:db8::1"
    with pytest.raises(ValidationError):
        Endpoint(address="shop.test", port=443)
