"""The contracts that others build on, generated from the code and committed beside it.

Each service has an `openapi.json` (its HTTP face) and an `asyncapi.json` (AsyncAPI 3: what it
sends and receives); the schemas of all events are in `shared/events/schemas/`.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from pydantic.json_schema import models_json_schema
from shared.bus.sqlite import SqliteBus

from services.program import NAMES, Program, open_services
from shared.events import CONTENT_TYPE, Payload
from shared.service import Service

SCHEMAS = "../../shared/events/schemas"


def write_or_check(services_dir: Path, *, check: bool) -> list[Path]:
    """Bring the contract files up to date (or only look); return those that were not."""
    outdated = []
    for path, document in anyio.run(_documents, services_dir):
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text() == text:
            continue
        outdated.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return outdated


async def _documents(services_dir: Path) -> list[tuple[Path, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        program = Program({}, toml_path=Path(folder) / "none", data_dir=Path(folder))
        bus = SqliteBus(Path(folder) / "bus.db")
        try:
            async with open_services(program, NAMES, bus) as services:
                return list(_all_documents(services_dir, services))
        finally:
            await bus.close()


def _all_documents(services_dir: Path, services: list[Service]) -> Iterator[tuple[Path, Any]]:
    for service in services:
        yield services_dir / service.name / "openapi.json", service.api.openapi()
        yield services_dir / service.name / "asyncapi.json", asyncapi(service)
        for payload in service.emits:
            yield services_dir.parent / "shared/events/schemas" / f"{payload.type}.json", schema(payload)


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
