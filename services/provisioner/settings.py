"""What the provisioner can be told."""

from pydantic import Field

from shared.settings import CommaList, ServiceSettings, Waits


class ProvisionerSettings(ServiceSettings):
    """The section `provisioner`; durations are seconds."""

    parallel: int = Field(10, ge=1, le=1000)
    """Deployments at a time, each to another target."""
    attempts: int = Field(8, ge=1, le=100)
    """How often a deployment is tried before it is given up."""
    retry_after: Waits = Field(["60", "600", "3600", "21600"])
    """Waits after failed attempts; the last one repeats."""
    connect_timeout: float = Field(15, gt=0)
    """For the connection, the SSH handshake and the login, together."""
    transfer_timeout: float = Field(30, gt=0)
    """For one file operation."""
    command_timeout: float = Field(60, gt=0)
    """For one test or reload command."""
    verify_timeout: float = Field(10, gt=0)
    """How long a target may take until it serves the new certificate, while it serves another one."""
    start_timeout: float = Field(60, gt=0)
    """How long a target may take until it serves anything: some servers read a certificate only when they start."""
    ssh_agent: str | None = None
    """The socket of an ssh-agent whose keys targets may be logged into with; left out, there is none."""
    allow: CommaList = Field(default=[])
    """Networks whose hosts may be logged into by SSH; empty means all that are not denied. APIs: see `outbound_allow`."""
    deny: CommaList = Field(default=[])
    """Networks whose hosts are never logged into, beside link-local, metadata and multicast addresses."""
    pod_account: bool = False
    """Let Kubernetes targets use the service account of the pod that this runs in."""
    lease: float = Field(30, gt=0)
    """After this long without a sign of life another process goes on with a deployment."""
    parallel_per_network: int | None = Field(None, ge=1, le=1000)
    """Targets worked on at a time in one network (the /24 or /64 of what is served); left out, any number."""
    watch: float = Field(0, ge=0, le=86400)
    """How long a certificate that is in place is watched before it counts as deployed, where no rollout policy says it."""
    watch_every: float = Field(10, gt=0)
    """How often its endpoints are looked at meanwhile."""
    look_every: float = Field(3600, ge=0)
    """How often it is looked whether what was put in place is still served; 0: never."""
    approval_timeout: float = Field(7 * 86400, gt=0)
    """After this long without enough decisions what waits for an approval is not done."""
    approval_reminder: float = Field(86400, gt=0)
    """How often is reminded of what waits for an approval."""
