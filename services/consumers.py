"""The contract of consumers: what a subscription may bring, as an AsyncAPI 3 document with an example of each event."""

from datetime import UTC, datetime
from typing import Any

from services.notifier.domain.subscriptions import CONSUMABLE
from shared.events import CONTENT_TYPE, Event, Payload
from shared.examples import Examples

SCHEMAS = "../shared/events/schemas"
_AT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
_ID = "0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"


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
    examples = Examples({"components": {"schemas": schema.get("$defs", {})}})
    data = payload.model_validate(examples.answered(schema))
    return Event[Payload](
        id=_ID,
        source="/everleaf/example",
        type=payload.type,
        subject=data.subject(),
        time=_AT,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=data,
    )


def _word(payload: type[Payload]) -> str:
    return payload.type.replace(".", "_")
