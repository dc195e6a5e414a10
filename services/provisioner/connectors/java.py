"""Java servers on a host that is reached by SSH, which keep key and certificate in a keystore."""

from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Slot
from services.provisioner.connectors.file_slots import FilesSlot, StoreFormat
from services.provisioner.connectors.files import Files


class KeystoreSlot(FilesSlot):
    """One entry of a keystore; the other entries of JKS and JCEKS stay, and so does the password."""

    format: StoreFormat = Field(
        "pkcs12", description="What Java has made since version 9 is PKCS#12, unless it was told otherwise."
    )


class JavaKeystore(Files):
    """Any server that reads a keystore: Jetty, WildFly, Kafka, Elasticsearch, Jenkins …, each with its own way to reload."""

    kind: ClassVar[str] = "java-keystore"
    summary: ClassVar[str] = "An entry of a Java keystore (PKCS#12, JKS, JCEKS) on a host, over SSH."
    slot_type: ClassVar[type[Slot]] = KeystoreSlot
