"""What the name of a cipher suite says of it (the names are IANA's)."""

from dataclasses import dataclass
from functools import lru_cache

from services.inventory.domain.assessment.facts import TLS13

_BITS = (
    # The longest first: `DES40` is no `DES`, and `3DES_EDE` neither.
    (("EXPORT1024", "_56"), 56),
    (("EXPORT", "DES40", "RC4_40", "RC2_CBC_40"), 40),
    (("3DES", "DES_192_EDE3"), 112),
    (("DES_64_CBC", "WITH_DES_CBC"), 56),
    (("AES_256", "CAMELLIA_256", "ARIA_256", "CHACHA20", "28147", "KUZNYECHIK", "MAGMA"), 256),
)
"""By parts of the name; 3DES counts as 112 bits for its meet-in-the-middle attack (NIST SP 800-57 part 1)."""
_AEAD = ("_GCM", "_CCM", "CHACHA20", "_OCB")
_BLOCKS_OF_64 = ("DES", "IDEA", "RC2", "28147", "MAGMA")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A cipher suite, as far as its quality depends on it. `bits` are those of the cipher's strength."""

    name: str
    bits: int
    is_anonymous: bool
    is_export: bool
    is_forward_secret: bool
    is_aead: bool
    is_rc4: bool
    is_cbc: bool
    has_small_blocks: bool
    """Of 64 bits (SWEET32)."""
    is_rsa_transport: bool
    """The client encrypts a secret to the server's RSA key: no forward secrecy, and the ground for ROBOT."""
    has_curve: bool
    has_dh: bool
    """Its key exchange is of finite fields and ephemeral."""


@lru_cache(maxsize=1024)
def suite(name: str) -> Suite:
    """Read a name, as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` or `TLS_AES_128_GCM_SHA256`."""
    exchange, has_exchange, _ = name.removeprefix("TLS_").partition("_WITH_")
    is_13 = not has_exchange and name.startswith("TLS_")
    is_ssl2 = name.startswith("SSL_CK_")
    is_anonymous = "_anon" in exchange
    return Suite(
        name=name,
        bits=_bits(name),
        is_anonymous=is_anonymous,
        is_export="EXPORT" in name,
        is_forward_secret=is_13 or "DHE" in exchange,
        is_aead=is_13 or any(part in name for part in _AEAD),
        is_rc4="RC4" in name,
        is_cbc="CBC" in name,
        has_small_blocks=any(part in name for part in _BLOCKS_OF_64),
        is_rsa_transport=is_ssl2 or exchange.startswith("RSA"),
        has_curve=is_13 or "ECDH" in exchange,
        has_dh=exchange.startswith("DHE_") or exchange == "DH_anon",
    )


def _bits(name: str) -> int:
    if "NULL" in name:
        return 0
    for parts, bits in _BITS:
        if any(part in name for part in parts):
            return bits
    return 128


def versions_with_renegotiation(versions: tuple[str, ...]) -> bool:
    """Return whether any of these versions knows renegotiation: TLS 1.3 does not (RFC 8446 §4.1.2)."""
    return any(version != TLS13 for version in versions)
