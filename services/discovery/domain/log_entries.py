"""What is in a log's entries: the leaves they are in its tree, and the host names they certify."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID, NameOID

from services.discovery.domain.checkpoints import LogWrong
from services.discovery.domain.merkle import HASH_SIZE, WIDTH, leaf_hash
from services.discovery.domain.targets import parse_server_name
from shared.errors import Invalid
from shared.x509 import load

_V1_LEAF = b"\x00\x00"
"""`Version` v1 and `MerkleLeafType` timestamped_entry, which begin a leaf (RFC 6962 §3.4)."""
_TIMESTAMP_SIZE = 8
_X509, _PRECERTIFICATE = 0, 1
_LENGTH_128 = 0x80
_NO_SIGNATURE = bytes.fromhex("300a06082a8648ce3d040302030100")
"""ecdsa-with-SHA256 and an empty BIT STRING."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry: its hash in the tree, and the certificate that the hash covers."""

    leaf_hash: bytes
    certificate: bytes
    """DER of the certificate or, for a precertificate, of its TBSCertificate."""
    is_precertificate: bool


class _Reader:
    """Takes length-prefixed pieces off a data tile (RFC 8446 §3). Raises `LogWrong` where it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self._data)

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise LogWrong("A data tile ends in the middle of an entry.")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))

    def since(self, start: int) -> bytes:
        return self._data[start : self.at]


def read_data_tile(data: bytes) -> list[Entry]:
    """Return the entries of a data tile, at most 256. Raises `LogWrong` where it is not one."""
    reader, entries = _Reader(data), list[Entry]()
    while not reader.is_at_end:
        if len(entries) == WIDTH:
            raise LogWrong("A data tile holds more than 256 entries.")
        entries.append(_entry(reader))
    return entries


def _entry(reader: _Reader) -> Entry:
    """Read a `TileLeaf`: what the tree's hash covers comes first."""
    start = reader.at
    reader.take(_TIMESTAMP_SIZE)
    kind = reader.number(2)
    if kind not in (_X509, _PRECERTIFICATE):
        raise LogWrong(f"A data tile holds an entry of the unknown type {kind}.")
    if kind == _PRECERTIFICATE:
        reader.take(HASH_SIZE)  # of the issuer's key
    certificate = reader.vector(3)
    reader.vector(2)  # extensions: nothing in them is needed here
    hashed = leaf_hash(_V1_LEAF + reader.since(start))
    if kind == _PRECERTIFICATE:
        # The precertificate itself is not covered by the tree's hash: it could say anything.
        reader.vector(3)
    if len(reader.vector(2)) % HASH_SIZE:
        raise LogWrong("A data tile holds a chain that is no list of hashes.")
    return Entry(leaf_hash=hashed, certificate=certificate, is_precertificate=kind == _PRECERTIFICATE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in entries: the names, and how many certificates could not be read."""

    names: frozenset[str]
    unreadable: int


def names_under(entries: Iterable[Entry], suffixes: Collection[str]) -> Found:
    """Return the names in entries that are one of the suffixes or end with one as whole labels.

    Suffixes are lower case and ASCII. A wildcard counts as the name that it stands before.
    """
    names, unreadable = set[str](), 0
    needles = [suffix.encode() for suffix in suffixes]
    for entry in entries:
        # DER holds names as they are, so what holds no suffix need not be parsed: nearly everything.
        text = entry.certificate.lower()
        if not any(needle in text for needle in needles):
            continue
        found = _names(entry)
        unreadable += found is None
        names.update(name for name in found or () if is_under(name, suffixes))
    return Found(names=frozenset(names), unreadable=unreadable)


def is_under(name: str, suffixes: Iterable[str]) -> bool:
    """Return whether a name is one of the suffixes or ends with one as whole labels."""
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)


def _names(entry: Entry) -> set[str] | None:
    der = _wrapped(entry.certificate) if entry.is_precertificate else entry.certificate
    try:
        certificate = load(der)
        written = [*_common_names(certificate), *_alternative_names(certificate)]
    except (
        Invalid,
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        return None
    return {name for text in written for name in _host_name(text)}


def _wrapped(tbs: bytes) -> bytes:
    """Return a TBSCertificate as a certificate that nobody has signed, for a parser that wants whole ones."""
    content = tbs + _NO_SIGNATURE
    length = len(content)
    if length < _LENGTH_128:
        return bytes([0x30, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([0x30, _LENGTH_128 | size]) + length.to_bytes(size) + content


def _common_names(certificate: x509.Certificate) -> Sequence[str]:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in attributes]


def _alternative_names(certificate: x509.Certificate) -> Sequence[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return ()
    san = extension.value
    return san.get_values_for_type(x509.DNSName) if isinstance(san, x509.SubjectAlternativeName) else ()


def _host_name(text: str) -> Sequence[str]:
    name = text.strip().removeprefix("*.")
    try:
        return [parse_server_name(name, pointer="")]
    except Invalid:
        return ()
