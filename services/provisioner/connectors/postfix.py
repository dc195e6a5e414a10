"""Postfix on a host that is reached by SSH."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part, Slot
from services.provisioner.connectors.file_slots import Command, FilesOptions, FilesSlot
from services.provisioner.connectors.files import Files


class PostfixOptions(FilesOptions):
    """Postfix' commands, to be replaced where it is started with another configuration."""

    test_command: Command = Field("postfix check", description="Must exit 0 before Postfix is reloaded.")
    reload_command: Command = Field("postfix reload", description="Makes Postfix read its files again.")


class PostfixSlot(FilesSlot):
    """The files that `smtpd_tls_chain_files` names, or `smtpd_tls_cert_file` and `smtpd_tls_key_file`."""

    key_first: bool = Field(
        True,
        description="Whether the key comes before the certificates, where it is in the same file: so postconf(5) wants it "
        "(smtpd_tls_chain_files).",
    )


class Postfix(Files):
    """Postfix: running smtpd keep the old certificate until the reload."""

    kind: ClassVar[str] = "postfix"
    summary: ClassVar[str] = "Postfix on a host, over SSH."
    options_type: ClassVar[type[Part]] = PostfixOptions
    slot_type: ClassVar[type[Slot]] = PostfixSlot
