"""Dovecot on a host that is reached by SSH."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class DovecotOptions(FilesOptions):
    """Dovecot's commands, to be replaced where it is started with another configuration."""

    test_command: Command = Field("doveconf -n", description="Must exit 0 before Dovecot is reloaded.")
    reload_command: Command = Field("doveadm reload", description="Makes Dovecot read its files again.")


class Dovecot(Files):
    """Dovecot: `ssl_cert` and `ssl_key` name files of their own (with `<` before them)."""

    kind: ClassVar[str] = "dovecot"
    summary: ClassVar[str] = "Dovecot on a host, over SSH."
    options_type: ClassVar[type[Part]] = DovecotOptions
