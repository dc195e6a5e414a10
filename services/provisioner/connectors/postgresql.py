"""PostgreSQL on a host that is reached by SSH."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class PostgresqlOptions(FilesOptions):
    """How the server is told; it has no command that tests its files."""

    reload_command: Command = Field(
        "systemctl reload postgresql",
        description="Makes PostgreSQL read its files again. It says nothing of files that it cannot use, and keeps to the old "
        "ones: what it serves is looked at.",
    )


class Postgresql(Files):
    """PostgreSQL: it takes a key only where its account alone may read it, so owner and mode stay (§19.9 of its manual)."""

    kind: ClassVar[str] = "postgresql"
    summary: ClassVar[str] = "PostgreSQL on a host, over SSH (`ssl_cert_file`, `ssl_key_file`)."
    options_type: ClassVar[type[Part]] = PostgresqlOptions
