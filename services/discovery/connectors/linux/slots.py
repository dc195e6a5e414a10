"""What the files of a host hold: certificates with their chains, the names they have there, and the keys that are theirs."""

import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from services.discovery.connectors.keystores import Entry, read_java, read_pkcs7, read_pkcs12
from services.discovery.connectors.linux_files import STORES, File
from services.discovery.domain.holdings import Gap, Key, Use, is_replaceable
from shared import x509
from shared.errors import Invalid

MOST_ENTRIES = 500
"""Of one keystore."""
LONGEST_PATH = 1000


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One certificate with its chain in a file; `alias` is its name there, where the file is a keystore."""

    alias: str | None = None
    chain: tuple[bytes, ...]
    has_key: bool


@dataclass(frozen=True, kw_only=True)
class Known:
    """What of a host is asked once for all its files."""

    uses: Mapping[str, Sequence[Use]]
    """By file; of a keystore those of each of its entries."""
    keys: Mapping[str, Key]
    """By path: keys in the folders."""
    addresses: tuple[str, ...]

    def key_of(self, file: File, leaf: bytes) -> Key | None:
        """Return the key that belongs to a certificate: best the one that lies beside it."""
        fingerprint = key_fingerprint(leaf)
        fitting = [key for key in self.keys.values() if key.spki_sha256 and key.spki_sha256 == fingerprint]
        folder = posixpath.dirname(file.path)
        return min(fitting, key=lambda key: (posixpath.dirname(key.path) != folder, key.path), default=None)


def slots_of(file: File) -> tuple[list[Slot], list[Gap]]:
    """Return the certificates in a file, and what of it could not be read."""
    if file.format in STORES:
        return _entries(file)
    try:
        chain = _chain(file)
    except Invalid:
        return [], [
            _gap(file.path, "It holds a certificate that cannot be read.", "Look at it with openssl.")
        ]
    if not chain and file.format == "other" and file.path.endswith(_STORE_NAMES):
        return [], [
            _gap(file.path, "It is a keystore of an unknown format.", "Keep certificates in PKCS#12 or JKS.")
        ]
    return [Slot(chain=tuple(chain), has_key=file.holds_key)] if chain else [], []


_STORE_NAMES = (".p12", ".pfx", ".jks", ".jceks", ".keystore", ".truststore", ".p7b", ".p7c")


def _chain(file: File) -> Sequence[bytes]:
    """Return the certificates of a file that is no keystore, leaf first. Raises `Invalid`."""
    if file.format == "der":
        x509.load(file.content)
        return [file.content]
    if file.format == "pkcs7":
        return read_pkcs7(file.content)
    text = file.content.decode(errors="replace")
    return x509.from_pem(text) if "-----BEGIN CERTIFICATE-----" in text else ()


def _entries(file: File) -> tuple[list[Slot], list[Gap]]:
    gaps = []
    if file.format == "pkcs12":
        entries = read_pkcs12(file.content.decode(errors="replace"), keys=file.keys)
    else:
        store = read_java(file.content)
        entries = list(store.entries)
        if not store.is_whole:
            gaps.append(
                _gap(file.path, "It was read in part: it holds a secret key, or is damaged.", _TO_PKCS12)
            )
    slots = {
        _name(entry): _slot(entry) for entry in entries if entry.chain and key_fingerprint(entry.chain[0])
    }
    if len(slots) > MOST_ENTRIES:
        gaps.append(_gap(file.path, f"It holds more than {MOST_ENTRIES} entries.", "Split it."))
    return list(slots.values())[:MOST_ENTRIES], gaps


_TO_PKCS12 = "Keep secret keys in a store of their own: keytool -importkeystore."


def _slot(entry: Entry) -> Slot:
    return Slot(alias=_name(entry), chain=entry.chain, has_key=entry.has_key)


def _name(entry: Entry) -> str:
    """Return what an entry is called: its alias, else what tells its certificate from others."""
    return entry.alias or x509.fingerprint(entry.chain[0])[:16]


def path_of(file: File, slot: Slot) -> str:
    """Return the path of a certificate: that of its file, and the entry in it where that is a keystore."""
    if slot.alias is None:
        return file.path
    path = f"{file.path}/{quote(slot.alias, safe=_SAFE)}"
    return path if len(path) <= LONGEST_PATH else f"{file.path}/{x509.fingerprint(slot.chain[0])[:16]}"


_SAFE = " !$&'()*+,:;=@._~-"


def alias_in(file: File, use: Use) -> str | None:
    """Return the entry of a keystore that a configuration names: `store.p12/alias` or `store.p12#alias`."""
    rest = use.certificate.removeprefix(file.path)
    return rest[1:].lower() if rest else None


def is_meant(slot: Slot, alias: str | None, *, is_first: bool) -> bool:
    """Return whether a configuration that names this entry, or none, means this certificate."""
    if slot.alias is None:
        return True
    # Java compares aliases in lower case.
    return is_first if alias is None else slot.alias.lower() == alias


def nowhere(file: File, slots: Sequence[Slot], *, uses: Sequence[Use]) -> Iterator[Gap]:
    """Yield a gap for each entry that a configuration names and the keystore does not have."""
    for alias in sorted({alias for use in uses if (alias := alias_in(file, use)) is not None}):
        if not any(is_meant(slot, alias, is_first=False) for slot in slots):
            yield Gap(
                scope=f"{file.path}/{alias}",
                reason="The keystore has no entry of this name.",
                next_step="Check the configuration that names it.",
                is_absent=True,
            )


def _gap(path: str, reason: str, next_step: str) -> Gap:
    return Gap(scope=path, reason=reason, next_step=next_step)


def key_of(file: File, slot: Slot, *, path: str, uses: Sequence[Use], known: Known) -> Key | None:
    """Return what is known of the key of a certificate: the one that its uses name, or that lies beside it."""
    if file.format in STORES:
        return _key_in_store(file, slot, path=path) if slot.has_key else None
    named = next((use.key for use in uses if use.key), None)
    if named and not is_file(named):
        # It is kept in hardware; whatever follows a question mark may be its PIN.
        return Key(path=named.partition("?")[0])
    key = known.keys.get(named or (file.path if file.holds_key else ""))
    return (
        _matched(key, slot.chain[0])
        if key or named
        else _matched(known.key_of(file, slot.chain[0]), slot.chain[0])
    )


def _key_in_store(file: File, slot: Slot, *, path: str) -> Key:
    fingerprint = key_fingerprint(slot.chain[0])
    is_match = fingerprint in file.keys
    return Key(
        path=path,
        spki_sha256=fingerprint if is_match else None,
        is_match=is_match or None,
        mode=file.mode,
        owner=file.owner,
        is_exposed=bool(file.mode & stat.S_IROTH),
        is_replaceable=is_replaceable(file.mode, folder=file.folder_mode),
        is_encrypted=True,
    )


def is_file(path: str) -> bool:
    """Return whether this names a file, and not a key in hardware."""
    return path.startswith("/")


def key_fingerprint(leaf: bytes) -> str | None:
    """Return the SHA-256 of the public key of a certificate, or None where it cannot be read."""
    try:
        return x509.read(leaf).key_fingerprint
    except Invalid:
        return None


def _matched(key: Key | None, leaf: bytes) -> Key | None:
    if key is None or key.spki_sha256 is None:
        return key
    fingerprint = key_fingerprint(leaf)
    return replace(key, is_match=fingerprint == key.spki_sha256) if fingerprint else key
