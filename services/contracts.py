"""The contracts that others build on, generated from the code and committed beside it.

Each service has an `openapi.json` (its HTTP face) and an `asyncapi.json` (AsyncAPI 3: what it
sends and receives), and the tables at the end of its README; the schemas of all events are in
`shared/events/schemas/`, who says what to whom is in `docs/events.md`, and who may do what in
`docs/authorisation.md`; what a consumer may subscribe to is in `docs/consumers.asyncapi.json`.
The typed Python client is `everleaf/contracts/`.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from services.clients import client_module
from services.compatibility import breaks, read_released
from services.consumers import consumer_contract
from services.program import NAMES, Program, migrate, open_services, service_module
from shared.access import ROLES
from shared.bus.sqlite import SqliteBus
from shared.events import CONTENT_TYPE, Payload
from shared.events.audit import SAID_BY_ALL
from shared.openapi import needs, objects, operations
from shared.service import Service
from shared.settings import variable

RELEASED = "contracts/released"
SCHEMAS = "../../shared/events/schemas"
GENERATED = "<!-- written by `make contracts` from the code -->"
EVENTS_PAGE = """# Events

<!-- written by `make contracts` from the code -->

Every event is a CloudEvent 1.0 in structured JSON, routed by its `type` on the topic exchange `everleaf.events`. It is
delivered at least once and in no promised order: keep the `id` of those you have handled. Ignore fields you do not know.
No event holds a secret. `traceparent` ties together everything that one request has caused. How a consumer of your own gets them:
[consume-events.md](how-to/consume-events.md).

| event | from | to | meaning |
|---|---|---|---|
"""
AUTHORISATION_PAGE = """# Who may do what

<!-- written by `make contracts` from the code -->

A token holds roles, single permissions and groups. A permission is `resource:verb`; a role grants its verbs on every
resource. Groups limit all of that to what is in one of them; a token without groups is about everything. What a caller
may not see is answered like what is not there, and is left out of lists, counts, facets and exports. `keys:release` is
in no role: only a service is given it. Every row is tried by a test without a token, without the permission, and on
an object of another group (`tests/access`).

| role | may |
|---|---|
{roles}

| service | route | needs | about |
|---|---|---|---|
"""
_VERBS = ("read", "write", "approve", "audit", "admin")


def write_or_check(services_dir: Path, *, check: bool) -> list[Path]:
    """Bring the contract files up to date (or only look); return those that were not."""
    outdated = []
    for path, text in anyio.run(_files, services_dir):
        if path.exists() and path.read_text() == text:
            continue
        outdated.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return outdated


def broken(services_dir: Path) -> list[str]:
    """Return what the released contracts promise and those beside the code do not, one line each."""
    return breaks(read_released(services_dir.parent / RELEASED), committed(services_dir))


def committed(services_dir: Path) -> dict[str, Any]:
    """Return the contracts beside the code by name: that of each service, and the schemas of all `events`."""
    contracts = {name: json.loads((services_dir / name / "openapi.json").read_text()) for name in NAMES}
    events = sorted((services_dir.parent / "shared/events/schemas").glob("*.json"))
    return {**contracts, "events": {path.stem: json.loads(path.read_text()) for path in events}}


async def _files(services_dir: Path) -> list[tuple[Path, str]]:
    with tempfile.TemporaryDirectory() as folder:
        program = Program({}, toml_path=Path(folder) / "none", data_dir=Path(folder))
        await migrate(program, NAMES)
        bus = SqliteBus(Path(folder) / "bus.db")
        try:
            async with open_services(program, NAMES, bus) as services:
                return list(_all_files(services_dir, services))
        finally:
            await bus.close()


def _all_files(services_dir: Path, services: list[Service]) -> Iterator[tuple[Path, str]]:
    for service in services:
        home = services_dir / service.name
        openapi = service.api.openapi()
        yield home / "openapi.json", _json(openapi)
        yield (
            services_dir.parent / f"everleaf/contracts/{service.name}.py",
            client_module(service.name, openapi),
        )
        yield home / "asyncapi.json", _json(asyncapi(service))
        yield home / "README.md", with_tables(service, (home / "README.md").read_text())
        for payload in service.emits:
            yield services_dir.parent / f"shared/events/schemas/{payload.type}.json", _json(schema(payload))
    yield services_dir.parent / "docs/events.md", conversation(services)
    yield services_dir.parent / "docs/consumers.asyncapi.json", _json(consumer_contract())
    yield services_dir.parent / "docs/authorisation.md", authorisation(services)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def with_tables(service: Service, readme: str) -> str:
    """Return a service's README with its generated tables brought up to date."""
    settings = service_module(service.name).SETTINGS
    rows = [
        f"| `{variable(service.name, name)}` | {_default(field)} | {_first_line(field.description)} |"
        for name, field in settings.model_fields.items()
    ]
    tables = [
        GENERATED,
        "",
        f"Emits: {_names(service.emits)}. Reacts to: {_names(service.receives)}.",
        "",
        "| setting | default | |",
        "|---|---|---|",
        *rows,
        "",
    ]
    return readme.split(GENERATED, maxsplit=1)[0].rstrip() + "\n\n" + "\n".join(tables)


def _names(payloads: Sequence[type[Payload]]) -> str:
    return " · ".join(f"`{payload.type}`" for payload in payloads) or "nothing"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value == []:
        return ""
    return f"`{','.join(value) if isinstance(value, list) else value}`"


def _first_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def conversation(services: Sequence[Service]) -> str:
    """Return the page of all events: who says them, who listens, and what they mean."""
    rows = [
        f"| [`{payload.type}`](../shared/events/schemas/{payload.type}.json) | {service.name} "
        f"| {', '.join(s.name for s in services if payload in s.receives) or 'nobody here'} "
        f"| {(payload.__doc__ or '').splitlines()[0]} |"
        for service in services
        for payload in service.emits
        if payload not in SAID_BY_ALL
    ]
    rows += [
        f"| [`{payload.type}`](../shared/events/schemas/{payload.type}.json) | every service "
        f"| {', '.join(s.name for s in services if payload in s.receives)} "
        f"| {(payload.__doc__ or '').splitlines()[0]} |"
        for payload in SAID_BY_ALL
    ]
    return EVENTS_PAGE + "\n".join(rows) + "\n"


def authorisation(services: Sequence[Service]) -> str:
    """Return the page of all routes: what a caller needs, and which objects it is then about."""
    rows = [
        f"| {service.name} | `{method.upper()} {path}` | {needs(operation)} | {objects(path, method, operation)} |"
        for service in services
        for path, method, operation in operations(service.api.openapi())
    ]
    roles = [
        f"| {role} | {', '.join(verb for verb in _VERBS if verb in granted)} |"
        for role, granted in ROLES.items()
    ]
    head = AUTHORISATION_PAGE.format(roles="\n".join(roles))
    return head + "\n".join(rows) + "\n"


def schema(payload: type[Payload]) -> dict[str, Any]:
    """Return the JSON Schema of an event's `data`."""
    _, document = models_json_schema([(payload, "serialization")], by_alias=True)
    name = payload.__name__
    definitions = document["$defs"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": payload.type,
        **{key: value for key, value in definitions.pop(name).items() if key != "title"},
        "$defs": definitions,
    }


def asyncapi(service: Service) -> dict[str, Any]:
    """Return the AsyncAPI 3 document of one service: an application and what it sends and receives."""
    payloads = {payload.type: payload for payload in (*service.emits, *service.receives)}
    sends = {f"send_{_word(p.type)}": _operation("send", p) for p in service.emits}
    receives = {f"receive_{_word(p.type)}": _operation("receive", p) for p in service.receives}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Everleaf {service.name}", "version": "1", "license": {"name": "Apache-2.0"}},
        "defaultContentType": CONTENT_TYPE,
        "channels": {name: _channel(payload) for name, payload in sorted(payloads.items())},
        "operations": dict(sorted({**sends, **receives}.items())),
    }


def _channel(payload: type[Payload]) -> dict[str, Any]:
    message = {
        "name": payload.type,
        "summary": (payload.__doc__ or "").split("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": _envelope(payload),
    }
    return {
        "address": payload.type,
        "messages": {_word(payload.type): message},
        "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": "everleaf.events", "type": "topic"}}},
    }


def _envelope(payload: type[Payload]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "format": "uuid"},
            "source": text,
            "type": {"const": payload.type},
            "subject": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "traceparent": text,
            "data": {"$ref": f"{SCHEMAS}/{payload.type}.json"},
        },
    }


def _operation(action: str, payload: type[Payload]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{payload.type}"},
        "x-event": payload.type,
    }


def _word(event_type: str) -> str:
    return event_type.replace(".", "_")
