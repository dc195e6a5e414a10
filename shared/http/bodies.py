"""What requests and answers carry: models that take nothing for something else."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from shared.acting import also

MAX_BODY = 4 * 1024 * 1024
"""Bytes a request may carry; a bulk upload is sent in several."""

_EXACT = "everleaf_exact"
_HOLDS = {"schema", "fields", "items_schema", "values_schema", "choices"}
"""Where a schema of pydantic's holds others."""


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        msg = "Input should be a number"
        raise PydanticCustomError("number_type", msg)
    return value


def _exact(part: Any) -> Any:
    """Return a part of a schema whose numbers and booleans are exact; models in it see to themselves."""
    match part:
        case {"type": "bool"}:
            return {**part, "strict": True}
        case {"type": "int" | "float"}:
            return no_info_before_validator_function(_number, part)
        case {"type": str(kind)}:
            held = _HOLDS & part.keys() if kind != "model" else ()
            return {**part, **{name: _exact(part[name]) for name in held}}
        case dict():
            return {name: _exact(inner) for name, inner in part.items()}
        case list():
            return [_exact(inner) for inner in part]
    return part


class Body(BaseModel):
    """What a caller sends; a field we do not know is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers and booleans for what they are: pydantic takes `"5"` and `"yes"` too, and no contract does."""
        schema = handler(source)
        made: Any = handler.resolve_ref_schema(schema)
        about = made.setdefault("metadata", {})
        if made["type"] == "model" and not about.get(_EXACT):
            about[_EXACT] = True  # a model that others hold comes by again
            made["schema"] = _exact(made["schema"])
        return schema

    def model_post_init(self, context: Any, /) -> None:
        """Keep why it is asked for, where the caller says so, with whatever is changed on it."""
        super().model_post_init(context)
        if isinstance(reason := getattr(self, "reason", None), str):
            also(reason=reason)


class View(BaseModel):
    """What a caller is shown."""

    model_config = ConfigDict(from_attributes=True)
