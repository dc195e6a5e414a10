"""The contracts that others build on: up to date, whole, closed, and fitting one another."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared.events import audit
from shared.openapi import resolved
from tests.architecture.tree import ROOT, SERVICES, service_folder

Json = dict[str, Any]
EVERLEAF = Path(sys.executable).parent / "everleaf"
PROBLEM = "application/problem+json"
PUBLIC = {
    ("inventory", "POST", "/v1/tokens"),
    ("inventory", "GET", "/v1/jwks.json"),
    *((name, "GET", "/v1/audit-keys") for name in SERVICES),
    ("inventory", "POST", "/v1/oauth/token"),
    ("inventory", "GET", "/v1/login"),
    ("inventory", "GET", "/v1/login/callback"),
    ("inventory", "POST", "/v1/session"),
    ("inventory", "POST", "/v1/session/token"),
    ("inventory", "DELETE", "/v1/session"),
    ("notifier", "POST", "/v1/approval-hooks/{hook_id}/decisions"),
    ("provisioner", "GET", "/v1/pull/{binding_id}"),
    ("provisioner", "POST", "/v1/pull/{binding_id}/key"),
    ("provisioner", "POST", "/v1/pull/{binding_id}/reports"),
    ("renewal", "GET", "/v1/authorities/{authority_id}/crl"),
    ("renewal", "GET", "/v1/authorities/{authority_id}/certificate"),
    ("renewal", "POST", "/v1/authorities/{authority_id}/ocsp"),
    ("renewal", "GET", "/v1/authorities/{authority_id}/ocsp/{asked}"),
}
"""All that answers without a token, beside health, metrics and the contracts themselves."""
BODIES = {
    ("inventory", "/v1/oauth/token"): "application/x-www-form-urlencoded",
    ("renewal", "/v1/authorities/{authority_id}/ocsp"): "application/ocsp-request",
}
"""What is not sent as JSON, because somebody else's standard says so."""
SECRETS = re.compile(
    r"private|passw|passphrase|secret|token|credential|api_?key|pkcs12|p12|pfx", re.IGNORECASE
)


def contract(name: str, kind: str) -> Json:
    path = service_folder(name) / f"{kind}.json"
    document: Json = json.loads(path.read_text())
    return document


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield method, path and operation of each route."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def references(node: object) -> Iterator[str]:
    """Yield every `$ref` of a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def found(document: object, reference: str) -> bool:
    """Return whether a reference into the same document leads to something (RFC 6901)."""
    node = document
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def test_the_committed_contracts_are_those_of_the_code():
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")}
    done = subprocess.run(
        [EVERLEAF, "contracts", "--check"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# HTTP


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_is_named_explained_and_closed(name: str):
    document = contract(name, "openapi")
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": f"/{name}"}]
    names = []
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert path.startswith("/v1/"), where
        assert operation["summary"], where
        assert ("x-permission" in operation) != ("x-public" in operation), where
        if "x-permission" in operation:
            assert operation["security"], where
            assert re.fullmatch(r"[a-z-]+:[a-z]+", operation["x-permission"]), where
        else:
            assert operation["x-public"], where
        names.append(operation["operationId"])
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_says_how_it_fails(name: str):
    document = contract(name, "openapi")
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        failures = {
            code: resolved(document, answer)
            for code, answer in operation["responses"].items()
            if code >= "400"
        }
        assert {"422", "503"} <= failures.keys(), where
        assert "x-public" in operation or {"401", "403"} <= failures.keys(), where
        assert ("{" not in path) or "404" in failures, where
        assert "requestBody" not in operation or "413" in failures, where
        for code, answer in failures.items():
            assert answer["description"], f"{where} {code}"
            assert list(answer["content"]) == [PROBLEM], f"{where} {code}"
            example = answer["content"][PROBLEM]["example"]
            assert (str(example["status"]), bool(example["next_step"])) == (code, True), f"{where} {code}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_shows_what_is_sent_and_what_comes_back(name: str):
    document = contract(name, "openapi")
    wrong = []
    for method, path, operation in operations(document):
        asked = operation.get("requestBody", {}).get("content", {})
        told = [answer.get("content", {}) for code, answer in operation["responses"].items() if code < "400"]
        for media_type, content in (each for part in (asked, *told) for each in part.items()):
            schema = {**content.get("schema", {}), "components": document["components"]}
            shown = (
                [content["example"]]
                if "example" in content
                else [each["value"] for each in content["examples"].values()]
            )
            assert shown, f"{method} {path} {media_type}"
            for each in shown:
                problems = jsonschema.Draft202012Validator(schema).iter_errors(each)
                wrong += [
                    f"{method} {path} {media_type}: {problem.json_path} {problem.message}"
                    for problem in problems
                ]
    assert wrong == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_and_parameter_says_what_it_is_about(name: str):
    for method, path, operation in operations(contract(name, "openapi")):
        where = f"{method} {path}"
        assert operation["description"], where
        asked = operation.get("x-permission")
        assert asked is None or f"`{asked}`" in operation["description"], where
        undescribed = [
            each["name"] for each in operation.get("parameters", ()) if not each.get("description")
        ]
        assert undescribed == [], where


def test_only_these_answer_without_a_token():
    public = {
        (name, method, path)
        for name in SERVICES
        for method, path, operation in operations(contract(name, "openapi"))
        if "x-public" in operation
    }
    assert public == PUBLIC


@pytest.mark.parametrize("name", SERVICES)
def test_every_reference_leads_somewhere_and_every_path_parameter_is_declared(name: str):
    document = contract(name, "openapi")
    assert [ref for ref in references(document) if not found(document, ref)] == []
    for method, path, operation in operations(document):
        declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_schema_is_one_and_its_examples_fit_it(name: str):
    document = contract(name, "openapi")
    for schema_name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for field, definition in schema.get("properties", {}).items():
            whole = {**definition, "components": document["components"]}
            for example in definition.get("examples", ()):
                problems = list(jsonschema.Draft202012Validator(whole).iter_errors(example))
                assert problems == [], f"{schema_name}.{field}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_body_is_closed_to_fields_it_does_not_know_and_a_secret_is_only_ever_taken(name: str):
    document = contract(name, "openapi")
    schemas = document["components"]["schemas"]
    for method, path, operation in operations(document):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            assert kind == BODIES.get((name, path), "application/json"), f"{method} {path}"
            taken = [ref.rsplit("/", 1)[-1] for ref in references(content.get("schema", {}))]
            for each in taken:
                is_open = schemas[each].get("type") == "object" and schemas[each].get(
                    "additionalProperties", True
                )
                assert not is_open, f"{method} {path}: {each}"
        for code, answer in operation["responses"].items():
            shown = json.dumps([schemas[each] for each in _reached(document, answer)])
            assert '"writeOnly": true' not in shown, f"{method} {path} {code} shows a secret"


def _reached(document: Json, node: Json) -> set[str]:
    schemas = document["components"]["schemas"]
    reached: set[str] = set()
    waiting = [resolved(document, node)]
    while waiting:
        for ref in references(waiting.pop()):
            name = ref.rsplit("/", 1)[-1]
            if name not in reached:
                reached.add(name)
                waiting.append(schemas[name])
    return reached


# Events


def events(name: str, action: str) -> set[str]:
    said = contract(name, "asyncapi")["operations"].values()
    return {operation["x-event"] for operation in said if operation["action"] == action}


SAID_BY_ALL = {payload.type for payload in audit.SAID_BY_ALL}
"""What every service says of its own changes."""


def test_every_event_that_somebody_waits_for_is_sent_by_exactly_one_but_what_all_say_of_themselves():
    senders: dict[str, list[str]] = {}
    for name in SERVICES:
        for event in events(name, "send"):
            senders.setdefault(event, []).append(name)
    several = {event: set(names) for event, names in senders.items() if len(names) > 1}
    witnesses = set(SERVICES) - {"notifier"}
    said = {"audit.recorded": set(SERVICES), "audit.cosigned": witnesses, "audit.refused": witnesses}
    assert several == said
    assert several.keys() == SAID_BY_ALL
    for name in SERVICES:
        assert events(name, "receive") <= senders.keys(), name


def test_the_backbone_keeps_its_names():
    assert "certificate.found" in events("discovery", "send")
    assert "certificate.expiring" in events("inventory", "send")
    assert "certificate.renewed" in events("renewal", "send")
    assert "certificate.found" in events("inventory", "receive")
    assert "certificate.expiring" in events("renewal", "receive")
    assert "certificate.renewed" in events("provisioner", "receive")


@pytest.mark.parametrize("name", SERVICES)
def test_every_reference_of_the_event_contract_leads_somewhere(name: str):
    document = contract(name, "asyncapi")
    assert document["asyncapi"] == "3.0.0"
    for ref in references(document):
        if ref.startswith("#"):
            assert found(document, ref), ref
        else:
            assert (service_folder(name) / ref).is_file(), ref


SCHEMAS = sorted((ROOT / "shared/events/schemas").glob("*.json"))


def test_there_is_a_schema_for_every_event_and_no_other():
    sent = {event for name in SERVICES for event in events(name, "send")}
    assert {path.stem for path in SCHEMAS} == sent


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_an_event_has_a_sound_schema_and_no_field_for_a_secret(path: Path):
    document = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    assert [ref for ref in references(document) if not found(document, ref)] == []
    assert [name for name in _fields(document) if SECRETS.search(name)] == []


def _fields(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for value in node.values():
            yield from _fields(value)
    elif isinstance(node, list):
        for value in node:
            yield from _fields(value)
