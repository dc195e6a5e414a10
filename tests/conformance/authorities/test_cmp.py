"""What only CMP does: OpenSSL's client and server agree with ours, and an answer that is not from the CA is not taken."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.connectors import Issued, NotNow
from services.renewal.connectors.cmp import Cmp, CmpOptions, CmpSecrets
from services.renewal.domain.keys import KeyType, new_key, new_request, to_pem
from shared.errors import Invalid
from shared.events.renewal import RevocationReason
from tests.conformance.authorities.bench import Bench, on_loopback
from tests.conformance.authorities.cmp import CmpBench, cmp_bench
from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def bench() -> AsyncIterator[CmpBench]:
    async with cmp_bench() as opened:
        yield opened


async def test_openssls_client_enrols_at_the_same_server(bench: CmpBench, tmp_path: Path) -> None:
    assert bench.server is not None
    key = new_key(KeyType.ECDSA_P256)
    csr, out, key_file = (tmp_path / name for name in ("request.der", "certificate.pem", "key.pem"))
    csr.write_bytes(new_request(key, ("openssl.example.test",)))
    key_file.write_bytes(to_pem(key))
    root = tmp_path / "root.pem"
    root.write_bytes(bench.server.root.pem)
    command = [
        program("openssl", package="openssl"),
        "cmp",
        "-cmd",
        "p10cr",
        "-server",
        f"127.0.0.1:{bench.server.port}",
    ]
    command += ["-path", "/.well-known/cmp/p/servers", "-ref", bench.server.reference]
    command += [
        "-secret",
        f"pass:{bench.server.secret}",
        "-csr",
        str(csr),
        "-certout",
        str(out),
        "-newkey",
        str(key_file),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    [issued] = bench.server.certificates
    assert x509.load_pem_x509_certificate(out.read_bytes()) == issued


class Forwarder:
    """Passes questions on over one connection: OpenSSL's mock forgets a transaction when that ends, and speaks HTTP/1.0."""

    def __init__(self, port: int) -> None:
        self._there = HTTPConnection("127.0.0.1", port, timeout=20)
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.port = self._server.server_port

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._there.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        there = self._there

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {"Content-Type": self.headers["content-type"], "Connection": "keep-alive"}
                try:
                    there.request("POST", self.path, body=body, headers=headers)
                    answer = there.getresponse()
                except (BrokenPipeError, RemoteDisconnected):  # it hangs up when a transaction is over
                    there.close()
                    there.request("POST", self.path, body=body, headers=headers)
                    answer = there.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler


StartMock = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def openssl(tmp_path: Path, lab_ca: CertificateAuthority) -> AsyncIterator[tuple[StartMock, Any]]:
    """OpenSSL's mock server, which answers every request with one certificate: that of `request`."""
    running: list[Process] = []
    between: list[Forwarder] = []
    key = new_key(KeyType.ECDSA_P256)
    names = ("mock.example.test",)
    csr = new_request(key, names)
    certificate = tmp_path / "issued.pem"
    certificate.write_bytes(lab_ca.sign(x509.load_der_x509_csr(csr)).public_bytes(Encoding.PEM))

    async def start(*options: str, secret: str = "between us") -> Bench:
        port = free_port()
        command = [program("openssl", package="openssl"), "cmp", "-port", str(port), "-srv_ref", "mock"]
        command += ["-srv_secret", f"pass:{secret}", "-rsp_cert", str(certificate), *options]
        process = Process(command, log=tmp_path / "openssl.log")
        running.append(process)
        await asyncio.to_thread(process.wait_port, port)
        between.append(Forwarder(port))
        return Bench(
            kind=Cmp,
            options={
                "url": f"http://127.0.0.1:{between[-1].port}/pkix/",
                "reference": "mock",
                "root_pem": lab_ca.pem.decode(),
            },
            secrets={"secret": "between us"},
            network=on_loopback(),
        )

    yield start, csr
    for forwarder in between:
        forwarder.close()
    for process in running:
        if process.is_running():
            process.stop()


async def test_openssls_server_issues_and_takes_our_word_for_it(openssl: tuple[StartMock, bytes]) -> None:
    start, csr = openssl
    bench = await start()
    request = replace(bench.request("mock.example.test"), csr=csr)
    told = await bench.issue(request)
    assert isinstance(told, Issued)
    assert bench.check(request, told)


async def test_openssls_server_lets_wait_and_revokes(openssl: tuple[StartMock, bytes]) -> None:
    start, csr = openssl
    bench = await start("-poll_count", "1", "-check_after", "1")
    bench.longest_wait = timedelta(seconds=1)
    request = replace(bench.request("mock.example.test"), csr=csr)
    told = await bench.issue(request)
    async with bench.opened() as authority:
        await authority.revoke(
            told.chain[0],
            issuer=None,
            reason=RevocationReason.SUPERSEDED,
            now=x509.load_der_x509_certificate(told.chain[0]).not_valid_before_utc,
        )


async def test_an_answer_by_another_secret_is_not_taken(openssl: tuple[StartMock, bytes]) -> None:
    start, csr = openssl
    bench = await start("-accept_unprotected", secret="something else")
    with pytest.raises(NotNow, match=r"not by our secret|not protected|no message"):
        await bench.issue(replace(bench.request("mock.example.test"), csr=csr))


async def test_a_certificate_is_confirmed_once_though_the_answer_was_lost(bench: CmpBench) -> None:
    assert bench.server is not None
    request = bench.request("confirmed.example.test")
    async with bench.opened() as authority:
        told = await bench.step(authority, request, None, resumed=False)
        await bench.step(authority, request, told.state, resumed=False)  # type: ignore[union-attr] # it is pending
        again = await bench.step(authority, request, told.state, resumed=True)  # type: ignore[union-attr] # as above
    assert isinstance(again, Issued)
    assert len(bench.server.certificates) == 1


@pytest.mark.parametrize("secrets", [{}, {"key_pem": "no key"}])
async def test_messages_need_a_protection(bench: CmpBench, secrets: dict[str, str]) -> None:
    options = CmpOptions.model_validate(
        {"url": "http://ca.example.test/cmp", "root_pem": bench.options["root_pem"]}
    )
    with pytest.raises(Invalid, match="by a secret or by a certificate"):
        Cmp.found(
            options,
            secrets=CmpSecrets.model_validate(secrets),
            name="cmp",
            now=x509.load_pem_x509_certificate(options.root_pem.encode()).not_valid_before_utc,
        )
