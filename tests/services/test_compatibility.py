"""What breaks a released contract is told, and what is only added is not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.compatibility import binding, breaks, read_released, release
from services.contracts import RELEASED, broken, committed
from tests.architecture.tree import ROOT

Json = dict[str, Any]
ORDER = {
    "type": "object",
    "required": ["profile"],
    "properties": {
        "profile": {"type": "string", "maxLength": 200, "description": "A profile's name."},
        "reason": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "way": {"enum": ["acme", "est"], "type": "string"},
        "description": {"type": "string"},
    },
    "additionalProperties": False,
}
VIEW = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["open", "done"], "type": "string"},
        "steps": {"type": "array", "items": {"$ref": "#/components/schemas/View"}},
    },
}
SERVICE = {
    "info": {"title": "Everleaf renewal"},
    "paths": {
        "/v1/orders": {
            "post": {
                "operationId": "create_order",
                "summary": "Order",
                "x-permission": "orders:write",
                "parameters": [{"in": "query", "name": "dry", "schema": {"type": "boolean"}}],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
                },
                "responses": {
                    "201": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/View"}}}
                    },
                    "409": {"description": "It is there."},
                },
            }
        }
    },
    "components": {"schemas": {"Order": ORDER, "View": VIEW}},
}
EVENT = {"type": "object", "required": ["fingerprint"], "properties": {"fingerprint": {"type": "string"}}}
NOW: dict[str, Json] = {"renewal": SERVICE, "events": {"certificate.renewed": EVENT}}


def post(now: Json) -> Json:
    operation: Json = now["renewal"]["paths"]["/v1/orders"]["post"]
    return operation


def sent(now: Json) -> Json:
    schema: Json = now["renewal"]["components"]["schemas"]["Order"]
    return schema


def read(now: Json) -> Json:
    schema: Json = now["renewal"]["components"]["schemas"]["View"]
    return schema


BREAKING: dict[str, Callable[[Json], object]] = {
    "the operation is gone": lambda now: now["renewal"]["paths"].clear(),
    "operationId is order": lambda now: post(now).update(operationId="order"),
    "x-permission is orders:admin": lambda now: post(now).update({"x-permission": "orders:admin"}),
    "x-scope is everything": lambda now: post(now).update({"x-scope": "everything"}),
    "the query parameter dry is gone": lambda now: post(now)["parameters"].clear(),
    "the query parameter dry must be there": lambda now: post(now)["parameters"][0].update(required=True),
    "query.dry: boolean is not taken": lambda now: post(now)["parameters"][0]["schema"].update(
        type="integer"
    ),
    "the body must be there": lambda now: post(now)["requestBody"].update(required=True),
    "it takes no body": lambda now: post(now).pop("requestBody"),
    "it answers no 201": lambda now: post(now)["responses"].pop("201"),
    "body.profile: the field is gone": lambda now: (
        sent(now)["properties"].pop("profile"),
        sent(now).pop("required"),
    ),
    "body.description: the field is gone": lambda now: sent(now)["properties"].pop("description"),
    "body.reason: it must be there": lambda now: sent(now)["required"].append("reason"),
    "body.reason: null is not taken": lambda now: sent(now)["properties"].update(reason={"type": "string"}),
    "body.profile: maxLength is 100": lambda now: sent(now)["properties"]["profile"].update(maxLength=100),
    "body.profile: its pattern is": lambda now: sent(now)["properties"]["profile"].update(pattern="^[a-z]+$"),
    "body.way: not taken any more: est": lambda now: sent(now)["properties"]["way"].update(enum=["acme"]),
    "201.id: it may be missing": lambda now: read(now).update(required=["state"]),
    "201.id: it may be integer": lambda now: read(now)["properties"]["id"].update(type="integer"),
    "201.id: it may be null": lambda now: read(now)["properties"]["id"].update(type=["string", "null"]),
    "201.steps: the field is gone": lambda now: read(now)["properties"].pop("steps"),
    "event certificate.renewed: it is gone": lambda now: now["events"].clear(),
    "data.fingerprint: it may be missing": lambda now: now["events"]["certificate.renewed"].pop("required"),
    "data.fingerprint: it may be number": lambda now: now["events"]["certificate.renewed"][
        "properties"
    ].update(fingerprint={"type": "number"}),
}
HARMLESS: dict[str, Callable[[Json], object]] = {
    "a new operation": lambda now: now["renewal"]["paths"].update({"/v1/more": {"get": {"responses": {}}}}),
    "a new parameter": lambda now: post(now)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
    "a new field that may be sent": lambda now: sent(now)["properties"].update(note={"type": "string"}),
    "a field that need not be sent": lambda now: sent(now).pop("required"),
    "a wider field": lambda now: sent(now)["properties"]["profile"].update(
        type=["string", "null"], maxLength=300
    ),
    "a new choice": lambda now: sent(now)["properties"]["way"]["enum"].append("cmp"),
    "a new field that is read": lambda now: read(now)["properties"].update(at={"type": "string"}),
    "a new state": lambda now: read(now)["properties"]["state"]["enum"].append("held"),
    "a new failure": lambda now: post(now)["responses"].update({"429": {"description": "Too often."}}),
    "other words": lambda now: sent(now)["properties"]["profile"].update(description="What it is of."),
    "a new event": lambda now: now["events"].update({"certificate.lost": EVENT}),
    "a new field of an event": lambda now: now["events"]["certificate.renewed"]["properties"].update(at={}),
}


def after(change: Callable[[Json], object]) -> list[str]:
    now = copy.deepcopy(NOW)
    change(now)
    return breaks(binding(NOW), now)


@pytest.mark.parametrize("told", BREAKING)
def test_what_takes_something_away_is_told(told: str):
    assert any(told in line for line in after(BREAKING[told])), after(BREAKING[told])


@pytest.mark.parametrize("what", HARMLESS)
def test_what_only_adds_is_not_told(what: str):
    assert after(HARMLESS[what]) == []


def test_what_is_released_is_read_again_and_explanations_are_left_out(tmp_path: Path):
    release(tmp_path, NOW)
    released = read_released(tmp_path)
    assert released == binding(NOW)
    assert "description" in sent(released)["properties"]
    assert "A profile's name." not in json.dumps(released)
    assert breaks(released, NOW) == []


def test_the_contracts_of_now_break_none_of_the_released_ones():
    assert read_released(ROOT / RELEASED).keys() == committed(ROOT / "services").keys()
    assert broken(ROOT / "services") == []
