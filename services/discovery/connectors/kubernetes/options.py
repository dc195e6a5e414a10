"""What is said of a cluster, and what it is logged into with."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors.kubernetes.kubeconfig import read_kubeconfig
from services.discovery.connectors.tokens import LONGEST_TOKEN, TOKEN
from shared.errors import Invalid

LONGEST_KUBECONFIG = 256 * 1024
_Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class KubernetesSettings(BaseModel):
    """Which cluster, where its API is, and what is read in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str = Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$",
        max_length=200,
        description="What the cluster is called here; its holdings are at `kubernetes:CLUSTER`.",
        examples=["production"],
    )
    server: str | None = Field(
        None,
        pattern=r"^https://[^\s/?#@]+(/[^\s?#]*)?$",
        max_length=500,
        description="Address of the API; left out where a kubeconfig or the cluster itself says it.",
        examples=["https://k8s.example.com:6443"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="The cluster's CA in PEM: only it is trusted then."
    )
    context: str | None = Field(
        None,
        max_length=253,
        description="Context of the kubeconfig; left out, its current one.",
    )
    in_cluster: bool = Field(
        False,
        description="Log in as the service account of the pod that this runs in; the credential is empty then.",
    )
    namespaces: list[_Namespace] | None = Field(
        None, min_length=1, max_length=100, description="Only these are read; left out, all of them."
    )
    read_secrets: bool = Field(
        True,
        description="Read TLS secrets. Without it the login needs no right to them, and certificates are known as far "
        "as cert-manager issued them.",
    )

    watch: bool = Field(
        True,
        description="Where the source has a schedule: read it also as soon as something in it changes. The login needs the "
        "verb `watch` for that.",
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.in_cluster and (self.server or self.trusted_ca or self.context):
            msg = "in_cluster takes server and trusted_ca from the pod, and knows no context"
            raise ValueError(msg)
        return self


class KubernetesCredential(BaseModel):
    """A bearer token, or a client certificate with its key, or a kubeconfig that holds either; empty with `in_cluster`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Annotated[SecretStr | None, Field(max_length=LONGEST_TOKEN)] = None
    client_certificate: str | None = Field(None, max_length=100_000, description="PEM, the leaf first.")
    client_key: Annotated[SecretStr | None, Field(max_length=100_000)] = None
    kubeconfig: Annotated[SecretStr | None, Field(max_length=LONGEST_KUBECONFIG)] = None

    @model_validator(mode="after")
    def _is_at_most_one(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            msg = "client_certificate and client_key belong together"
            raise ValueError(msg)
        if sum(each is not None for each in (self.token, self.client_key, self.kubeconfig)) > 1:
            msg = "give one of token, client_certificate with client_key, and kubeconfig"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            if self.kubeconfig is not None:
                read_kubeconfig(self.kubeconfig.get_secret_value())
        except Invalid as error:
            raise ValueError(str(error)) from None
        if self.token is not None and not is_token(self.token.get_secret_value()):
            msg = "a token is one line of printable ASCII without spaces"
            raise ValueError(msg)
        return self


def is_token(text: str) -> bool:
    """Return whether a text can be sent as a bearer token."""
    return re.fullmatch(TOKEN, text) is not None
