"""The contract of consumers: what a subscription may bring, as an AsyncAPI 3 document with an example of each event."""

from datetime import UTC, datetime
from typing import Any

from services.notifier.domain.subscriptions import CONSUMABLE
from shared.events import CONTENT_TYPE, Event, Payload

SCHEMAS = "../shared/events/schemas"
_AT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
_ID = "0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"
_SAID: dict[str, Any] = {
    "names": ["www.example.com", "example.com"],
    "groups": ["web"],
    "approver_groups": ["web"],
    "fingerprint": "3f" * 32,
    "old_fingerprint": "a1" * 32,
    "authority": "Example CA",
    "profile": "web servers",
    "target": "web-1",
    "chain": [],
    "digest": "5d" * 32,
}
"""What some fields are called everywhere, and what they may hold."""
_SAMPLES: dict[str, Any] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}


def consumer_contract() -> dict[str, Any]:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Everleaf for consumers",
            "version": "1",
            "description": "What `POST /notifier/v1/subscriptions` may bring; see docs/how-to/consume-events.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "subscription": {
                "address": "everleaf.consumer.{subscription_id}",
                "parameters": {"subscription_id": {"description": "The id of the subscription."}},
                "messages": {_word(payload): _message(payload) for payload in CONSUMABLE},
                "bindings": {"amqp": {"is": "queue", "queue": {"durable": True, "exclusive": False}}},
            }
        },
        "operations": {"receive": {"action": "receive", "channel": {"$ref": "#/channels/subscription"}}},
    }


def _message(payload: type[Payload]) -> dict[str, Any]:
    return {
        "name": payload.type,
        "summary": (payload.__doc__ or "").split("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
            "properties": {
                "id": {"type": "string", "format": "uuid", "description": "The same each time it comes."},
                "type": {"const": payload.type},
                "data": {"$ref": f"{SCHEMAS}/{payload.type}.json"},
            },
        },
        "examples": [{"name": payload.type, "payload": example(payload).model_dump(mode="json")}],
    }


def example(payload: type[Payload]) -> Event[Payload]:
    """Return an event as it might come."""
    schema = payload.model_json_schema()
    data = payload.model_validate(_sample(schema, schema.get("$defs", {}), name=""))
    return Event[Payload](
        id=_ID,
        source="/everleaf/example",
        type=payload.type,
        subject=data.subject(),
        time=_AT,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=data,
    )


def _sample(schema: dict[str, Any], definitions: dict[str, Any], *, name: str) -> Any:
    if name in _SAID:
        return _SAID[name]
    schema = _resolved(schema, definitions)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {each: _sample(inner, definitions, name=each) for each, inner in fields.items()}
        case "array":
            return [_sample(schema.get("items", {}), definitions, name="")]
        case "string":
            return _text(schema, name)
        case kind:
            return _SAMPLES.get(str(kind))


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that is meant: what a reference leads to, and the first of several."""
    while "$ref" in schema or "anyOf" in schema:
        is_choice = "anyOf" in schema
        schema = schema["anyOf"][0] if is_choice else definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") == "date-time":
        return _AT.isoformat()
    if name.endswith("fingerprint"):
        return str(_SAID["fingerprint"])
    return _ID if name.endswith("_id") else (name or "example").replace("_", " ")


def _word(payload: type[Payload]) -> str:
    return payload.type.replace(".", "_")
