"""Numbers by which it is seen that nothing has changed in how an endpoint speaks TLS."""

import json
from functools import lru_cache
from hashlib import sha256

from shared.events.discovery import CertificateFound, TlsFacts


def negotiated(seen: CertificateFound) -> int | None:
    """Return a number for what was negotiated; None where the event does not say."""
    if seen.tls_version is None:
        return None
    return _number(f"{seen.tls_version} {seen.cipher_suite} {seen.group}")


def looked(facts: TlsFacts) -> int:
    """Return a number for what a look at depth `full` has found; the order of suites counts where it is the server's."""
    plain = facts.model_dump()
    for version, names in plain["suites"].items():
        if plain["preference"].get(version) != "server":
            names.sort()
    return _number(json.dumps(plain, sort_keys=True))


@lru_cache(maxsize=4096)
def _number(text: str) -> int:
    """Return 64 bits, as both databases hold them."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)
