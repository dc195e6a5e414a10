"""nginx on a host that is reached by SSH: files, and nginx's own commands for testing and reloading."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class NginxOptions(FilesOptions):
    """nginx's commands, to be replaced where it is started in another way."""

    test_command: Command = Field("nginx -t", description="Must exit 0 before nginx is reloaded.")
    reload_command: Command = Field("nginx -s reload", description="Makes nginx read its files again.")


class Nginx(Files):
    """nginx: the running master reads the files again, old workers end when their requests do."""

    kind: ClassVar[str] = "nginx"
    summary: ClassVar[str] = "nginx on a host, over SSH."
    options_type: ClassVar[type[Part]] = NginxOptions
