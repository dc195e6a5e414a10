"""Every route of the five services, as the contracts name them: closed, and closed per object."""

import json
import re
from typing import Any

import httpx
import pytest

from shared.access import ROLES
from tests.access.contracts import ROUTES, Route
from tests.access.estate import OTHERS, OURS, Estate, token
from tests.access.made import Made, kept
from tests.access.makers import (
    MAKERS,
    NOT_COLLECTIONS,
    NOT_OBJECTS,
    NOT_REFERENCES,
    REFERENCES,
    UNSCOPED,
    begins,
    maker,
)

CLOSED = [route for route in ROUTES if route.permission is not None]
SCOPED = [route for route in CLOSED if not route.is_about_everything]
ABOUT_ONE = [route for route in SCOPED if route.ids and route.service not in UNSCOPED]
COLLECTIONS = [
    route
    for route in ROUTES
    if route.is_collection
    and route.service not in UNSCOPED
    and (route.service, f"{route.method} {route.path}") not in NOT_COLLECTIONS
]
ABSENT = "0" * 64
"""An id that nothing has, and that every kind of id allows."""


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


# Who may ask at all


async def test_without_a_token_nothing_answers(estate: Estate):
    forged = [{}, {"Authorization": "Bearer x.y.z"}]
    for route in CLOSED:
        for headers in forged:
            answer = await estate.ask_with(route, headers)
            assert answer.status_code == httpx.codes.UNAUTHORIZED, f"{route} {headers}"


async def test_all_permissions_but_the_one_a_route_declares_are_not_enough(estate: Estate):
    every = {route.permission for route in CLOSED if route.permission}
    for route in CLOSED:
        headers = {"Authorization": f"Bearer {token(permissions=every - {route.permission or ''})}"}
        answer = await estate.ask_with(route, headers)
        assert answer.status_code == httpx.codes.FORBIDDEN, f"{route}: {answer.text}"


def test_every_permission_is_one_that_a_role_grants_or_that_is_given_singly():
    verbs = {verb for granted in ROLES.values() for verb in granted} | {"release", "bring", "override"}
    assert {str(route.permission).split(":")[1] for route in CLOSED} <= verbs


async def test_what_belongs_to_no_group_is_refused_to_callers_with_a_scope(estate: Estate):
    for route in CLOSED:
        headers = {"Authorization": f"Bearer {token(groups=[OURS], permissions=[route.permission or ''])}"}
        answer = await estate.ask_with(route, headers)
        is_refused = answer.status_code == httpx.codes.FORBIDDEN and "is limited to" in answer.text
        assert is_refused == route.is_about_everything, f"{route}: {answer.text}"


# Which objects


def test_every_route_about_an_object_is_tried_or_says_why_there_is_none():
    left = [str(route) for route in ABOUT_ONE if maker(route) is None and not _excused(route)]
    assert left == [], "Add a maker or a reason in tests/access/makers/."


def test_the_tables_name_no_route_that_is_not_there():
    paths = {(route.service, route.path) for route in ROUTES}
    assert {key for key in MAKERS if not any(_under(path, key) for path in paths)} == set()
    operations = {(route.service, named(route)) for route in ROUTES}
    assert NOT_OBJECTS.keys() - operations == set()


@pytest.mark.parametrize("route", [each for each in ABOUT_ONE if maker(each) is not None], ids=str)
async def test_an_object_of_another_group_is_answered_like_one_that_is_not_there(
    estate: Estate, route: Route
):
    make = maker(route)
    assert make is not None
    # What is only looked at is made once for all routes that look.
    made = await (kept(estate, make, OURS) if route.method == "GET" else make(estate, OURS))
    body = made.bodies.get(named(route))
    hidden = await estate.send(route, made.ids, groups=[OTHERS], body=body)
    assert hidden.status_code == httpx.codes.NOT_FOUND, hidden.text
    absent = await estate.send(route, _absent(made), groups=[OTHERS], body=body)
    assert _shape(hidden, made.ids) == _shape(absent, _absent(made))
    # It is there all the same: for whom it is meant, and for who sees everything.
    for groups in ([OURS], []):
        shown = await estate.send(route, made.ids, groups=groups, body=body)
        refused = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}
        gone = route.method == "DELETE" and groups == []
        assert gone or shown.status_code not in refused, f"{groups}: {shown.text}"
        assert shown.status_code < httpx.codes.INTERNAL_SERVER_ERROR, shown.text


async def test_lists_counts_and_exports_tell_nothing_of_what_is_in_another_group(estate: Estate):
    before = {str(route): await _collected(estate, route) for route in COLLECTIONS}
    made = [await make(estate, OURS) for make in dict.fromkeys(MAKERS.values())]
    for route in COLLECTIONS:
        after = await _collected(estate, route)
        words = {word for each in made for word in each.words if len(word) > len(OURS)}
        assert not [word for word in words if word in after], str(route)
        assert after == before[str(route)], str(route)


# What a request names beside


def test_everything_a_request_may_name_is_tried_or_says_why_nothing_is_reached_by_it():
    named_by = {
        (route.service, named(route), name)
        for route in SCOPED
        if route.service not in UNSCOPED
        for name in route.references
    }
    assert named_by - REFERENCES.keys() - NOT_REFERENCES.keys() == set()
    assert (REFERENCES.keys() | NOT_REFERENCES.keys()) - named_by == set()


@pytest.mark.parametrize("key", sorted(REFERENCES), ids=" ".join)
async def test_naming_an_object_of_another_group_is_like_naming_one_that_is_not_there(
    estate: Estate, key: tuple[str, str, str]
):
    service, operation, name = key
    reference = REFERENCES[key]
    route = next(each for each in ROUTES if (each.service, named(each)) == (service, operation))
    other = await kept(estate, MAKERS[service, reference.to], OURS)
    other_id = other.ids[reference.id or re.findall(r"{(\w+)}", reference.to)[-1]]

    async def answer(named_id: str, group: str) -> str:
        query = {name.removeprefix("query."): named_id} if reference.body is None else None
        body = reference.body(named_id) if reference.body is not None else None
        own = await _own(estate, route, group)
        answer = await estate.send(route, own, groups=[group], body=body, query=query)
        assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, answer.text
        return _shape(answer, {**own, "": named_id})

    absent = ABSENT[: max(len(other_id), 8)]
    assert await answer(other_id, OTHERS) == await answer(absent, OTHERS)
    assert await answer(other_id, OURS) != await answer(absent, OURS)


async def _own(estate: Estate, route: Route, group: str) -> dict[str, str]:
    """Return the path parameters of an object that the caller may see, where the route is about one."""
    make = maker(route)
    if not route.ids or make is None:
        return {}
    return dict((await make(estate, group)).ids)


def _excused(route: Route) -> bool:
    return (route.service, named(route)) in NOT_OBJECTS


def _under(path: tuple[str, str], key: tuple[str, str]) -> bool:
    return path[0] == key[0] and begins(path[1], key[1])


def _absent(made: Made) -> dict[str, str]:
    return {name: ABSENT[: max(len(value), 8)] for name, value in made.ids.items()}


def _shape(answer: httpx.Response, ids: Any) -> str:
    """Return a problem document without what differs from one request to the next."""
    is_json = answer.headers.get("content-type", "").endswith("json")
    text = json.dumps({**answer.json(), "trace_id": ""}) if is_json else answer.text
    for value in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(value, "…")
    return text


async def _collected(estate: Estate, route: Route) -> str:
    """Return what a list, a count or an export shows to a caller of another group."""
    answer = await estate.send(route, {}, groups=[OTHERS])
    expected = (
        {httpx.codes.FORBIDDEN} if route.is_about_everything else {httpx.codes.OK, httpx.codes.NOT_FOUND}
    )
    assert answer.status_code in expected, f"{route}: {answer.text}"
    # What differs at each request, whatever there is.
    return re.sub(r'"(trace_id|serialNumber|timestamp)":"[\w:.-]*"', "", answer.text)
