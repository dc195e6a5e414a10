"""Every route of the five services, read from the committed contracts, and requests that fit them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.architecture.tree import SERVICES, service_folder

Json = dict[str, Any]
_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = re.compile(r"(^|_)(id|ids|fingerprint|fingerprints|group|groups|lineage|place|key)$")
"""What a parameter or a field is called that may name another object."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of a service."""

    service: str
    method: str
    path: str
    operation: Json = field(repr=False, compare=False)
    document: Json = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"

    @property
    def permission(self) -> str | None:
        """The permission that it declares; None where it is public."""
        return self.operation.get("x-permission")

    @property
    def is_about_everything(self) -> bool:
        """Whether callers with a scope are refused."""
        return self.operation.get("x-scope") == "everything"

    @property
    def ids(self) -> list[str]:
        """The names of its path parameters."""
        return _PARAMETER.findall(self.path)

    @property
    def is_collection(self) -> bool:
        """Whether it shows many things or counts them: a GET that names none."""
        return self.method == "GET" and not self.ids and self.permission is not None

    @property
    def references(self) -> list[str]:
        """Where a request may name other objects: `query.lineage_id`, `body.target_id`, `body.to[].id`."""
        in_query = [
            f"query.{each['name']}"
            for each in self.operation.get("parameters", [])
            if each["in"] == "query" and _REFERENCE.search(each["name"])
        ]
        return in_query + [
            name for name in self._fields() if _REFERENCE.search(name.rsplit(".", 1)[-1].rstrip("[]"))
        ]

    def _fields(self) -> list[str]:
        content = self.operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        return list(fields(schema, self.document, at="body"))

    def at(self, ids: dict[str, str]) -> str:
        """Return its path with the parameters filled in."""
        return _PARAMETER.sub(lambda match: ids[match[1]], self.path)

    def body(self) -> Any:
        """Return the smallest body that fits its schema; None where it takes none."""
        content = self.operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return None if schema is None else smallest(schema, self.document)

    def query(self) -> dict[str, Any]:
        """Return the query parameters that it cannot do without."""
        return {
            each["name"]: each.get("example") or smallest(each["schema"], self.document)
            for each in self.operation.get("parameters", [])
            if each["in"] == "query" and each.get("required")
        }


def routes() -> Iterator[Route]:
    """Yield every operation of every service."""
    for service in SERVICES:
        document: Json = json.loads((service_folder(service) / "openapi.json").read_text())
        for path, item in document["paths"].items():
            for method, operation in item.items():
                yield Route(
                    service=service,
                    method=method.upper(),
                    path=path,
                    operation=operation,
                    document=document,
                )


def resolved(schema: Json, document: Json) -> Json:
    """Return the schema that a reference leads to."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def fields(schema: Json, document: Json, *, at: str, within: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted paths of all fields that a schema names; `[]` stands for each item of a list."""
    reference = schema.get("$ref", "")
    if reference in within:  # a schema that holds itself
        return
    schema, within = resolved(schema, document), (*within, *filter(None, [reference]))
    for choice in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(choice, []):
            yield from fields(each, document, at=at, within=within)
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from fields(inner, document, at=f"{at}.{name}", within=within)
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], document, at=f"{at}[]", within=within)


def smallest(schema: Json, document: Json) -> Any:  # noqa: PLR0911 - one line per kind of schema
    """Return a value that fits a schema: its example, else as little as there may be."""
    schema = resolved(schema, document)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return smallest(schema[choice][0], document)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: smallest(properties[name], document) for name in schema.get("required", [])}
        case "array":
            return [smallest(schema["items"], document)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "string":
            return {"date-time": "2026-03-03T12:00:00Z", "date": "2026-03-03"}.get(
                schema.get("format", ""), "x" * max(schema.get("minLength", 1), 1)
            )
    return None


ROUTES = tuple(routes())
"""All there are, when the tests are collected."""
