"""The language of the bus: CloudEvents 1.0 in structured JSON mode.

One module per emitting service holds its payload models. A payload names its `type` once; the
envelope adds identity, time and trace. Consumers ignore fields they do not know, so adding an
optional field is not a breaking change. No payload ever holds a secret.
"""

import builtins
from base64 import b64decode, b64encode
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetPydanticSchema, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from shared.ids import new_id
from shared.trace import traceparent_about

CONTENT_TYPE = "application/cloudevents+json"


def _from_text(value: object) -> object:
    return b64decode(value, validate=True) if isinstance(value, str) else value


def _read(_kind: object, _handler: object) -> CoreSchema:
    """Return how it is read: in JSON by pydantic's own decoder (`val_json_bytes`), at half of what a function of ours costs."""
    plain = core_schema.bytes_schema()
    ours = core_schema.no_info_before_validator_function(_from_text, plain)
    return core_schema.json_or_python_schema(json_schema=plain, python_schema=ours)


Der = Annotated[
    bytes,
    GetPydanticSchema(_read),
    PlainSerializer(lambda der: b64encode(der).decode(), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""DER bytes in the code, base64 in JSON; there it is also taken without its padding, and in the alphabet of URLs."""


class Payload(BaseModel):
    """The `data` of an event. Subclasses set `type` and say what their `subject` is."""

    # Built when it is first used: a process knows all events, and says or hears few of them.
    model_config = ConfigDict(frozen=True, extra="ignore", val_json_bytes="base64", defer_build=True)
    type: ClassVar[str]

    def subject(self) -> str:
        """Return the fingerprint or object id the event is about."""
        raise NotImplementedError


P = TypeVar("P", bound=Payload)


class Event(BaseModel, Generic[P]):
    """A CloudEvent (https://cloudevents.io, version 1.0) around one payload."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None
    data: P

    @classmethod
    def of(cls, payload: P, *, source: str, now: datetime) -> "Event[P]":
        """Wrap a payload; `source` is the emitting service's name."""
        return cls(
            id=new_id(),
            source=f"/everleaf/{source}",
            type=payload.type,
            subject=payload.subject(),
            time=now,
            traceparent=traceparent_about(payload.subject()),
            data=payload,
        )

    def to_bytes(self) -> bytes:
        """Return the structured JSON form."""
        # A context attribute that is absent must not be null (CloudEvents 1.0); in the data null has a meaning.
        absent = {"traceparent"} if self.traceparent is None else None
        return self.model_dump_json(exclude=absent).encode()

    @classmethod
    def parse(cls, body: bytes, payload: builtins.type[P]) -> "Event[P]":
        """Read the structured JSON form; raise `pydantic.ValidationError` where it does not fit."""
        parsed: Event[P] = _around(payload).model_validate_json(body)
        return parsed


@cache
def _around(payload: builtins.type[Payload]) -> builtins.type[Event[Any]]:
    # Pydantic keeps the models that it makes, but looking for one takes microseconds of each event.
    return Event[payload]  # type: ignore[valid-type] # a model made at run time
