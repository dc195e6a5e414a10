"""The names of algorithms by their object identifiers, where no parser gives one."""

from collections.abc import Mapping

KEYS: Mapping[str, str] = {
    "1.2.840.113549.1.1.1": "rsa",  # RFC 3279 §2.3.1
    "1.2.840.113549.1.1.7": "rsa-oaep",  # RFC 4055 §4
    "1.2.840.113549.1.1.10": "rsa-pss",  # RFC 4055 §3
    "1.2.840.10040.4.1": "dsa",
    "1.2.840.10046.2.1": "dh",
    "1.2.840.113549.1.3.1": "dh",  # PKCS #3
    "1.2.840.10045.2.1": "ecdsa",
    "1.3.101.110": "x25519",  # RFC 8410 §3
    "1.3.101.111": "x448",
    "1.3.101.112": "ed25519",
    "1.3.101.113": "ed448",
    "1.2.643.2.2.19": "gost-2001",  # RFC 4491 §2.3
    "1.2.643.2.2.20": "gost-94",
    "1.2.643.7.1.1.1.1": "gost-2012-256",  # RFC 9215 §4
    "1.2.643.7.1.1.1.2": "gost-2012-512",
    "2.16.840.1.101.3.4.3.17": "ml-dsa-44",  # RFC 9881 §2
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
    "2.16.840.1.101.3.4.4.1": "ml-kem-512",  # RFC 9935 §3
    "2.16.840.1.101.3.4.4.2": "ml-kem-768",
    "2.16.840.1.101.3.4.4.3": "ml-kem-1024",
    **{
        f"2.16.840.1.101.3.4.3.{20 + at}": f"slh-dsa-{name}"  # RFC 9909 §3
        for at, name in enumerate(
            f"{family}-{size}"
            for family in ("sha2", "shake")
            for size in ("128s", "128f", "192s", "192f", "256s", "256f")
        )
    },
}
CURVES: Mapping[str, tuple[str, int]] = {
    "1.2.840.10045.3.1.1": ("secp192r1", 192),
    "1.2.840.10045.3.1.7": ("p256", 256),
    "1.3.132.0.33": ("secp224r1", 224),
    "1.3.132.0.34": ("p384", 384),
    "1.3.132.0.35": ("p521", 521),
    "1.3.132.0.10": ("secp256k1", 256),
    "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256),  # RFC 5639 §4.1
    "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384),
    "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
    "1.2.156.10197.1.301": ("sm2", 256),
}
"""Names as `shared.x509.describe_key` gives them, and bits."""
SIGNATURES: Mapping[str, str] = {
    **{oid: name for oid, name in KEYS.items() if name.startswith(("ml-dsa", "slh-dsa", "ed"))},
    "1.2.643.2.2.3": "gost-2001-with-gost-94",
    "1.2.643.7.1.1.3.2": "gost-2012-256-with-streebog-256",
    "1.2.643.7.1.1.3.3": "gost-2012-512-with-streebog-512",
    "1.2.156.10197.1.501": "sm2-with-sm3",
}
ATTRIBUTES: Mapping[str, str] = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
"""Short names of the attributes of a name (RFC 4514 §3)."""
