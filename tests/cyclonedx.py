"""The official schemas of CycloneDX, as its reference library ships them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource

_SCHEMAS = files("cyclonedx.schema") / "_res"


def _schema(name: str) -> Any:
    return json.loads((_SCHEMAS / f"{name}.SNAPSHOT.schema.json").read_text())


@cache
def validator(spec: str) -> Draft7Validator:
    """What checks a bill of one version of the specification, as `1.6`."""
    parts = ("spdx", "jsf-0.82", "cryptography-defs")
    beside = [
        (f"http://cyclonedx.org/schema/{part}.SNAPSHOT.schema.json", Resource.from_contents(_schema(part)))
        for part in parts
    ]
    return Draft7Validator(
        _schema(f"bom-{spec}"),
        registry=Registry().with_resources(beside),
        format_checker=Draft7Validator.FORMAT_CHECKER,
    )
