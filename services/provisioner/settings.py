"""What the provisioner can be told."""

from pydantic import Field

from shared.settings import ServiceSettings, Waits


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
    lease: float = Field(30, gt=0)
    """After this long without a sign of life another process goes on with a deployment."""
