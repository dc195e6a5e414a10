"""Kubernetes clusters over their API: TLS secrets, and the Ingresses, Gateways and cert-manager objects that use them."""

from services.discovery.connectors.kubernetes.source import KubernetesCluster

__all__ = ["KubernetesCluster"]
