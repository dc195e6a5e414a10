"""The typed clients, generated from the OpenAPI contracts: one module of `everleaf.contracts` for each service.

A schema becomes a `TypedDict`, an enumeration a `Literal`, an operation a function that returns a
`Call`: what to ask, as a value. A list that has pages becomes a `Listing`.
"""

import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill, indent
from typing import Any

Json = Mapping[str, Any]
WIDTH = 110
HEAD = '''"""What {name} can be asked, and what it answers.

Written by `make contracts` from services/{name}/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted'''
_TEXTS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_OWN_HEADERS = {"accept", "authorization", "idempotency-key"}
"""What the client sends of its own accord."""


def client_module(name: str, document: Json) -> str:
    """Return the Python of one service's client."""
    return "\n\n\n".join([HEAD.format(name=name), *_Writer(name, document).parts()]).rstrip() + "\n"


@dataclass(frozen=True)
class _Argument:
    name: str
    type: str
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.type}" + ("" if self.is_needed else " = None")


class _Writer:
    def __init__(self, service: str, document: Json) -> None:
        self._service = service
        self._schemas: Json = document["components"]["schemas"]
        self._paths: Json = document["paths"]
        self._names = _short_names(self._schemas)

    def parts(self) -> Iterator[str]:
        """Yield every definition, types first."""
        for name, schema in self._schemas.items():
            if not name.startswith("Page_"):
                yield self._definition(self._names[name], schema)
        for path, item in self._paths.items():
            for method, operation in item.items():
                if any(code.startswith("2") for code in operation["responses"]):
                    yield self._function(method, path, operation)

    # Types

    def _definition(self, name: str, schema: Json) -> str:
        if "properties" not in schema:
            said = schema.get("description")
            return f"{name} = {self._type(schema)}" + (f"\n{_docstring([said])}" if said else "")
        lines = [
            f"class {name}(TypedDict):",
            indent(_docstring([schema.get("description", name)]), "    "),
            "",
        ]
        for field, definition in schema["properties"].items():
            lines += self._field(field, definition, is_needed=field in schema.get("required", ()))
        return "\n".join(lines)

    def _field(self, name: str, schema: Json, *, is_needed: bool) -> Iterator[str]:
        type_ = self._type(schema)
        yield f"    {name}: {type_ if is_needed else f'NotRequired[{type_}]'}"
        if "description" in schema:
            yield indent(_docstring([schema["description"]]), "    ")

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            return self._named(schema["$ref"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return " | ".join(dict.fromkeys(self._type(each) for each in schema[word]))
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return f"Literal[{', '.join(_text(value) for value in values)}]"
        return self._of_kind(schema)

    def _of_kind(self, schema: Json) -> str:
        kind = schema.get("type")
        if kind == "array":
            return f"list[{self._type(schema.get('items', {}))}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self._type(values) if isinstance(values, Mapping) else 'Any'}]"
        return _TEXTS.get(str(kind), "Any")

    def _named(self, reference: str) -> str:
        name = reference.rsplit("/", 1)[-1]
        if name.startswith("Page_"):
            return f"Page[{self._type(self._schemas[name]['properties']['items']['items'])}]"
        return self._names[name]

    # Operations

    def _function(self, method: str, path: str, operation: Json) -> str:
        parameters = [p for p in operation.get("parameters", ()) if p["name"].lower() not in _OWN_HEADERS]
        body = self._body(operation)
        places = [_Argument(_identifier(p["name"]), "str", True) for p in parameters if p["in"] == "path"]
        named = [self._argument(p) for p in parameters if p["in"] != "path"]
        named.sort(key=lambda each: not each.is_needed)
        first = [*places, *([body[0]] if body else [])]
        arguments = [str(each) for each in [*first, *(["*"] if named else []), *named]]
        answers, form = self._answer(operation)
        head = f"def {operation['operationId']}({', '.join(arguments)}) -> {answers}:"
        if len(head) > WIDTH:
            listed = "".join(f"    {each},\n" for each in arguments)
            head = f"def {operation['operationId']}(\n{listed}) -> {answers}:"
        docs = _docstring([operation["summary"] + ".", _needs(operation)])
        parts = self._parts(method, path, operation, parameters, form)
        if body:
            parts += ["body=body", *([f'sends="{body[1]}"'] if body[1] != "application/json" else [])]
        lines = "".join(f"        {part},\n" for part in parts)
        return f"{head}\n{indent(docs, '    ')}\n    return {answers.split('[')[0]}(\n{lines}    )"

    def _parts(
        self, method: str, path: str, operation: Json, parameters: Sequence[Json], form: str
    ) -> list[str]:
        where = re.sub(r"{(\w+)}", lambda found: f"{{quoted({_identifier(found[1])})}}", path)
        parts = [
            f'operation="{operation["operationId"]}"',
            f'method="{method.upper()}"',
            f'path={"f" if "{" in where else ""}"/{self._service}{where}"',
        ]
        for place, word in (("query", "query"), ("header", "headers")):
            said = [f'"{p["name"]}": {_identifier(p["name"])}' for p in parameters if p["in"] == place]
            if said:
                parts.append(f"{word}={{{', '.join(said)}}}")
        if form != "json":
            parts.append(f'answers="{form}"')
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ())):
            parts.append("takes_key=True")
        return parts

    def _argument(self, parameter: Json) -> _Argument:
        type_ = self._type(parameter["schema"])
        # Left out, the platform's own default is good, whatever it is by then.
        is_needed = bool(parameter.get("required"))
        if not is_needed and "None" not in type_.split(" | "):
            type_ += " | None"
        return _Argument(_identifier(parameter["name"]), type_, is_needed)

    def _body(self, operation: Json) -> tuple[_Argument, str] | None:
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = content["schema"]
            type_ = "bytes" if schema.get("type") == "string" else self._type(schema)
            if "properties" in schema:
                type_ = "Mapping[str, str]"
            is_needed = "None" not in type_.split(" | ")
            return _Argument("body", type_, is_needed), media
        return None

    def _answer(self, operation: Json) -> tuple[str, str]:
        """Return the type of the call, and in which form its answer comes."""
        good = [answer for code, answer in operation["responses"].items() if code.startswith("2")]
        contents = {media: each for answer in good for media, each in answer.get("content", {}).items()}
        or_nothing = " | None" if len(good) > 1 else ""
        if not contents:
            return "Call[None]", "nothing"
        schema = contents.get("application/json", next(iter(contents.values()))).get("schema", {})
        if schema.get("type") == "string":
            is_binary = schema.get("format") == "binary" or "application/pdf" in contents
            return ("Call[bytes]", "bytes") if is_binary else ("Call[str]", "text")
        type_ = self._type(schema)
        if type_.startswith("Page["):
            return f"Listing[{type_.removeprefix('Page[')}", "json"
        return f"Call[{type_}{or_nothing}]", "json"


def _short_names(schemas: Json) -> dict[str, str]:
    """Return the names of schemas as classes: the last word of a long one, with the one before it where that is taken."""
    words = {name: re.split(r"__|-", name) for name in schemas}
    last = {name: parts[-1] if "__" in name else "".join(parts) for name, parts in words.items()}
    often = Counter(last.values())
    short = {}
    for name, parts in words.items():
        is_taken = often[last[name]] > 1 and len(parts) > 1
        short[name] = parts[-2].title().replace("_", "") + last[name] if is_taken else last[name]
    return short


def _identifier(name: str) -> str:
    word = name.lower().replace("-", "_")
    return f"{word}_" if keyword.iskeyword(word) else word


def _text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _needs(operation: Json) -> str:
    permission = operation.get("x-permission")
    return f"Needs `{permission}`." if permission else f"Needs no token: {operation['x-public']}."


def _docstring(paragraphs: Sequence[str]) -> str:
    said = [" ".join(each.split()).replace("\\", "\\\\").replace('"""', "'''") for each in paragraphs]
    text = "\n\n".join(fill(each, WIDTH - 14, break_on_hyphens=False) for each in said)
    return f'"""{text}"""' if "\n" not in text and not text.endswith('"') else f'"""{text}\n"""'
