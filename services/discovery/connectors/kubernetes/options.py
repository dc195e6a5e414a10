"""What is said of a cluster that is read."""

from typing import Annotated

from pydantic import Field

from shared.clouds.kubernetes import ClusterSettings

_Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class KubernetesSettings(ClusterSettings):
    """Which cluster, where its API is, and what is read in it."""

    cluster: str = Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$",
        max_length=200,
        description="What the cluster is called here; its holdings are at `kubernetes:CLUSTER`.",
        examples=["production"],
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
