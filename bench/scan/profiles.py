"""The kinds of server that the farm has, and how often each is met on a real network."""

from dataclasses import dataclass

MODERN = ("TLSv1.2", "TLSv1.3")
ALL = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
HIGH = "HIGH:!aNULL"
EVERYTHING = "ALL:!aNULL:@SECLEVEL=0"
GROUPS = (
    "X25519",
    "prime256v1",
    "X448",
    "secp521r1",
    "secp384r1",
    "ffdhe2048",
    "ffdhe3072",
    "ffdhe4096",
    "ffdhe6144",
    "ffdhe8192",
)
"""What the deep endpoint offers, by OpenSSL's names; spelled out, because its default grows with its version."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One kind of TLS server."""

    certificates: tuple[str, ...]
    versions: tuple[str, ...] = MODERN
    """By nginx's names, oldest first."""
    suites: str = HIGH
    groups: tuple[str, ...] = ()
    """Empty is OpenSSL's own choice."""
    needs_dh: bool = False

    @property
    def newest(self) -> str:
        """The highest version that it speaks."""
        return self.versions[-1]


PROFILES = {
    "ecdsa": Profile(certificates=("ecdsa",)),
    "rsa2048": Profile(certificates=("rsa2048",)),
    "rsa4096": Profile(certificates=("rsa4096",)),
    "ed25519": Profile(certificates=("ed25519",)),
    "wildcard": Profile(certificates=("wildcard",)),
    "expired": Profile(certificates=("expired",)),
    "selfsigned": Profile(certificates=("selfsigned",)),
    "sha1": Profile(certificates=("sha1",), versions=ALL[:3], suites=EVERYTHING),
    "tls10": Profile(certificates=("rsa2048",), versions=("TLSv1",), suites=EVERYTHING),
    "tls12": Profile(certificates=("rsa2048",), versions=("TLSv1.2",)),
    "tls13": Profile(certificates=("ecdsa",), versions=("TLSv1.3",)),
    "dual": Profile(certificates=("rsa2048", "ecdsa")),
    "deep": Profile(
        certificates=("rsa2048", "ecdsa"), versions=ALL, suites=EVERYTHING, groups=GROUPS, needs_dh=True
    ),
}

MIX = {
    "rsa2048": 40,
    "ecdsa": 25,
    "wildcard": 8,
    "selfsigned": 8,
    "tls12": 5,
    "rsa4096": 4,
    "tls13": 3,
    "expired": 3,
    "sha1": 1,
    "tls10": 1,
    "ed25519": 1,
    "dual": 1,
}
"""Percent of the live endpoints."""

CLOSED, HTTP, SSH, SILENT, FILTERED = "closed", "http", "ssh", "silent", "filtered"
"""What an address without TLS does: RST, plain HTTP, an SSH banner, accept and say nothing, drop the SYN."""
EXPECTED = {CLOSED: "refused", HTTP: "no_tls", SSH: "no_tls", SILENT: "silent", FILTERED: "silent"}
"""The outcome that a scan should name for each."""
