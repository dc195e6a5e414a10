"""Apache httpd on a host that is reached by SSH: files, and httpd's own commands for testing and reloading."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class ApacheOptions(FilesOptions):
    """httpd's commands, to be replaced where it is started in another way."""

    test_command: Command = Field("apachectl configtest", description="Must exit 0 before httpd is reloaded.")
    reload_command: Command = Field("apachectl graceful", description="Makes httpd read its files again.")


class Apache(Files):
    """Apache httpd: key and certificate in two files, the intermediates behind the leaf or, with `chain_path`, in a third."""

    kind: ClassVar[str] = "apache"
    summary: ClassVar[str] = "Apache httpd on a host, over SSH."
    options_type: ClassVar[type[Part]] = ApacheOptions
