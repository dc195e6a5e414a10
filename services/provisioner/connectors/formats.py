"""What the files of a slot hold: PEM in the order that a server wants, or one entry of a keystore."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from services.provisioner.connectors.file_slots import PEM, FilesSlot
from services.provisioner.connectors.keystores import java_leaf, java_store, pkcs12_leaf, pkcs12_store
from services.provisioner.domain import Material
from shared import x509
from shared.errors import Invalid

_PUBLIC, _PRIVATE = 0o644, 0o600


class Lacks(Enum):
    """Where the key belongs in a file that is still without it, as it waits on the target."""

    AT_ITS_HEAD = auto()
    AT_ITS_END = auto()


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file shall hold, and its permission bits where there is no such file yet."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    lacks_key: Lacks | None = None


def contents(
    slot: FilesSlot, material: Material, *, present: bytes | None, passwords: Sequence[str]
) -> list[Content]:
    """Return what each file shall hold; `present` is the keystore that is there. Raises `DeploymentError`."""
    if slot.format == PEM:
        return list(_pem(slot, material))
    if slot.format == "pkcs12":
        content = pkcs12_store(present, alias=slot.alias, material=material, passwords=passwords)
    else:
        content = java_store(
            present, kind=slot.format, alias=slot.alias, material=material, passwords=passwords
        )
    return [Content(path=slot.certificate_path, content=content, mode=_PRIVATE)]


def _pem(slot: FilesSlot, material: Material) -> Iterator[Content]:
    chain = material.chain if slot.chain else material.chain[:1]
    certificates = x509.to_pem(chain).encode()
    if slot.chain_path is not None:
        intermediates = x509.to_pem(material.chain[1:]).encode()
        yield Content(path=slot.chain_path, content=intermediates, mode=_PUBLIC)
    if slot.key_path is not None:
        yield Content(path=slot.certificate_path, content=certificates, mode=_PUBLIC)
        if material.waiting is None:
            yield Content(path=slot.key_path, content=material.private_pem, mode=_PRIVATE)
        return
    if material.waiting is not None:
        where = Lacks.AT_ITS_HEAD if slot.key_first else Lacks.AT_ITS_END
        yield Content(path=slot.certificate_path, content=certificates, mode=_PRIVATE, lacks_key=where)
        return
    key = material.private_pem
    parts = (key, certificates) if slot.key_first else (certificates, key)
    yield Content(path=slot.certificate_path, content=b"".join(parts), mode=_PRIVATE)


def leaf(slot: FilesSlot, content: bytes, *, passwords: Sequence[str]) -> bytes | None:
    """Return the DER of the leaf that a slot's file holds, or None."""
    if slot.format == "pkcs12":
        return pkcs12_leaf(content, passwords=passwords)
    if slot.format != PEM:
        return java_leaf(content, alias=slot.alias)
    try:
        return x509.from_pem(content.decode(errors="replace"))[0]
    except Invalid:
        return None
