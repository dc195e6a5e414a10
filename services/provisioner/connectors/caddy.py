"""Caddy on a host that is reached by SSH, for the sites whose certificates it does not obtain by itself."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class CaddyOptions(FilesOptions):
    """Caddy's commands, for the configuration that its package brings."""

    test_command: Command = Field(
        "caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile",
        description="Must exit 0 before Caddy is reloaded.",
    )
    reload_command: Command = Field("systemctl reload caddy", description="Makes Caddy read its files again.")


class Caddy(Files):
    """Caddy: a reload must be forced, as it leaves certificates alone where its configuration is the same (its package's unit does so)."""

    kind: ClassVar[str] = "caddy"
    summary: ClassVar[str] = "Caddy on a host, over SSH (`tls CERTIFICATE KEY` in its Caddyfile)."
    options_type: ClassVar[type[Part]] = CaddyOptions
