"""Every kind of target there is."""

from typing import Any

from services.provisioner.connectors import Target
from services.provisioner.connectors.files import Files
from services.provisioner.connectors.nginx import Nginx
from shared.errors import Invalid

Kind = type[Target[Any, Any, Any]]

TARGETS: tuple[Kind, ...] = (Files, Nginx)


def target_kind(name: str) -> Kind:
    """Return the kind of this name. Raises `Invalid` where there is none."""
    for kind in TARGETS:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in TARGETS)
    raise Invalid(f"There is no kind of target named {name!r}.", next_step=f"Choose one of: {known}.")
