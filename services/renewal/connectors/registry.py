"""Every kind of authority there is."""

from typing import Any

from services.renewal.connectors import CertificateAuthority
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.builtin import Builtin
from shared.errors import Fault, Invalid

Kind = type[CertificateAuthority[Any, Any]]

AUTHORITIES: tuple[Kind, ...] = (Builtin, Acme)


def authority_kind(name: str) -> Kind:
    """Return the kind of this name. Raises `Invalid` where there is none."""
    for kind in AUTHORITIES:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in AUTHORITIES)
    raise Invalid(
        f"There is no kind of authority named {name!r}.",
        next_step=f"Choose one of: {known}.",
        faults=[Fault(pointer="/body/kind", message=f"not one of {known}")],
    )
