"""Every kind of channel there is."""

from typing import Any

from services.notifier.connectors import Channel
from services.notifier.connectors.email import Email
from services.notifier.connectors.webhook import Webhook
from shared.errors import Fault, Invalid

Kind = type[Channel[Any, Any]]

CHANNELS: tuple[Kind, ...] = (Email, Webhook)


def channel_kind(name: str) -> Kind:
    """Return the kind of this name. Raises `Invalid` where there is none."""
    for kind in CHANNELS:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in CHANNELS)
    raise Invalid(
        f"There is no kind of channel named {name!r}.",
        next_step=f"Choose one of: {known}.",
        faults=[Fault(pointer="/body/kind", message=f"not one of {known}")],
    )
