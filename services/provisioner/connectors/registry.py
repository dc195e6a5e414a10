"""Every kind of target there is."""

from typing import Any

from services.provisioner.connectors import Target
from services.provisioner.connectors.apache import Apache
from services.provisioner.connectors.aws import AwsAcm, AwsCloudFront, AwsListener, AwsSecretsManager
from services.provisioner.connectors.azure_key_vault import AzureKeyVault
from services.provisioner.connectors.caddy import Caddy
from services.provisioner.connectors.devices.bigip import BigIp
from services.provisioner.connectors.devices.citrix import CitrixAdc
from services.provisioner.connectors.devices.fortigate import FortiGate
from services.provisioner.connectors.devices.pan_os import PanOs
from services.provisioner.connectors.devices.windows import Windows
from services.provisioner.connectors.dovecot import Dovecot
from services.provisioner.connectors.files import Files
from services.provisioner.connectors.google_certificates import GoogleCertificateManager
from services.provisioner.connectors.haproxy import Haproxy
from services.provisioner.connectors.java import JavaKeystore
from services.provisioner.connectors.kubernetes import (
    KubernetesGateway,
    KubernetesIngress,
    KubernetesSecret,
)
from services.provisioner.connectors.nginx import Nginx
from services.provisioner.connectors.postfix import Postfix
from services.provisioner.connectors.postgresql import Postgresql
from services.provisioner.connectors.pull import Pull
from services.provisioner.connectors.stunnel import Stunnel
from services.provisioner.connectors.tomcat import Tomcat
from services.provisioner.connectors.vault_kv import VaultKv
from services.provisioner.connectors.webhook import Webhook
from shared.errors import Invalid
from shared.ssh import Credential

Kind = type[Target[Any, Any, Any]]

TARGETS: tuple[Kind, ...] = (
    Files,
    Nginx,
    Apache,
    Haproxy,
    Caddy,
    Postfix,
    Dovecot,
    Tomcat,
    JavaKeystore,
    Postgresql,
    Stunnel,
    BigIp,
    CitrixAdc,
    PanOs,
    FortiGate,
    Windows,
    KubernetesSecret,
    KubernetesIngress,
    KubernetesGateway,
    AwsAcm,
    AwsListener,
    AwsCloudFront,
    AwsSecretsManager,
    AzureKeyVault,
    GoogleCertificateManager,
    VaultKv,
    Webhook,
    Pull,
)


def target_kind(name: str) -> Kind:
    """Return the kind of this name. Raises `Invalid` where there is none."""
    for kind in TARGETS:
        if kind.kind == name:
            return kind
    known = ", ".join(kind.kind for kind in TARGETS)
    raise Invalid(f"There is no kind of target named {name!r}.", next_step=f"Choose one of: {known}.")


def is_host(kind: Kind) -> bool:
    """Return whether targets of a kind are hosts that are reached by SSH; else they are APIs."""
    return issubclass(kind.credential_type, Credential)
