"""What `--fail-on` does not let pass."""

import pytest

from services.cli.gate import Gate, weaknesses
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from shared import x509
from shared.errors import Invalid
from tests.servers.tls import CertificateAuthority


def seen(der: bytes, *, version: str = "TLSv1.3") -> Sighting:
    asked = Asked(address="192.0.2.1", port=443)
    return Sighting(asked=asked, outcome=Outcome.TLS, chain=(der,), tls_version=version)


def test_what_expires_soon_is_found_and_what_expires_later_is_not(lab_ca: CertificateAuthority) -> None:
    facts = x509.read(x509_der(lab_ca))
    gate = Gate(f"expiring={facts.lifetime.days + 1}d")
    assert gate.check(seen(x509_der(lab_ca))) == [f"192.0.2.1:443 : expires on {facts.not_after.date()}"]
    calm = Gate("expired,expiring=1h")
    assert calm.check(seen(x509_der(lab_ca))) == []


def test_an_old_version_is_weak(lab_ca: CertificateAuthority) -> None:
    facts = x509.read(x509_der(lab_ca))
    assert weaknesses(seen(x509_der(lab_ca), version="TLSv1.1"), facts) == ["nothing newer than TLSv1.1"]
    assert weaknesses(seen(x509_der(lab_ca)), facts) == []


def test_the_longest_time_that_can_be_written_is_none_too_long(lab_ca: CertificateAuthority) -> None:
    assert len(Gate("expiring=999999w").check(seen(x509_der(lab_ca)))) == 1


@pytest.mark.parametrize("text", ["ugly", "expiring", "expiring=soon", "expired=1d"])
def test_what_cannot_be_looked_out_for_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--fail-on"):
        Gate(text)


def x509_der(authority: CertificateAuthority) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return authority.issue("a.test").certificate.public_bytes(Encoding.DER)
