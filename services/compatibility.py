"""Whether what the contracts say now is still true for whom the released ones were read by.

The released contracts are in `contracts/released`: what binds of each OpenAPI document, and the schema of each event. What a
caller may send must stay welcome, and what a reader was told to find must stay there: a request may only be widened, an
answer or an event only be added to. New values of an enumeration are no break in what is read, as the contracts say that
unknown ones are to be expected; limits of length and size bind only what is sent.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_EXPLAINS = {"description", "summary", "title", "examples", "example", "info", "servers", "tags"}
"""What nobody's program goes by."""
_NAMED = {"properties", "schemas", "$defs"}
"""Below these a key is a name that somebody gave."""
_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def binding(node: Any, *, is_named: bool = False) -> Any:
    """Return what binds of a document: without its explanations and examples."""
    if isinstance(node, list):
        return [binding(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: binding(value, is_named=key in _NAMED)
        for key, value in node.items()
        if is_named or key not in _EXPLAINS
    }


def read_released(folder: Path) -> dict[str, Json]:
    """Return the released contracts by name: that of each service, and `events`."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def release(folder: Path, contracts: Mapping[str, Json]) -> None:
    """Keep these contracts as the released ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in contracts.items():
        (folder / f"{name}.json").write_text(_written(binding(document), depth=3) + "\n")


def _written(node: Any, *, depth: int, margin: str = "") -> str:
    """Return JSON with a line for each operation and each schema: what changes is seen, and it stays small."""
    if depth == 0 or not node or not isinstance(node, dict):
        return json.dumps(node, sort_keys=True, ensure_ascii=False)
    fields = (
        f"{margin} {json.dumps(key)}: {_written(value, depth=depth - 1, margin=margin + ' ')}"
        for key, value in sorted(node.items())
    )
    return "{\n" + ",\n".join(fields) + f"\n{margin}}}"


def breaks(released: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """Return what was promised and is no longer so, one line each."""
    found = []
    for name, old in released.items():
        if name not in now:
            found.append(f"{name}: it is gone")
        elif name == "events":
            found += _broken_events(old, now[name])
        else:
            found += (f"{name} {each}" for each in _Services(old=old, new=binding(now[name])).breaks())
    return found


def _broken_events(released: Json, now: Json) -> Iterator[str]:
    for name, old in released.items():
        if name not in now:
            yield f"event {name}: it is gone"
            continue
        new = binding(now[name])
        for problem in _Comparison(sub=new, sup=old, is_sent=False).problems(new, old, at="data"):
            yield f"event {name} {problem}"


@dataclass(frozen=True, kw_only=True)
class _Services:
    """Two contracts of one service."""

    old: Json
    new: Json

    def breaks(self) -> Iterator[str]:
        for path, item in self.old["paths"].items():
            for method, old in item.items():
                where = f"{method.upper()} {path}"
                new = self.new["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{where}: the operation is gone"
                else:
                    yield from (f"{where}: {each}" for each in self._operation(old, new))

    def _operation(self, old: Json, new: Json) -> Iterator[str]:
        for name in ("operationId", "x-permission", "x-scope"):
            if new.get(name) != old.get(name) and name in new:
                yield f"{name} is {new[name]}, and was {old.get(name, 'not there')}"
        yield from self._parameters(old, new)
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(old["responses"], new["responses"])

    def _parameters(self, old: Json, new: Json) -> Iterator[str]:
        before = {(each["in"], each["name"].lower()): each for each in old.get("parameters", ())}
        after = {(each["in"], each["name"].lower()): each for each in new.get("parameters", ())}
        for key, each in after.items():
            if each.get("required") and not before.get(key, {}).get("required"):
                yield f"the {key[0]} parameter {key[1]} must be there"
        for key, each in before.items():
            if key not in after:
                yield f"the {key[0]} parameter {key[1]} is gone"
            else:
                yield from self._sent(each["schema"], after[key]["schema"], at=f"{key[0]}.{key[1]}")

    def _body(self, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is None:
            if old is not None:
                yield "it takes no body any more"
            return
        if new.get("required") and not (old or {}).get("required"):
            yield "the body must be there"
        for media_type, content in (old or {"content": {}})["content"].items():
            if media_type not in new["content"]:
                yield f"it takes no {media_type} any more"
            else:
                yield from self._sent(content["schema"], new["content"][media_type]["schema"], at="body")

    def _answers(self, old: Json, new: Json) -> Iterator[str]:
        for code, answer in old.items():
            if code >= "400":
                continue
            if code not in new:
                yield f"it answers no {code} any more"
                continue
            for media_type, content in answer.get("content", {}).items():
                now = new[code].get("content", {}).get(media_type)
                if now is None:
                    yield f"it answers no {media_type} any more"
                else:
                    compared = _Comparison(sub=self.new, sup=self.old, is_sent=False)
                    yield from compared.problems(now.get("schema", {}), content.get("schema", {}), at=code)

    def _sent(self, old: Json, new: Json, *, at: str) -> list[str]:
        return _Comparison(sub=self.old, sup=self.new, is_sent=True).problems(old, new, at=at)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Whether everything that fits a schema of `sub` fits one of `sup`.

    What is sent: of the old ones in the new. What is read: of the new ones in the old.
    """

    sub: Json
    sup: Json
    is_sent: bool
    seen: set[tuple[str, str]] = field(default_factory=set)

    def problems(self, sub: Json, sup: Json, *, at: str) -> list[str]:
        """Return what fits the first and not the second, one line each."""
        pair = (sub.get("$ref", ""), sup.get("$ref", ""))
        if all(pair):
            if pair in self.seen:
                return []
            self.seen.add(pair)
        wanted = list(_variants(sup, self.sup))
        if any(each == {} for each in wanted):
            return []
        found = []
        for each in _variants(sub, self.sub):
            found += self._within(each, wanted, at=at)
        return found

    def _within(self, sub: Json, wanted: Collection[Json], *, at: str) -> list[str]:
        fitting = [each for each in wanted if _kind(sub) in _also(each)]
        if not fitting:
            kinds = ", ".join(sorted({_kind(each) for each in wanted}))
            return [f"{at}: {self._says(_kind(sub), kinds)}"]
        return min((list(self._differences(sub, each, at=at)) for each in fitting), key=len)

    def _says(self, one: str, others: str) -> str:
        if self.is_sent:
            return f"{one} is not taken any more, only {others}"
        return f"it may be {one} now, and was {others}"

    def _differences(self, sub: Json, sup: Json, *, at: str) -> Iterator[str]:
        yield from self._values(sub, sup, at=at)
        if self.is_sent:
            yield from _limits(sub, sup, at=at)
        if sub.get("format") != sup.get("format") and "format" in sup:
            yield f"{at}: its format is not the same: {sub.get('format')}, {sup['format']}"
        if "items" in sub and "items" in sup:
            yield from self.problems(sub["items"], sup["items"], at=f"{at}[]")
        if _kind(sub) == "object":
            yield from self._fields(sub, sup, at=at)

    def _values(self, sub: Json, sup: Json, *, at: str) -> Iterator[str]:
        if not self.is_sent or "enum" not in sup:
            return
        gone = [str(each) for each in sub.get("enum", ["any other"]) if each not in sup["enum"]]
        if gone:
            yield f"{at}: not taken any more: {', '.join(gone)}"

    def _fields(self, sub: Json, sup: Json, *, at: str) -> Iterator[str]:
        ours, theirs = sub.get("properties", {}), sup.get("properties", {})
        for name in sup.get("required", ()):
            if name not in sub.get("required", ()):
                yield (
                    f"{at}.{name}: it must be there now"
                    if self.is_sent
                    else f"{at}.{name}: it may be missing now"
                )
        for name in ours.keys() & theirs.keys():
            yield from self.problems(ours[name], theirs[name], at=f"{at}.{name}")
        gone = (ours.keys() - theirs.keys()) if self.is_sent else (theirs.keys() - ours.keys())
        is_open = self.is_sent and sup.get("additionalProperties", True) is not False and not theirs
        for name in sorted(() if is_open else gone):
            yield f"{at}.{name}: the field is gone"
        our_values, their_values = (each.get("additionalProperties") for each in (sub, sup))
        if isinstance(our_values, dict) and isinstance(their_values, dict):
            yield from self.problems(our_values, their_values, at=f"{at}.*")


def _variants(schema: Json, document: Json) -> Iterator[Json]:
    """Yield the alternatives of a schema, each of one type; `{}` takes anything."""
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        yield from _variants(found, document)
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            for each in schema[choice]:
                yield from _variants(each, document)
            return
    if "const" in schema:
        yield {**schema, "enum": [schema["const"]], "type": _type_of(schema["const"])}
    elif isinstance(schema.get("type"), list):
        yield from ({**schema, "type": each} for each in schema["type"])
    else:
        yield {key: value for key, value in schema.items() if key not in {"default", "writeOnly"}}


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value), "object")


def _kind(schema: Json) -> str:
    return str(schema.get("type", "object" if "properties" in schema else "anything"))


def _also(schema: Json) -> Collection[str]:
    """Return the types of what fits a schema."""
    kind = _kind(schema)
    return (kind, "integer") if kind == "number" else (kind,)


def _limits(sub: Json, sup: Json, *, at: str) -> Iterator[str]:
    for name in _AT_LEAST:
        if name in sup and (name not in sub or sub[name] < sup[name]):
            yield f"{at}: {name} is {sup[name]}, and was {sub.get(name, 'not there')}"
    for name in _AT_MOST:
        if name in sup and (name not in sub or sub[name] > sup[name]):
            yield f"{at}: {name} is {sup[name]}, and was {sub.get(name, 'not there')}"
    if "pattern" in sup and sub.get("pattern") != sup["pattern"]:
        yield f"{at}: its pattern is {sup['pattern']}, and was {sub.get('pattern', 'not there')}"
