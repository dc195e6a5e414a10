"""Kubernetes over its API: TLS secrets, and the Ingresses and Gateways that name them."""

from services.provisioner.connectors.kubernetes.references import KubernetesGateway, KubernetesIngress
from services.provisioner.connectors.kubernetes.secret import KubernetesSecret

__all__ = ["KubernetesGateway", "KubernetesIngress", "KubernetesSecret"]
