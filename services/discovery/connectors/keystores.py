"""Reads certificate stores that hold more than one certificate: Java keystores, PKCS#12 and PKCS#7.

What comes here holds no private key: a Java keystore without the bytes of its keys, of PKCS#12 only the certificates.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509 as cryptography_x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from shared import x509
from shared.errors import Invalid

_KEY, _TRUSTED = 1, 2
_LONGEST_CHAIN = 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One certificate with its chain in a store."""

    alias: str | None
    chain: tuple[bytes, ...]
    """DER, leaf first."""
    has_key: bool = False


@dataclass(frozen=True, kw_only=True)
class JavaStore:
    """What a JKS or JCEKS file holds, as far as it could be read."""

    entries: tuple[Entry, ...]
    is_whole: bool


class _End(Exception):
    """There is no more, though there should be."""


class _Bytes:
    """Takes big-endian fields from the front."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        if len(taken) < count:
            raise _End
        self._at += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number(2)).decode(errors="replace")


def read_java(content: bytes) -> JavaStore:
    """Read a Java keystore (magic, version, count, entries) whose keys' bytes, but not their lengths, were cut out.

    The integrity hash at its end needs the password and is not looked at.
    """
    fields, entries = _Bytes(content), list[Entry]()
    try:
        fields.take(4)  # which of the two formats it is, the host has said
        version, count = fields.number(4), fields.number(4)
        for _ in range(count):
            entries.append(_java_entry(fields, version=version))
    except _End:
        return JavaStore(entries=tuple(entries), is_whole=False)
    return JavaStore(entries=tuple(entries), is_whole=True)


def _java_entry(fields: _Bytes, *, version: int) -> Entry:
    tag, alias, _created = fields.number(4), fields.text(), fields.take(8)
    if tag == _KEY:
        fields.take(4)  # how long its key is; the key stays on the host
        certificates = tuple(_java_certificate(fields, version) for _ in range(_few(fields.number(4))))
        return Entry(alias=alias, chain=certificates, has_key=True)
    if tag == _TRUSTED:
        return Entry(alias=alias, chain=(_java_certificate(fields, version),))
    raise _End  # a secret key: a serialised Java object, whose end only Java finds


def _few(count: int) -> int:
    if count > _LONGEST_CHAIN:
        raise _End
    return count


def _java_certificate(fields: _Bytes, version: int) -> bytes:
    if version > 1:
        fields.text()  # "X.509"
    return fields.take(fields.number(4))


def read_pkcs12(text: str, *, keys: Sequence[str]) -> list[Entry]:
    """Read what `openssl pkcs12 -nokeys` says; `keys` are the SHA-256 of its keys' public halves."""
    found = list(_bags(text))
    owned = [bag for bag in found if bag.has_key or _key_fingerprint(bag.chain[0]) in keys]
    pool = [bag.chain[0] for bag in found]
    leaves = [Entry(alias=bag.alias, chain=_chain_from(bag.chain[0], pool), has_key=True) for bag in owned]
    covered = {der for leaf in leaves for der in leaf.chain}
    return leaves + [bag for bag in found if bag.chain[0] not in covered]


def _bags(text: str) -> Iterator[Entry]:
    for part in re.split(r"^Bag Attributes", text, flags=re.MULTILINE):
        try:
            certificates = x509.from_pem(part)
        except Invalid:
            continue
        name = re.search(r"^ +friendlyName: (.*)$", part, flags=re.MULTILINE)
        has_key = re.search(r"^ +localKeyID: ", part, flags=re.MULTILINE) is not None
        for der in certificates:
            yield Entry(alias=name[1] if name else None, chain=(der,), has_key=has_key)


def read_pkcs7(content: bytes) -> tuple[bytes, ...]:
    """Read the certificates of PKCS#7, DER or PEM, as one chain, leaf first. Raises `Invalid`."""
    try:
        load = pkcs7.load_der_pkcs7_certificates
        if content.startswith(b"-----"):
            load = pkcs7.load_pem_pkcs7_certificates
        pool = [each.public_bytes(Encoding.DER) for each in load(content)]
    except Exception as error:  # whatever the parser says of a stranger's bytes
        raise Invalid(
            "It is no PKCS#7 with certificates.", next_step="Look at it with `openssl pkcs7`."
        ) from error
    if not pool:
        raise Invalid("It holds no certificate.", next_step="Look at it with `openssl pkcs7`.")
    issuers = {_names(der)[1] for der in pool if _names(der)[0] != _names(der)[1]}
    leaf = next((der for der in pool if _names(der)[0] not in issuers), pool[0])
    chain = _chain_from(leaf, pool)
    return (*chain, *(der for der in pool if der not in chain))


def _chain_from(leaf: bytes, pool: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the leaf and its issuers, as far as they are there."""
    by_subject = {_names(der)[0]: der for der in pool}
    chain = [leaf]
    while len(chain) < _LONGEST_CHAIN:
        issuer = by_subject.get(_names(chain[-1])[1])
        if issuer is None or issuer in chain:
            break
        chain.append(issuer)
    return tuple(chain)


def _names(der: bytes) -> tuple[bytes, bytes]:
    """Return subject and issuer; of what is no certificate, none that fits another."""
    try:
        certificate = x509.load(der)
        return certificate.subject.public_bytes(), certificate.issuer.public_bytes()
    except (Invalid, ValueError, cryptography_x509.InvalidVersion):
        return b"", der


def _key_fingerprint(der: bytes) -> str | None:
    try:
        return x509.read(der).key_fingerprint
    except Invalid:
        return None
