"""What only EST does; and that its server here is one, as strongSwan's client sees it."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from services.renewal.connectors import NotNow, Pending
from services.renewal.connectors.est import EstOptions, EstSecrets
from services.renewal.domain.keys import KeyType, new_key, new_request
from shared.errors import Invalid
from tests.conformance.authorities.est import EstBench, est_bench
from tests.servers.processes import program
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def bench(tmp_path: Path, lab_ca: CertificateAuthority) -> AsyncIterator[EstBench]:
    async with est_bench(tmp_path, lab_ca) as opened:
        yield opened


async def test_what_waits_for_a_person_is_asked_for_again_and_issued_once(bench: EstBench) -> None:
    assert bench.server is not None
    bench.server.is_holding = True
    request = bench.request("patience.example.test")
    async with bench.opened() as authority:
        told = await bench.step(authority, request, None, resumed=False)
        assert isinstance(told, Pending)
        again = await bench.step(authority, request, told.state, resumed=True)
        assert isinstance(again, Pending)
    assert told.retry_after == timedelta(seconds=30), "the server's own word"
    assert (bool(told.text), again.text) == (True, None), "it is said once"
    bench.server.is_holding = False
    bench.check(request, await bench.issue(request, again.state))
    assert len(bench.server.issued) == 1


async def test_an_answer_that_is_no_message_is_no_certificate(bench: EstBench) -> None:
    assert bench.server is not None
    bench.server.answer = base64.b64encode(b"nonsense")
    with pytest.raises(NotNow, match="no certificates"):
        await bench.issue(bench.request("odd.example.test"))


@pytest.mark.parametrize("secrets", [{}, {"password": None}])
def test_a_login_is_needed(secrets: dict[str, None]) -> None:
    with pytest.raises(ValueError, match="password or a client certificate"):
        EstSecrets.model_validate(secrets)


async def test_a_key_that_is_not_the_certificates_is_refused_at_once(
    bench: EstBench, lab_ca: CertificateAuthority
) -> None:
    one, other = (lab_ca.issue("a.example.test") for _ in range(2))
    options = EstOptions.model_validate(
        {"url": "https://est.example.test", "certificate_pem": one.certificate_pem.decode()}
    )
    secrets = EstSecrets.model_validate({"key_pem": other.key_pem.decode()})
    with pytest.raises(Invalid, match="cannot be used together"):
        bench.kind.found(options, secrets=secrets, name="est", now=one.certificate.not_valid_before_utc)


async def test_strongswans_client_enrols_at_the_same_server(
    bench: EstBench, tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    assert bench.server is not None
    ca_file = tmp_path / "lab-ca.pem"
    ca_file.write_bytes(lab_ca.pem)
    csr = new_request(new_key(KeyType.ECDSA_P256), ("swan.example.test",))
    command = [
        program("pki", package="strongswan-pki"),
        "--est",
        "--url",
        f"https://localhost:{bench.server.port}",
    ]
    command += ["--userpass", f"device:{bench.server.password}"]
    command += ["--cacert", str(ca_file), "--outform", "pem"]
    done = await asyncio.to_thread(subprocess.run, command, input=csr, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    [issued] = bench.server.issued
    assert x509.load_pem_x509_certificate(done.stdout) == issued
