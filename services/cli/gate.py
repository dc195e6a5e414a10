"""`--fail-on`: what a pipeline does not let pass."""

from datetime import UTC, datetime, timedelta

from services.cli import durations
from services.cli.facts import facts_of
from services.discovery.domain.sightings import Sighting
from shared.errors import Invalid
from shared.x509 import CertificateFacts

LEAST_RSA = 2048
LEAST_EC = 224
_OLD_VERSIONS = {"TLSv1.1", "TLSv1", "SSLv3", "SSLv2"}


class Gate:
    """Says a line for each thing that it was told to look out for."""

    def __init__(self, text: str) -> None:
        """Read `expired,expiring=30d,weak,self-signed`. Raises `Invalid`."""
        self._wanted = {part.partition("=")[0] for part in filter(None, text.split(","))}
        self._soon = timedelta()
        for part in filter(None, text.split(",")):
            self._read(part)

    def _read(self, part: str) -> None:
        name, _, value = part.partition("=")
        soon = durations.read(value)
        if name == "expiring" and soon is not None:
            self._soon = soon
        elif name not in ("expired", "weak", "self-signed") or value:
            raise Invalid(
                f"--fail-on: {part!r} is none of the things that can be looked out for.",
                next_step="Write expired, expiring=30d, weak or self-signed, with commas between.",
            )

    def check(self, sighting: Sighting) -> list[str]:
        """Return what there is at one place."""
        facts = facts_of(sighting.chain[0]) if self._wanted and sighting.chain else None
        if facts is None:
            return []
        asked = sighting.asked
        where = f"{asked.address}:{asked.port} {asked.server_name or ''}"
        return [f"{where}: {finding}" for finding in self._found(sighting, facts)]

    def _found(self, sighting: Sighting, facts: CertificateFacts) -> list[str]:
        found = []
        now = datetime.now(UTC)
        if facts.not_after < now and self._wanted & {"expired", "expiring"}:
            found.append(f"expired on {facts.not_after.date()}")
        elif "expiring" in self._wanted and facts.not_after - now < self._soon:
            found.append(f"expires on {facts.not_after.date()}")
        if "self-signed" in self._wanted and facts.is_self_issued:
            found.append("self-signed")
        if "weak" in self._wanted:
            found += weaknesses(sighting, facts)
        return found


def weaknesses(sighting: Sighting, facts: CertificateFacts) -> list[str]:
    """Return what is weak: keys (BR §6.1.5), signatures (BR §7.1.3.2), versions (RFC 8996)."""
    weak = []
    if facts.key_type in ("rsa", "dsa") and facts.key_bits < LEAST_RSA:
        weak.append(f"weak key: {facts.key_type} with {facts.key_bits} bits")
    if facts.key_type.startswith("ecdsa") and facts.key_bits < LEAST_EC:
        weak.append(f"weak key: {facts.key_type}")
    if any(name in facts.signature_algorithm.lower() for name in ("sha1", "md5")):
        weak.append(f"weak signature: {facts.signature_algorithm}")
    if sighting.tls_version in _OLD_VERSIONS:
        weak.append(f"nothing newer than {sighting.tls_version}")
    return weak
