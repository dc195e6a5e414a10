"""What discovery can be told."""

from pydantic import Field

from shared.settings import CommaList, ServiceSettings


class DiscoverySettings(ServiceSettings):
    """The section `discovery`; durations are seconds."""

    max_targets: int = Field(1_048_576, ge=1)
    """How many places (address, port and server name) one scan may ask."""
    allow: CommaList = Field(default=[])
    """Networks that may be scanned, and whose hosts may be logged into; empty means all that are not denied."""
    deny: CommaList = Field(default=[])
    """Networks that are never scanned nor logged into, beside link-local, metadata and multicast addresses."""
    scan_own: bool = False
    """Let scans look at what the platform itself runs on: its bus, its databases, and where it listens."""
    concurrency: int = Field(1000, ge=1, le=10_000)
    """Connections at a time, unless a scan asks for fewer."""
    per_host: int = Field(10, ge=1, le=10_000)
    """Connections at a time to one address, unless a scan asks for fewer."""
    per_network: int = Field(256, ge=1, le=10_000)
    """Connections at a time to one /24 (IPv6: /64), unless a scan asks for fewer."""
    rate: float | None = Field(None, gt=0)
    """New connections per second of one scan, unless it asks for fewer; left out, as many as there is an answer for."""
    timeout: float = Field(3, gt=0, le=60)
    """How long one connection may take, unless a scan says otherwise."""
    names_per_address: int = Field(50, ge=0, le=10_000)
    """So many of the names known for an address that answers a scan are asked for there too."""
    misses_until_lost: int = Field(3, ge=1)
    """How often in a row a place must be missed before it counts as lost."""
    parallel: int = Field(4, ge=1, le=100)
    """Scans, and pieces of scans, at a time in each process."""
    sources_at_once: int = Field(16, ge=1, le=1000)
    """Sources that are read at a time in each process."""
    source_watches_at_once: int = Field(50, ge=0, le=1000)
    """Sources that are listened to at a time in each process, so that what changes in them is read at once."""
    ssh_agent: str | None = None
    """The socket of an ssh-agent whose keys hosts may be logged into with; left out, there is none."""
    pod_account: bool = False
    """Let sources of Kubernetes use the service account of the pod that discovery runs in."""
    sources_per_network: int = Field(16, ge=1, le=1000)
    """Sources that are read at a time in one /24 (IPv6: /64), by all processes together."""
    sources_per_host: int = Field(2, ge=1, le=1000)
    """Sources that are read at a time on one host, by all processes together."""
    source_connect_timeout: float = Field(15, gt=0, le=300)
    """How long connecting to a host and logging in may take."""
    source_timeout: float = Field(60, gt=0, le=3600)
    """How long one question to a source may take."""
    keep_results: float = Field(30, gt=0, le=3660)
    """Days after which the results of a scan are forgotten; its counts stay, and so do the places."""
    ct_requests_per_second: float = Field(4, gt=0, le=100)
    """How fast one Certificate Transparency log is read; a request brings up to 256 certificates."""
    ct_poll: float = Field(60, ge=1, le=86400)
    """Seconds after which a Certificate Transparency log that is read to its end is asked for more."""
    lease: float = Field(30, gt=0)
    """After this long without a sign of life another process goes on with a scan."""
