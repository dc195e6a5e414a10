"""Reads a JSON document whose shape only a kind of connector knows, and writes one to be sealed."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from shared.errors import Fault, Invalid

M = TypeVar("M", bound=BaseModel)


def read_document(model: type[M], document: Mapping[str, Any], *, at: str, next_step: str) -> M:
    """Return the document as the model; `at` is its name in the request's body.

    Raises `Invalid` with a fault for each thing that is wrong.
    """
    try:
        return model.model_validate(dict(document))
    except ValidationError as error:
        faults = [
            # Only where and what: the value itself may be a secret.
            Fault(pointer="/".join(["/body", at, *map(str, each["loc"])]), message=each["msg"])
            for each in error.errors(include_input=False, include_url=False)
        ]
    raise Invalid(
        "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults[:5]),
        next_step=next_step,
        faults=faults,
    )


def revealed(value: Any) -> Any:
    """Return a document's JSON with its secrets in clear, to be sealed at once; what is not given is left out."""
    if isinstance(value, BaseModel):
        return {name: revealed(each) for name, each in value if each is not None}
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {name: revealed(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(each) for each in value]
    return value


def holds_secret(value: Any) -> bool:
    """Return whether there is a secret anywhere in a document."""
    if value is None or isinstance(
        value, str | int | float
    ):  # nearly all, and whether they are a mapping takes longest to say
        return False
    if isinstance(value, BaseModel):
        return any(holds_secret(each) for _, each in value)
    if isinstance(value, Mapping):
        return any(holds_secret(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(holds_secret(each) for each in value)
    return isinstance(value, SecretStr)
