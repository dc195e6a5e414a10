"""Who may give which rights to whom, and how soon that is in force in another service."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa

from services.inventory.actions.principals import NewPrincipal, Principals
from services.inventory.domain.credentials import Kind
from services.inventory.domain.rights import Rights, check_covers, is_in_scope
from services.inventory.events import EMITS
from services.inventory.service import NAME, build
from services.inventory.store.tables import PrincipalRow
from services.notifier import service as notifier
from shared.access import Principal, PublishedKeys, Verifier
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.errors import Conflict, Forbidden, NotFound, Stale
from shared.events import Event
from shared.events.inventory import AccessChanged, Change
from shared.service import Service, Surroundings
from shared.store import Database
from shared.store.plumbing import OUTBOX
from shared.void_tokens import VoidTokens
from tests.builders import ISSUER, surroundings

ADMIN = Principal(id="1", name="ada", roles=frozenset({"admin"}))
WEB_ADMIN = replace(ADMIN, name="bob", groups=frozenset({"web", "shop"}))
CLERK = Principal(id="3", name="cleo", permissions=frozenset({"principals:admin", "scans:write"}))


def rights(*roles: str, permissions: Any = (), groups: Any = (), kind: Kind = Kind.MACHINE) -> Rights:
    return Rights(kind=kind, roles=roles, permissions=permissions, groups=groups)


@pytest.mark.parametrize(
    ("giver", "given"),
    [
        (ADMIN, rights("admin")),
        (ADMIN, rights("operator", "approver", permissions=["scans:write"], groups=["mail"])),
        (ADMIN, rights(permissions=["keys:release", "requests:bring"], kind=Kind.SERVICE)),
        (WEB_ADMIN, rights("admin", groups=["web"])),
        (CLERK, rights(permissions=["scans:write"])),
        (CLERK, rights()),
    ],
)
def test_rights_are_given_by_who_has_them(giver: Principal, given: Rights):
    check_covers(giver, given)


@pytest.mark.parametrize(
    ("giver", "given", "lacking"),
    [
        (WEB_ADMIN, rights("viewer"), "everything instead of groups"),
        (WEB_ADMIN, rights("viewer", groups=["web", "mail"]), "the group mail"),
        (WEB_ADMIN, rights(permissions=["keys:release"], groups=["web"], kind=Kind.SERVICE), "keys:release"),
        (ADMIN, rights(permissions=["keys:release"]), "keys:release"),
        (ADMIN, rights(permissions=["requests:bring"]), "requests:bring"),
        (CLERK, rights("viewer"), "the role viewer"),
        (CLERK, rights(permissions=["orders:write"]), "the permission orders:write"),
    ],
)
def test_nobody_gives_what_they_do_not_have(giver: Principal, given: Rights, lacking: str):
    with pytest.raises(Forbidden, match=lacking):
        check_covers(giver, given)


def test_a_principal_is_administered_by_who_has_all_its_groups():
    assert is_in_scope(ADMIN, [])
    assert is_in_scope(WEB_ADMIN, ["web"])
    assert not is_in_scope(WEB_ADMIN, ["web", "mail"])
    assert not is_in_scope(WEB_ADMIN, [])


class Platform:
    """Inventory, and the notifier that verifies its tokens, with a bus between them."""

    def __init__(self, around: Surroundings, inventory: Service, notifier: Service) -> None:
        self.inventory, self.notifier = inventory, notifier
        self._clients = {each.name: _client(each) for each in (inventory, notifier)}
        self.admin = (around.data_dir / "admin.token").read_text().strip()

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", of: str = NAME, **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {token or self.admin}", **headers}
        return await self._clients[of].request(method, f"/v1/{path}", json=body, headers=sent)

    async def make(self, name: str, token: str = "", **rights: Any) -> dict[str, Any]:
        made = await self.ask("POST", "principals", {"name": name, "kind": "machine", **rights}, token=token)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def key(self, principal_id: str) -> dict[str, Any]:
        made = await self.ask("POST", f"principals/{principal_id}/api-keys", {"days": 1})
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def token(self, key: str) -> str:
        answer = await self.ask("POST", "tokens", {}, token=key)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def alerts(self, token: str) -> int:
        return (await self.ask("GET", "alerts", token=token, of="notifier")).status_code


def _client(service: Service) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{service.name}")


@pytest.fixture
async def platform(
    tmp_path_factory: pytest.TempPathFactory, database: Database, database_url: str
) -> AsyncIterator[Platform]:
    """Both services: the inventory on either kind of database."""
    folder = tmp_path_factory.mktemp("platform")
    bus = SqliteBus(folder / "bus.db")
    services: list[Service] = []

    async def published() -> Any:
        return (await _client(services[0]).get("/v1/jwks.json")).json()

    around = replace(
        surroundings(folder, environ={"EVERLEAF_INVENTORY_DATABASE_URL": database_url}, bus=bus),
        verifier=Verifier(PublishedKeys(published), issuer=ISSUER),
    )
    mine = Database(f"sqlite:///{folder}/notifier.db", source="notifier")
    await notifier.SCHEMA.upgrade(mine)
    await mine.close()
    async with build(around) as inventory, notifier.build(around) as other:
        services += [inventory, other]
        await bus.declare([queue for service in services for queue in service.queues])
        yield Platform(around, inventory, other)
    await bus.close()


async def test_a_change_of_rights_is_in_force_in_another_service_as_soon_as_the_event_has_come(
    platform: Platform,
):
    made = await platform.make("ci", roles=["viewer"])
    key = (await platform.key(made["id"]))["key"]
    before = await platform.token(key)
    assert await platform.alerts(before) == 200
    async with anyio.create_task_group() as tasks:
        for job in [*platform.inventory.jobs, *platform.notifier.jobs]:
            tasks.start_soon(job)
        assert (
            await platform.ask("PUT", f"principals/{made['id']}/rights", {"roles": []})
        ).status_code == 422
        body = {"roles": ["auditor"], "permissions": [], "groups": ["web"]}
        stale = await platform.ask("PUT", f"principals/{made['id']}/rights", body, **{"If-Match": '"7"'})
        assert stale.status_code == 412
        answer = await platform.ask("PUT", f"principals/{made['id']}/rights", body)
        assert (answer.status_code, answer.json()["groups"], answer.headers["ETag"]) == (200, ["web"], '"2"')
        # Here at once, and there long before the token ends.
        refused = await platform.ask("GET", "certificates", token=before)
        assert (refused.status_code, "has changed since" in refused.text) == (401, True)
        with anyio.fail_after(60):
            while await platform.alerts(before) != 401:
                await anyio.sleep(0.02)
        assert await platform.alerts(await platform.token(key)) == 200
        tasks.cancel_scope.cancel()
    assert AccessChanged in EMITS


async def test_a_revoked_key_and_a_disabled_principal_end_their_tokens(platform: Platform):
    made = await platform.make("ci", roles=["viewer"])
    first, second = await platform.key(made["id"]), await platform.key(made["id"])
    tokens = [await platform.token(each["key"]) for each in (first, second)]
    assert (await platform.ask("DELETE", f"api-keys/{first['id']}")).status_code == 204
    for token in tokens:
        assert (await platform.ask("GET", "certificates", token=token)).status_code == 401
    third = await platform.token(second["key"])
    disabled = (await platform.ask("POST", f"principals/{made['id']}/disable")).json()
    assert disabled["disabled_at"]
    assert (await platform.ask("GET", "certificates", token=third)).status_code == 401
    assert "was disabled" in (await platform.ask("POST", "tokens", {}, token=second["key"])).text
    assert (await platform.ask("POST", f"principals/{made['id']}/enable")).json()["disabled_at"] is None
    fourth = await platform.token(second["key"])
    assert (await platform.ask("GET", "certificates", token=fourth)).status_code == 200
    async with platform.inventory.database.read() as session:
        rows = (await session.execute(sa.select(OUTBOX.c.type, OUTBOX.c.body).order_by(OUTBOX.c.id))).all()
    bodies = [row.body for row in rows]
    told = [Event.parse(row.body, AccessChanged).data for row in rows if row.type == AccessChanged.type]
    assert [each.change for each in told] == [Change.KEY_REVOKED, Change.DISABLED, Change.ENABLED]
    assert all(abs(each.void_until - utc_now()) < timedelta(minutes=1) for each in told)
    assert first["key"].encode() not in b"".join(bodies)


async def test_who_did_something_is_known_by_name_to_whom_it_may_concern_and_listed_for_auditors_only(
    platform: Platform,
):
    ids = {
        name: (await platform.make(name, roles=["viewer"], groups=groups))["id"]
        for name, groups in {"ada": [], "ben": ["web", "mail"], "cleo": ["shop"]}.items()
    }

    async def token(name: str, **rights: Any) -> str:
        return await platform.token((await platform.key((await platform.make(name, **rights))["id"]))["key"])

    async def names(path: str, token: str = "") -> list[str]:
        answer = await platform.ask("GET", f"principal-names{path}", token=token)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["items"]]

    asked = "?" + "&".join(f"id={each}" for each in (*ids.values(), "nobody"))
    of_web = await token("dan", roles=["viewer"], groups=["web"])
    assert await names(asked) == ["ada", "ben", "cleo"]
    assert await names(asked, of_web) == ["ada", "ben"]
    assert (await platform.ask("GET", "principal-names/search", token=of_web)).status_code == 403
    auditor = await token("eve", roles=["auditor"], groups=["web"])
    assert await names("/search?text=BE", auditor) == ["ben"]
    assert await names("/search?text=%25", auditor) == []
    assert await names("/search?text=a&limit=1", auditor) == ["ada"]


class People:
    """The principals of an inventory, without a service around them."""

    def __init__(self, database: Database) -> None:
        self.principals = Principals(database, VoidTokens(database))

    async def make(self, name: str, *roles: str, permissions: Any = (), groups: Any = ()) -> Principal:
        new = NewPrincipal(name=name, kind=Kind.MACHINE, roles=roles, permissions=permissions, groups=groups)
        row = await self.principals.create(new, caller=ADMIN, now=utc_now())
        return Principal(
            id=row.id,
            name=name,
            roles=frozenset(roles),
            permissions=frozenset(permissions),
            groups=frozenset(groups),
        )

    async def set(
        self, of: Principal, wanted: Rights, *, caller: Principal, expected: int = 1
    ) -> PrincipalRow:
        return await self.principals.set_rights(
            of.id, wanted, expected=expected, caller=caller, now=utc_now()
        )


@pytest.fixture
def people(database: Database) -> People:
    """Nobody yet."""
    return People(database)


async def test_nobody_changes_their_own_rights_acts_through_somebody_stronger_or_takes_the_last_administrator(
    people: People,
):
    boss = await people.make("boss", "admin")
    clerk = await people.make("clerk", permissions=["principals:admin"])
    web = await people.make("web", "admin", groups=["web"])
    mail = await people.make("mail", "viewer", groups=["mail", "web"])
    many, now = people.principals, utc_now()
    for caller in (boss, clerk):
        with pytest.raises(Forbidden, match="their own"):
            await people.set(caller, rights("admin"), caller=caller)
        with pytest.raises(Forbidden, match="their own"):
            await many.disable(caller.id, caller=caller, now=now)
    for attempt in (
        people.set(boss, rights(), caller=clerk),
        many.create_api_key(boss.id, lifetime=timedelta(days=1), caller=clerk, now=now),
        many.disable(boss.id, caller=clerk, now=now),
        many.enable(boss.id, caller=clerk, now=now),
        many.unpin(boss.id, caller=clerk),
        many.create(NewPrincipal(name="x", kind=Kind.PERSON, roles=["admin"]), caller=clerk, now=now),
    ):
        with pytest.raises(Forbidden, match="the role admin"):
            await attempt
    # One without groups, or with others beside, is not there for an administrator of one group.
    for of in (boss, mail):
        with pytest.raises(NotFound, match=f"There is no principal {of.id}"):
            await people.set(of, rights(groups=["web"]), caller=web)
    assert [row.name for row in await many.page(caller=web, after=None, limit=2)] == ["web"]
    for attempt in (
        people.set(boss, rights("admin", groups=["web"]), caller=ADMIN),
        people.set(boss, rights("viewer"), caller=ADMIN),
        many.disable(boss.id, caller=ADMIN, now=now),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            await attempt
    other = await people.make("other", "admin")
    assert (await many.disable(boss.id, caller=other, now=now)).disabled_at == now
    with pytest.raises(Conflict, match="last administrator"):
        await many.disable(other.id, caller=ADMIN, now=now)


async def test_rights_changed_meanwhile_are_not_written_over(people: People):
    ci = await people.make("ci", "viewer")
    with pytest.raises(Stale):
        await people.set(ci, rights("operator"), caller=ADMIN, expected=7)
    assert (await people.set(ci, rights("operator", groups=["web"]), caller=ADMIN)).version == 2
    same = await people.set(ci, rights("operator", groups=["web"]), caller=ADMIN, expected=2)
    assert same.version == 2
