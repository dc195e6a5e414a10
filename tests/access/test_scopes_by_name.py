"""What a request names by a name and not by an id, and what groups do beside hiding."""

from typing import Any

import httpx
import pytest

from services.renewal import store as renewal_store
from shared.clock import utc_now
from shared.events.inventory import LineagesGrouped
from shared.ids import new_id
from tests.access.estate import OTHERS, OURS, Estate
from tests.access.makers import discovery, notifier, provisioner, renewal

EVERYTHING: tuple[str, ...] = ()


async def ask(
    estate: Estate, service: str, what: str, *groups: str, body: Any = None, **query: str
) -> httpx.Response:
    """Ask `METHOD /path` as somebody with every verb on it in these groups."""
    method, path = what.split()
    resource = {"profiles": "profiles", "source-groups": "sources"}.get(
        path.split("/")[2], path.split("/")[2]
    )
    permissions = [f"{resource}:{verb}" for verb in ("read", "write", "audit")]
    if resource == "key-releases":
        permissions = ["keys:audit"]
    return await estate.ask(
        service, method, path, groups=groups, permissions=permissions, body=body, query=query
    )


def _body(where: str, name: str, slot: str) -> Any:
    """Return the body that names something by `name`."""
    unique = f"{slot} {where}"
    return {
        "POST /v1/profiles": {"name": unique, "authority": name, "allowed_names": ["x.test"]},
        "POST /v1/orders": {"names": renewal.NAMES, "profile": name},
        "POST /v1/rules": {"name": unique, "channels": [name]},
        "POST /v1/sources": {
            "name": unique,
            "kind": "linux-ssh",
            "settings": discovery.HOST,
            "credential": {"secret_store": name, "path": "x"},
        },
        "PUT /v1/source-groups/named": {
            "kind": "linux-ssh",
            "settings": discovery.HOST,
            "credential": {"secret_store": name, "path": "x"},
            "sources": [{"name": unique}],
        },
    }[where]


@pytest.mark.parametrize(
    ("service", "where", "make", "named"),
    [
        ("renewal", "POST /v1/profiles", renewal.authority, "authority"),
        ("renewal", "POST /v1/orders", renewal.profile, "profile"),
        ("notifier", "POST /v1/rules", notifier.channel, "channel_id"),
        ("discovery", "POST /v1/sources", discovery.secret_store, "secret_store"),
        ("discovery", "PUT /v1/source-groups/named", discovery.secret_store, "secret_store"),
    ],
)
async def test_what_is_named_by_its_name_is_unknown_to_other_groups(
    estate: Estate, service: str, where: str, make: Any, named: str
):
    name = (await make(estate, OURS)).ids[named]
    absent = "x" * len(name)

    async def answer(name: str, group: str, *, slot: str) -> tuple[int, str]:
        told = await ask(estate, service, where, group, body=_body(where, name, slot))
        return told.status_code, told.json().get("detail", "").replace(name, "…")

    hidden = await answer(name, OTHERS, slot="hidden")
    assert hidden == await answer(absent, OTHERS, slot="absent")
    assert hidden[0] == httpx.codes.UNPROCESSABLE_ENTITY
    assert (await answer(name, OURS, slot="ours"))[0] < httpx.codes.MULTIPLE_CHOICES


async def test_an_enrolment_names_a_profile_of_its_own_group(estate: Estate):
    theirs, ours = await renewal.enrolment(estate, OTHERS), await renewal.profile(estate, OURS)
    path = f"/v1/enrolments/{theirs.ids['lineage_id']}"
    body = {"profile": ours.ids["profile"], "names": renewal.NAMES}
    answer = await ask(estate, "renewal", f"PUT {path}", OTHERS, body=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        f"There is no profile named {ours.ids['profile']!r}.",
    )


async def test_nobody_changes_a_source_of_another_group_by_its_name(estate: Estate):
    ours = await discovery.fleet(estate, OURS)
    group = ours.ids["group"]
    body = _body("PUT /v1/source-groups/named", "x", "x") | {
        "credential": discovery.PASSWORD,
        "sources": [{"name": f"one of {group}"}],
    }
    answer = await ask(estate, "discovery", f"PUT /v1/source-groups/{group}", OTHERS, body=body)
    assert answer.status_code == 409, answer.text
    again = await ask(estate, "discovery", f"PUT /v1/source-groups/{group}", OURS, body=body)
    assert again.json() == {"created": 0, "changed": 1}


async def test_a_job_counts_only_the_sources_that_the_caller_sees(estate: Estate):
    ours = await discovery.fleet(estate, OURS)
    group = ours.ids["group"]
    more = _body("PUT /v1/source-groups/named", "x", "x") | {"credential": discovery.PASSWORD}
    more["sources"] = [{"name": f"two of {group}"}]
    assert (await ask(estate, "discovery", f"PUT /v1/source-groups/{group}", OTHERS, body=more)).is_success
    run = await ask(estate, "discovery", f"POST /v1/source-groups/{group}/runs")
    job = f"/v1/source-jobs/{run.json()['id']}"

    async def total(*groups: str) -> tuple[int, int]:
        permissions = ["sources:read"]
        shown = await estate.ask("discovery", "GET", job, groups=groups, permissions=permissions)
        runs = await estate.ask("discovery", "GET", f"{job}/runs", groups=groups, permissions=permissions)
        return shown.json()["total"], len(runs.json()["items"])

    assert [await total(), await total(OURS), await total(OTHERS)] == [(2, 2), (1, 1), (1, 1)]


async def test_an_object_is_put_into_other_groups_and_is_then_theirs(estate: Estate):
    made = await discovery.source(estate, OURS)
    path = f"/v1/sources/{made.ids['source_id']}"
    seen = [(await ask(estate, "discovery", f"GET {path}", group)).status_code for group in (OURS, OTHERS)]
    assert seen == [200, 404]
    foreign = await ask(estate, "discovery", f"PUT {path}/groups", OURS, body={"groups": [OTHERS]})
    assert foreign.status_code == 403
    moved = await ask(estate, "discovery", f"PUT {path}/groups", body={"groups": [OTHERS]})
    assert moved.json()["groups"] == [OTHERS]
    seen = [(await ask(estate, "discovery", f"GET {path}", group)).status_code for group in (OURS, OTHERS)]
    assert seen == [404, 200]


async def test_the_scans_of_a_schedule_are_in_its_groups(estate: Estate):
    made = await discovery.schedule(estate, OURS)
    permissions = ["scans:read", "scans:write"]
    path = f"/v1/schedules/{made.ids['schedule_id']}/run"
    run = await estate.ask("discovery", "POST", path, permissions=permissions)
    scan = f"/v1/scans/{run.json()['id']}"
    seen = [
        (await estate.ask("discovery", "GET", scan, groups=[group], permissions=permissions)).status_code
        for group in (OURS, OTHERS)
    ]
    assert (run.json()["groups"], seen) == ([OURS], [200, 404])


async def test_what_nobody_has_put_into_a_group_is_for_callers_without_groups(estate: Estate):
    body = {"name": f"free {new_id()}", "kind": "builtin"}
    made = await ask(estate, "renewal", "POST /v1/authorities", body=body)
    path = f"/v1/authorities/{made.json()['id']}"
    assert made.json()["groups"] == []
    seen = [(await ask(estate, "renewal", f"GET {path}", *groups)).status_code for groups in ((), (OURS,))]
    assert seen == [200, 404]


async def test_an_authority_for_everybody_is_used_by_all_and_changed_by_none_of_them(estate: Estate):
    name = f"house {new_id()}"
    scoped = await ask(
        estate,
        "renewal",
        "POST /v1/authorities",
        OURS,
        body={"name": name, "kind": "builtin", "groups": ["*"]},
    )
    assert scoped.status_code == 403
    made = await ask(
        estate, "renewal", "POST /v1/authorities", body={"name": name, "kind": "builtin", "groups": ["*"]}
    )
    path = f"/v1/authorities/{made.json()['id']}"
    listed = await ask(estate, "renewal", "GET /v1/authorities", OURS)
    assert name in [each["name"] for each in listed.json()["items"]]
    taken = await ask(estate, "renewal", f"PUT {path}/groups", OURS, body={"groups": [OURS]})
    assert taken.status_code == 403
    renewed = await ask(estate, "renewal", f"PUT {path}/secrets", OURS, body={"secrets": {}})
    assert renewed.status_code == 403
    profile = {"name": f"by {name}", "authority": name, "allowed_names": ["*.estate.test"]}
    by_ours = await ask(estate, "renewal", "POST /v1/profiles", OURS, body=profile)
    assert (by_ours.status_code, by_ours.json()["groups"]) == (201, [OURS])


async def test_a_lineage_that_has_left_a_group_is_hidden_with_all_that_hangs_on_it(estate: Estate):
    made = await provisioner.deployment(estate, OURS)
    path = f"/v1/deployments/{made.ids['deployment_id']}"
    assert (await ask(estate, "provisioner", f"GET {path}", OURS)).status_code == 200
    left = LineagesGrouped(group_id=OURS, left=[made.ids["lineage_id"]])
    await estate.hear("provisioner", "inventory", left)
    for hidden in (path, f"/v1/bindings/{made.ids['binding_id']}"):
        assert (await ask(estate, "provisioner", f"GET {hidden}", OURS)).status_code == 404


async def test_who_was_given_a_key_is_shown_to_who_sees_the_order(estate: Estate):
    made = await renewal.order(estate, OURS)
    order_id = made.ids["order_id"]
    async with estate.services["renewal"].database.transaction() as tx:
        release = renewal_store.KeyRelease(
            id=new_id(),
            order_id=order_id,
            deployment_id="d",
            principal="provisioner",
            released_at=utc_now(),
            trace_id="",
            is_repeat=False,
        )
        tx.session.add(release)

    async def releases(*groups: str) -> int:
        answer = await ask(estate, "renewal", "GET /v1/key-releases", *groups, order_id=order_id)
        return len(answer.json()["items"])

    assert [await releases(), await releases(OURS), await releases(OTHERS)] == [1, 1, 0]


async def test_a_taken_slot_says_whose_it_is_only_to_who_sees_that(estate: Estate):
    ours = await provisioner.binding(estate, OURS)
    shown = await ask(estate, "provisioner", f"GET /v1/bindings/{ours.ids['binding_id']}", OURS)
    target_id = ours.ids["target_id"]
    shared = await ask(
        estate, "provisioner", f"PATCH /v1/targets/{target_id}", body={"groups": [OURS, OTHERS]}
    )
    assert shared.status_code == 200, shared.text
    again = {name: shown.json()[name] for name in ("target_id", "slot", "endpoints")}
    again["lineage_id"] = provisioner.COMMON

    async def refusal(group: str) -> str:
        answer = await ask(estate, "provisioner", "POST /v1/bindings", group, body=again)
        assert answer.status_code == 409, answer.text
        return answer.text

    assert ours.ids["lineage_id"] in await refusal(OURS)
    told = await refusal(OTHERS)
    assert ours.ids["lineage_id"] not in told
    assert ours.ids["binding_id"] not in told


async def test_a_channel_in_a_group_is_told_of_alerts_in_it_and_of_no_other(estate: Estate):
    theirs = await notifier.channel(estate, OTHERS)
    ours = await notifier.alert(estate, OURS)
    deliveries = await ask(estate, "notifier", "GET /v1/deliveries", alert_id=ours.ids["alert_id"])
    told = {each["channel_id"] for each in deliveries.json()["items"]}
    assert ours.ids["channel_id"] in told
    assert theirs.ids["channel_id"] not in told
    story = await ask(estate, "notifier", f"GET /v1/alerts/{ours.ids['alert_id']}", OURS)
    assert ours.ids["delivery_id"] in [each["id"] for each in story.json()["deliveries"]]
