"""Every kind of authority there is."""

from typing import Any

from services.renewal.connectors import CertificateAuthority
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.adcs import Adcs
from services.renewal.connectors.aws_private_ca import AwsPrivateCa
from services.renewal.connectors.builtin import Builtin
from services.renewal.connectors.cmp import Cmp
from services.renewal.connectors.command import Command
from services.renewal.connectors.digicert import Digicert
from services.renewal.connectors.ejbca import Ejbca
from services.renewal.connectors.est import Est
from services.renewal.connectors.scep import Scep
from services.renewal.connectors.sectigo import Sectigo
from services.renewal.connectors.step_ca import StepCa
from services.renewal.connectors.vault import VaultPki
from services.renewal.connectors.webhook import WebhookAuthority
from shared.errors import Fault, Invalid

Kind = type[CertificateAuthority[Any, Any]]

AUTHORITIES: tuple[Kind, ...] = (
    Builtin,
    Acme,
    VaultPki,
    Est,
    Cmp,
    Scep,
    AwsPrivateCa,
    Ejbca,
    Adcs,
    Digicert,
    Sectigo,
    StepCa,
    WebhookAuthority,
    Command,
)


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
