"""Every way of looking."""

from services.discovery.connectors import Prober, Source, SourceKind
from services.discovery.connectors.adcs import Adcs
from services.discovery.connectors.aws.source import AwsAccounts
from services.discovery.connectors.azure import AzureKeyVault
from services.discovery.connectors.bigip import BigIp
from services.discovery.connectors.citrix import CitrixAdc
from services.discovery.connectors.ejbca import Ejbca
from services.discovery.connectors.fortigate import FortiGate
from services.discovery.connectors.google import GoogleCertificates
from services.discovery.connectors.kubernetes import KubernetesCluster
from services.discovery.connectors.linux import LinuxHost
from services.discovery.connectors.network import Network
from services.discovery.connectors.pan_os import PanOs
from services.discovery.connectors.secret_stores import SecretStore
from services.discovery.connectors.secret_stores.aws_secrets_manager import SecretsManager
from services.discovery.connectors.secret_stores.vault_kv import VaultKv
from services.discovery.connectors.step_ca import StepCa
from services.discovery.connectors.upload import Upload
from services.discovery.connectors.vault_pki import VaultPki
from services.discovery.connectors.windows import WindowsHost
from shared.errors import Invalid

PROBERS: tuple[type[Prober], ...] = (Network,)
SOURCES: tuple[type[Source], ...] = (
    LinuxHost,
    BigIp,
    CitrixAdc,
    VaultPki,
    Ejbca,
    FortiGate,
    PanOs,
    KubernetesCluster,
    AzureKeyVault,
    GoogleCertificates,
    AwsAccounts,
    StepCa,
    WindowsHost,
    Adcs,
)

WATCHED: tuple[str, ...] = tuple(kind.kind for kind in SOURCES if hasattr(kind, "watch"))
"""Those whose API tells of changes as they happen."""

KINDS: tuple[type[SourceKind], ...] = (*SOURCES, Upload)
"""Those that are read, and those that are sent to."""

SECRET_STORES: tuple[type[SecretStore], ...] = (VaultKv, SecretsManager)


def source_kind(name: str) -> type[SourceKind]:
    """Return the kind of source of this name. Raises `Invalid` where there is none."""
    for kind in KINDS:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in KINDS)
    raise Invalid(f"There is no kind of source named {name!r}.", next_step=f"Choose one of {known}.")


def readable_kind(name: str) -> type[Source]:
    """Return the kind of source of this name, to be opened. Raises `Invalid` where it is not one that is read."""
    for kind in SOURCES:
        if kind.kind == name:
            return kind
    raise Invalid(
        f"A source of the kind {name} is not read: what it holds is sent to it.",
        next_step="Send it with POST /v1/sources/{id}/uploads.",
    )


def secret_store_kind(name: str) -> type[SecretStore]:
    """Return the kind of secret store of this name. Raises `Invalid` where there is none."""
    for kind in SECRET_STORES:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in SECRET_STORES)
    raise Invalid(f"There is no kind of secret store named {name!r}.", next_step=f"Choose one of {known}.")
