"""What a target that is a Citrix ADC takes: its options, its slots, and what it remembers of the state before."""

from pydantic import Field

from services.provisioner.connectors import Part, Slot
from services.provisioner.connectors.devices import DeviceOptions

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_#.: @=-]*$"


class CitrixAdcOptions(DeviceOptions):
    """Where the appliance is."""


class VirtualServer(Part):
    """A virtual server that the pair is bound to."""

    name: str = Field(pattern=_NAME, max_length=127, examples=["shop-https"])
    sni: bool = Field(
        False, description="Chosen by the name that is asked for, beside the default certificate."
    )


class CitrixAdcSlot(Slot):
    """A certificate-key pair, and the virtual servers that it belongs to."""

    certkey: str = Field(
        pattern=_NAME, max_length=31, examples=["shop"], description="One that is not there is added."
    )
    virtual_servers: list[VirtualServer] = Field(
        [],
        max_length=100,
        description="It is bound to these, where it is not; other bindings stay as they are.",
    )

    @property
    def key(self) -> str:
        """Return the name of the pair."""
        return self.certkey


class KeptPair(Part):
    """What the pair was made of before."""

    cert: str
    key: str | None = None
    inform: str = "PEM"
    link: str | None = None


class CitrixAdcUndo(Part):
    """The new files, and what there was before."""

    new: str
    ours: str
    link: str | None
    """The pair of the new certificate's issuer."""
    old: KeptPair | None
    replaced: dict[str, str]
    """By virtual server: the pair that was its default, and is not any more."""
    bound: list[VirtualServer]
    """Where the pair was not bound before."""
