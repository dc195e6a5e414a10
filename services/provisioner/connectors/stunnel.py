"""stunnel on a host that is reached by SSH."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class StunnelOptions(FilesOptions):
    """How stunnel is told; it has no command that tests its configuration."""

    # Debian's package calls it by another name than all others.
    reload_command: Command = Field(
        "systemctl reload stunnel4 || systemctl reload stunnel",
        description="Makes stunnel read its files again (SIGHUP).",
    )


class Stunnel(Files):
    """stunnel: `cert` and `key` are files of their own, or one in which the key comes last."""

    kind: ClassVar[str] = "stunnel"
    summary: ClassVar[str] = "stunnel on a host, over SSH."
    options_type: ClassVar[type[Part]] = StunnelOptions
