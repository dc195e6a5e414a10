"""What a target that is a BIG-IP takes: its options, its slots, and what it remembers of the state before."""

from pydantic import Field, SecretStr

from services.provisioner.connectors import Part, Slot
from services.provisioner.connectors.devices import DeviceOptions, prefix
from shared.appliances.bigip import at

CERTIFICATES, KEYS = "sys/file/ssl-cert", "sys/file/ssl-key"
PROFILES, VIRTUALS = "ltm/profile/client-ssl", "ltm/virtual"
ENDINGS = (".crt", ".key", "-chain.crt")
"""Of the names of a certificate, its key and its chain."""
_PATH = r"^/[^\s/~]+(/[^\s/~]+)+$"


class BigIpOptions(DeviceOptions):
    """Where the BIG-IP is, and what belongs to a change of its configuration."""

    login_provider: str = Field(
        "tmos", min_length=1, max_length=100, description="Who knows the user: tmos, or a remote one."
    )
    sync_group: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_./-]+$",
        max_length=200,
        description="The device group to which each change is synchronised; left out, none is.",
        examples=["/Common/pair-1"],
    )


class BigIpSlot(Slot):
    """A pair of certificate and key in a client SSL profile."""

    profile: str = Field(pattern=_PATH, max_length=400, examples=["/Common/shop-clientssl"])
    entry: str | None = Field(
        None,
        pattern=r"^[^\s/]+$",
        max_length=200,
        description="The pair's name in the profile's certKeyChain; left out, the only one. One that is not there is added.",
    )
    virtual: str | None = Field(
        None,
        pattern=_PATH,
        max_length=400,
        description="A virtual server that gets the profile, where it has not got it.",
        examples=["/Common/shop-https"],
    )

    @property
    def key(self) -> str:
        """Return the profile's path, and the pair in it where one is named."""
        return self.profile if self.entry is None else f"{self.profile}#{self.entry}"

    @property
    def folder(self) -> str:
        """Return where the profile is, and where its objects are put."""
        return self.profile.rpartition("/")[0]


class KeptPair(Part):
    """What a profile named before."""

    cert: str
    key: str
    chain: str | None = None
    usage: str | None = None
    passphrase: SecretStr | None = None
    """Of the key, as the device tells it: encrypted under its own master key."""


class BigIpUndo(Part):
    """The new objects, and what the profile named before."""

    new: str
    """The path that the names of the new objects begin with."""
    ours: str
    entry: str
    old: KeptPair | None
    inherits: bool
    """Whether the profile had the pairs of its parent."""
    attached: bool
    """Whether the virtual server had the profile already, or none is asked for."""


def object_at(name: str) -> str:
    """Return the path of a certificate, a key or a chain, which its ending tells."""
    return at(collection_of(name), name)


def collection_of(name: str) -> str:
    """Return what it is among."""
    return KEYS if name.endswith(".key") else CERTIFICATES


def upload_name(slot: BigIpSlot, ending: str) -> str:
    """Return the name of an upload: one for each slot, so that what an attempt that was cut short has left is found."""
    return f"{prefix(slot)}upload{ending}"
