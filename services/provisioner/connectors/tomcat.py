"""Tomcat on a host that is reached by SSH: PEM files, or an entry of a keystore."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part
from services.provisioner.connectors.file_slots import Command, FilesOptions
from services.provisioner.connectors.files import Files


class TomcatOptions(FilesOptions):
    """How Tomcat is told; it has no command that tests its configuration."""

    # Only its Manager makes a running Tomcat read certificates again, and not everybody has that installed.
    reload_command: Command = Field(
        "systemctl restart tomcat10 || systemctl restart tomcat9 || systemctl restart tomcat",
        description="Makes Tomcat read its certificates again. Where its Manager is installed, `curl` with `/manager/text/sslReload` "
        "does so without a restart.",
        examples=[
            "curl -fsS --netrc-file /etc/tomcat10/manager.netrc http://127.0.0.1:8080/manager/text/sslReload | grep ^OK"
        ],
    )


class Tomcat(Files):
    """Tomcat: `certificateFile` and `certificateKeyFile`, or `certificateKeystoreFile`."""

    kind: ClassVar[str] = "tomcat"
    summary: ClassVar[str] = "Apache Tomcat on a host, over SSH (PEM, PKCS#12, JKS)."
    options_type: ClassVar[type[Part]] = TomcatOptions
