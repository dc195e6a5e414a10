"""The generated clients: whatever the contracts offer can be asked, as they have it."""

import importlib
import inspect
import json
import re
import typing
from types import ModuleType
from typing import Any

import pytest

from everleaf import Call, Listing
from services.clients import client_module
from tests.architecture.tree import SERVICES, service_folder

BY_BROWSERS = {"begin_login", "finish_login"}
"""What answers with a redirection, for people who sign in."""


def contract(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((service_folder(name) / "openapi.json").read_text())
    return document


def module(name: str) -> ModuleType:
    return importlib.import_module(f"everleaf.contracts.{name}")


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_is_a_function_that_asks_exactly_this(name: str):
    document = contract(name)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if operation["operationId"] in BY_BROWSERS:
                continue
            function = getattr(module(name), operation["operationId"])
            arguments = {
                each: f"<{each}>"
                for each, parameter in inspect.signature(function).parameters.items()
                if parameter.default is inspect.Parameter.empty
            }
            call: Call[object] = function(**arguments)
            where = re.sub(r"{(\w+)}", r"%3C\1%3E", path)
            assert (call.method, call.path) == (method.upper(), f"/{name}{where}")
            declared = {each["name"]: each["in"] for each in operation.get("parameters", ())}
            assert {each for each, place in declared.items() if place == "query"} == set(call.query)
            assert call.takes_key == ("Idempotency-Key" in declared)
            assert ("body" in inspect.signature(function).parameters) == ("requestBody" in operation)
            answered = json.dumps([each for code, each in operation["responses"].items() if code < "3"])
            assert isinstance(call, Listing) == ("/Page_" in answered)


@pytest.mark.parametrize("name", SERVICES)
def test_every_document_is_a_type_with_its_fields_and_those_that_may_be_missing(name: str):
    known = {_fields(each) for each in vars(module(name)).values() if typing.is_typeddict(each)}
    for schema_name, schema in contract(name)["components"]["schemas"].items():
        if "properties" in schema and not schema_name.startswith("Page_"):
            needed = frozenset(schema.get("required", ()))
            assert (needed, frozenset(schema["properties"]) - needed) in known, schema_name


def _fields(document: type) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the fields that are always there, and of those that may be missing."""
    hints = typing.get_type_hints(document, include_extras=True)
    missing = {name for name, hint in hints.items() if typing.get_origin(hint) is typing.NotRequired}
    return frozenset(hints.keys() - missing), frozenset(missing)


def test_types_that_share_a_last_word_keep_the_one_before_it():
    text = {"type": "string", "enum": ["a"]}
    schemas = {"a__orders__State": text, "a__scans__State": text, "a__Only": text, "Body-Input": text}
    written = client_module("any", {"components": {"schemas": schemas}, "paths": {}})
    for name in ("OrdersState", "ScansState", "Only", "BodyInput"):
        assert f'{name} = Literal["a"]' in written
