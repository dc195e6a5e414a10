"""Proposals: made from what configurations use, accepted with one call."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.provisioner import store
from services.provisioner.actions.proposals import Acceptance, Asked, HostTarget, Proposals
from services.provisioner.connectors.devices import Account
from services.provisioner.connectors.inventory import Inventory
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.proposals import Answering, State, obstacle, plan
from shared.access import Principal
from shared.errors import Conflict, Forbidden, NotFound, Unavailable
from shared.events import Event
from shared.events.discovery import CertificateFound, ConfiguredUse, Held, Listening, Place, PlaceLost
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop

PATH = "/etc/nginx/tls/shop.pem"
KEY = "/etc/nginx/tls/shop.key"
NO_HOST = {"host": None, "port": None, "username": None, "host_key": None}


def use(product: str = "nginx", *, name: str = "shop.test", port: int = 443, **changes: Any) -> ConfiguredUse:
    return ConfiguredUse(
        **{
            "product": product,
            "file": f"/etc/{product}/site.conf",
            "line": 7,
            "listeners": [Listening(port=port)],
            "server_names": [name],
            "key": KEY,
            **changes,
        }
    )


def held(*uses: ConfiguredUse, **changes: Any) -> Held:
    return Held(
        **{
            "format": "pem",
            "owner": "root",
            "mode": 0o644,
            "in_use": bool(uses),
            "uses": list(uses),
            "use_count": len(uses),
            "addresses": ["127.0.0.1", "192.0.2.1"],
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (held(use(), format="der"), "kept as der"),
        (held(use("iis")), "No commands are known"),
        (held(use(), use(key="/etc/other.key")), "different keys"),
        (held(use("postfix", key=None), use("haproxy", key=None)), "the key before"),
        (held(use("apache", chain="/a.pem"), use("apache", chain="/b.pem")), "chain: /a.pem, /b.pem"),
        (held(use(listeners=[Listening(port=22, starttls="ssh")])), "Nothing that is known"),
        (held(use(listeners=[Listening(port=443, address="127.0.0.1")])), "Only the host itself"),
        (held(use(), addresses=[]), "addresses"),
        (held(use(), is_abridged=True), "More uses"),
    ],
)
def test_what_no_target_can_do_says_why(told: Held, why: str) -> None:
    assert why in (obstacle(told, path=PATH, host="web-1") or "")


@pytest.mark.parametrize(
    "told",
    [
        held(use()),
        held(use("haproxy", key=None)),
        held(use("haproxy", key=PATH)),
        held(use("apache", chain=PATH)),
        held(use("postfix", port=465)),
        held(use(listeners=[Listening(port=443, address="192.0.2.7")]), addresses=[]),
        held(use("postfix", key=None)),
        held(use("postfix", listeners=[Listening(port=25, starttls="smtp")])),
        held(use("apache", chain="/etc/chain.pem")),
        held(use("tomcat", key=PATH), format="jks"),
    ],
)
def test_what_files_commands_and_handshakes_can_do_is_ready(told: Held) -> None:
    assert obstacle(told, path=PATH, host="web-1") is None


def test_who_says_what_is_unknown_need_not_be_told_so() -> None:
    told = held(use("iis", listeners=[]))
    assert obstacle(told, path=PATH, host="web-1", has_reload=True, has_endpoints=True) is None
    assert obstacle(told, path=PATH, host="web-1", has_reload=True) is not None
    assert obstacle(told, path=PATH, host="web-1", has_endpoints=True) is not None


def test_a_loopback_listener_is_looked_at_only_where_the_host_is_this_one() -> None:
    both = held(use(listeners=[Listening(port=1, address="127.0.0.1"), Listening(port=2)]))
    assert [each.port for each in plan(both, path=PATH, reached_at="web-1").endpoints] == [2]
    assert [each.port for each in plan(both, path=PATH, reached_at="127.0.0.1").endpoints] == [1, 2]


def test_a_plan_says_where_the_chain_the_key_and_the_entry_are() -> None:
    chained = plan(held(use("apache", chain="/c.pem")), path=PATH, reached_at="web-1")
    assert (chained.chain_path, chained.chain) == ("/c.pem", False)
    mixed = plan(held(use("apache", chain="/c.pem"), use()), path=PATH, reached_at="web-1")
    assert (mixed.chain_path, mixed.chain) == ("/c.pem", True)
    first = plan(held(use("postfix", key=PATH)), path=PATH, reached_at="web-1")
    assert (first.key_path, first.key_first) == (None, True)
    store = plan(held(use("tomcat", key="/k.p12"), format="pkcs12"), path="/k.p12/a%2Fb", reached_at="web-1")
    assert (store.certificate_path, store.alias, store.key_path, store.key_first) == (
        "/k.p12",
        "a/b",
        None,
        False,
    )
    mail = held(use("dovecot", listeners=[Listening(port=143, starttls="imap")]))
    assert [each.starttls for each in plan(mail, path=PATH, reached_at="web-1").endpoints] == ["imap"]


def test_a_plan_has_the_files_the_commands_and_what_proves_it() -> None:
    told = held(
        use(start="/etc/nginx/nginx.conf"),
        use(name="*.shop.test", start="/etc/nginx/nginx.conf"),
        use(
            "haproxy", port=8443, file="/etc/a b;c.cfg", listeners=[Listening(port=8443, address="192.0.2.9")]
        ),
    )
    planned = plan(told, path=PATH, reached_at="web-1.test")
    assert (planned.certificate_path, planned.key_path) == (PATH, KEY)
    assert planned.test_command == "nginx -t && haproxy -c -f '/etc/a b;c.cfg'"
    assert planned.reload_command == "nginx -s reload && systemctl reload haproxy"
    assert planned.endpoints == (
        Answering(address="192.0.2.1", port=443, server_name="shop.test"),
        Answering(address="192.0.2.1", port=443, server_name="www.shop.test"),
        Answering(address="192.0.2.9", port=8443, server_name="shop.test"),
    )
    assert plan(told, path=PATH, reached_at="127.0.0.1").endpoints[0].address == "127.0.0.1"


class Desk:
    """Proposals over the workshop's database, told of what sources find."""

    def __init__(self, shop: Workshop, client: httpx.AsyncClient) -> None:
        self.shop = shop
        self.proposals = Proposals(
            shop.database, targets=shop.targets, bindings=shop.bindings, inventory=Inventory(client)
        )
        self.fingerprint = "f" * 64

    async def hear(
        self,
        told: Held | None,
        *,
        path: str = PATH,
        host: str = "web-1",
        ago: int = 0,
        groups: Sequence[str] = (),
    ) -> None:
        at = self.shop.time() - timedelta(minutes=ago)
        place = Place(kind="store", address=host, path=path)
        async with self.shop.database.transaction() as tx:
            if told is None:
                lost = PlaceLost(place=place, fingerprint=self.fingerprint, observed_at=at, reason="gone")
                await self.proposals.lost(tx, Event.of(lost, source="discovery", now=at))
                return
            found = CertificateFound(
                place=place,
                fingerprint=self.fingerprint,
                chain=[],
                observed_at=at,
                held=told,
                groups=list(groups),
            )
            await self.proposals.seen(tx, Event.of(found, source="discovery", now=at))

    async def states(self, **asked: Any) -> list[tuple[str, str]]:
        rows = await self.proposals.page(Asked(**asked), after=None, limit=10, caller=CALLER)
        return [(each.row.path, each.state) for each in rows]

    async def accept(
        self,
        said: Acceptance = Acceptance(),  # noqa: B008 - frozen
        *,
        caller: Principal = CALLER,
    ) -> store.Binding:
        one = (await self.proposals.page(Asked(), after=None, limit=10, caller=CALLER))[0]
        return await self.proposals.accept(one.row.id, said, caller=caller, now=self.shop.time())


@pytest.fixture
async def desk(shop: Workshop) -> AsyncIterator[Desk]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("0" * 64):
            return httpx.Response(404, json={"detail": "none"})
        if request.url.path.endswith("1" * 64):
            return httpx.Response(503)
        return httpx.Response(200, json={"lineage_id": "lineage-9"})

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="http://inventory"
    ) as client:
        yield Desk(shop, client)


async def test_a_file_is_one_proposal_however_often_it_is_told(desk: Desk) -> None:
    await desk.hear(held(use()))
    await desk.hear(held(use()))
    await desk.hear(held(use(port=8443)), ago=5)
    [one] = await desk.proposals.page(Asked(), after=None, limit=10, caller=CALLER)
    assert (one.row.host, one.state, one.held.uses) == ("web-1", "open", [use()])


async def test_what_nothing_uses_is_none_and_what_is_used_no_more_is_gone(desk: Desk) -> None:
    await desk.hear(held(), path="/etc/unused.pem")
    await desk.hear(held(use()), ago=3)
    await desk.hear(held(), ago=2)
    assert await desk.states() == [(PATH, "gone")]
    await desk.hear(held(use()), ago=1)
    assert await desk.states() == [(PATH, "open")]
    await desk.hear(None)
    assert await desk.states(state="gone") == [(PATH, "gone")]
    with pytest.raises(Conflict, match="No configuration"):
        await desk.accept()


async def test_they_are_found_by_host_product_certificate_and_whether_they_are_ready(desk: Desk) -> None:
    await desk.hear(held(use(), use("stunnel", port=8443)))
    await desk.hear(held(use("iis")), host="web-2", path="/etc/t.pem")
    mine, other = [(PATH, "open")], [("/etc/t.pem", "open")]
    assert await desk.states(host="web-1") == await desk.states(product="stunnel") == mine
    assert await desk.states(product="iis") == await desk.states(is_ready=False) == other
    assert await desk.states(fingerprint="e" * 64) == []
    assert await desk.states(product="stun") == []


async def test_one_call_makes_the_binding_with_all_that_is_needed(desk: Desk, host: SshHost) -> None:
    await desk.hear(held(use()), host=host.host)
    await _target(desk, host, kind="files")
    binding = await desk.accept()
    assert binding.lineage_id == "lineage-9"
    assert binding.slot == {
        "certificate_path": PATH,
        "key_path": KEY,
        "test_command": "nginx -t",
        "reload_command": "nginx -s reload",
    }
    served_at = {"address": "127.0.0.1", "port": 443, "server_name": "shop.test", "starttls": None}
    assert binding.endpoints == [served_at]
    assert await desk.states(state="bound", lineage_id="lineage-9") == [(PATH, "bound")]
    with pytest.raises(Conflict, match="belongs to the lineage"):
        await desk.accept()
    await desk.shop.bindings.delete(binding.id, caller=CALLER, now=desk.shop.time())
    assert await desk.states() == [(PATH, "open")]


async def test_a_target_of_the_product_knows_its_commands_and_words_of_the_call_come_first(
    desk: Desk, host: SshHost
) -> None:
    await desk.hear(held(use()), host=host.host)
    await _target(desk, host, kind="files", name="any")
    nginx = await _target(desk, host, kind="nginx", name="nginx")
    said = Acceptance(
        lineage_id="mine",
        reload_command="sv hup nginx",
        endpoints=[Endpoint(address="192.0.2.8", port=8443)],
        deploy_now=False,
    )
    binding = await desk.accept(said)
    assert (binding.target_id, binding.lineage_id) == (nginx.id, "mine")
    assert binding.slot == {"certificate_path": PATH, "key_path": KEY, "reload_command": "sv hup nginx"}
    assert binding.endpoints == [
        {"address": "192.0.2.8", "port": 8443, "server_name": None, "starttls": None}
    ]


async def test_a_host_does_not_choose_the_target_of_another(desk: Desk, host: SshHost) -> None:
    await desk.hear(held(use(), addresses=[host.host]), host="web-1")
    target = await _target(desk, host, kind="files")
    with pytest.raises(Conflict, match="There is no target for web-1"):
        await desk.accept()
    assert (await desk.accept(Acceptance(target_id=target.id))).target_id == target.id
    assert await desk.states() == [(PATH, "bound")]


async def test_what_cannot_be_done_is_not_accepted(desk: Desk, host: SshHost) -> None:
    await desk.hear(held(use("iis")), host=host.host)
    await _target(desk, host, kind="files")
    with pytest.raises(Conflict, match="No commands"):
        await desk.accept()
    assert (await desk.accept(Acceptance(reload_command="reload"))).slot["reload_command"] == "reload"


async def test_a_chain_file_of_another_certificate_too_is_left_alone(desk: Desk, host: SshHost) -> None:
    await desk.hear(held(use("apache", chain="/c.pem")), host=host.host, path="/other.pem")
    await desk.hear(held(use("apache", chain="/c.pem")), host=host.host)
    await _target(desk, host, kind="files")
    unready = await desk.proposals.page(Asked(is_ready=False), after=None, limit=10, caller=CALLER)
    assert {one.row.obstacle for one in unready} == {
        "/c.pem is the chain of /other.pem too.",
        f"/c.pem is the chain of {PATH} too.",
    }
    with pytest.raises(Conflict, match=r"/c\.pem is the chain of /other\.pem too"):
        await desk.accept()
    await desk.hear(None, host=host.host, path="/other.pem")
    [one] = await desk.proposals.page(
        Asked(state=State.OPEN, is_ready=True), after=None, limit=10, caller=CALLER
    )
    binding = await desk.proposals.accept(one.row.id, Acceptance(), caller=CALLER, now=desk.shop.time())
    assert (binding.slot["chain_path"], binding.slot["chain"]) == ("/c.pem", False)


async def test_the_target_is_made_known_with_the_same_call(desk: Desk, host: SshHost) -> None:
    await desk.hear(held(use(), addresses=["192.0.2.1"]), host="web-1")
    known = await _target(desk, host, kind="files", name="other")
    given = HostTarget(username="root", host_key=host.host_key, credential_of=known.id)
    reader = Principal(id="r", name="R", permissions=frozenset({"bindings:write"}))
    with pytest.raises(Forbidden, match="targets:write"):
        await desk.accept(Acceptance(target=given), caller=reader)
    binding = await desk.accept(Acceptance(target=given))
    made = await desk.shop.targets.get(binding.target_id, caller=CALLER)
    assert (made.name, made.host, made.kind, made.username) == ("web-1", "web-1", "files", "root")
    async with desk.shop.database.transaction() as tx:
        taken = await desk.shop.targets.credential_of(tx, made.id, caller=CALLER)
    async with desk.shop.database.transaction() as tx:
        assert taken == await desk.shop.targets.credential_of(tx, known.id, caller=CALLER)


@pytest.mark.parametrize(("fingerprint", "error"), [("0" * 64, NotFound), ("1" * 64, Unavailable)])
async def test_a_lineage_that_inventory_does_not_say_must_be_named(
    desk: Desk, host: SshHost, fingerprint: str, error: type[Exception]
) -> None:
    desk.fingerprint = fingerprint
    await desk.hear(held(use()), host=host.host)
    await _target(desk, host, kind="files")
    with pytest.raises(error):
        await desk.accept()
    assert (await desk.accept(Acceptance(lineage_id="mine"))).lineage_id == "mine"


async def _target(desk: Desk, host: SshHost, *, kind: str, name: str = "web-1") -> store.Target:
    return await desk.shop.target(
        name,
        kind=kind,
        host=host.host,
        port=host.port,
        username=host.username,
        host_key=host.host_key,
        credential={"private_key": host.client_key},
    )


async def test_whose_certificate_it_is_is_told_only_to_who_sees_the_lineage(desk: Desk) -> None:
    ada = Principal(id="ada", name="Ada", groups=frozenset({"web"}))
    await desk.hear(held(use()), groups=["web"])
    [one] = await desk.proposals.page(Asked(), after=None, limit=10, caller=ada)
    with pytest.raises(NotFound, match="does not know the certificate") as raised:
        await desk.proposals.accept(one.row.id, Acceptance(), caller=ada, now=desk.shop.time())
    assert "lineage-9" not in str(raised.value)
    async with desk.shop.database.transaction() as tx:
        await store.LINEAGES.tell(tx, "web", joined=["lineage-9"], at=desk.shop.time())
    with pytest.raises(Conflict, match="no target for web-1"):
        await desk.proposals.accept(one.row.id, Acceptance(), caller=ada, now=desk.shop.time())


async def test_a_slot_of_a_device_is_bound_to_the_target_whose_api_is_there(desk: Desk) -> None:
    at = Listening(port=443, address="192.0.2.10")
    used = ConfiguredUse(product="f5-bigip", file="/Common/vs via /Common/shop-clientssl", listeners=[at])
    await desk.hear(held(used, format="bigip", addresses=[]), path="/Common/shop.crt", host="lb-1.test")
    with pytest.raises(Conflict, match="f5-bigip for lb-1"):
        await desk.accept()
    account = Account.model_validate({"username": "everleaf", "password": "p"})
    for host in ("lb-2.test", "lb-1.test"):
        options = {"url": f"https://{host}"}
        await desk.shop.target(host, kind="f5-bigip", options=options, credential=account, **NO_HOST)
    binding = await desk.accept()
    target = await desk.shop.targets.get(binding.target_id, caller=CALLER)
    assert (target.name, binding.slot) == ("lb-1.test", {"profile": "/Common/shop-clientssl"})
    assert [(each["address"], each["port"]) for each in binding.endpoints] == [("192.0.2.10", 443)]
    assert await desk.states() == [("/Common/shop.crt", State.BOUND)]
