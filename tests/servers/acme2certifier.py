"""acme2certifier, a real ACME server with renewal information (RFC 9773), profiles and external accounts.

It is GPL-3: a tool of the tests alone, which runs as a program of its own, in an environment of its own that
`install.sh` makes, and is imported by nothing here. What it lacks stands in front of it, as the RFC has it: TLS, and that
an order which replaces a certificate a second time is refused with `alreadyReplaced` (RFC 9773 §5).
"""

import base64
import contextlib
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.servers.api import Api, Asked, Told
from tests.servers.processes import MissingServer, Process, free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PYTHON = _CACHE / "everleaf/acme2certifier/bin/python"
_SERVE = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from acme2certifier.share import acme2certifier_wsgi as program

class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]

make_server("127.0.0.1", int(sys.argv[1]), program.application, handler_class=Handler).serve_forever()
"""
_DROPPED = {"connection", "content-length", "transfer-encoding", "date", "server"}


class Acme2certifier:
    """A running one; `dir_url` is its directory. `profiles` are what it offers; `eab` maps key ids to base64url keys."""

    def __init__(
        self,
        directory: Path,
        *,
        ca: CertificateAuthority,
        profiles: tuple[str, ...] = (),
        eab: dict[str, str] | None = None,
        window_from: int = 85,
    ) -> None:
        """The suggested window begins when `window_from` per cent of a certificate's life are over."""
        self.ca = ca
        self.ordered: list[dict[str, Any]] = []
        """The payload of every new order."""
        self._directory = directory
        self._port = free_port()
        self.front = _Front(self, context=ca.issue(*LOOPBACK).server_context(directory))
        self._process: Process | None = None
        self.replaced: set[str] = set()
        (directory / "certs").mkdir()
        (directory / "kids.json").write_text(json.dumps(eab or {}))
        (directory / "acme_srv.cfg").write_text(
            self._config(profiles, has_eab=bool(eab), window_from=window_from)
        )

    @property
    def dir_url(self) -> str:
        """The ACME directory's URL (https)."""
        return f"{self.front.url}/directory"

    @property
    def port(self) -> int:
        """Where the program itself listens."""
        return self._port

    def start(self) -> None:
        """Start it, and return when it listens."""
        if not PYTHON.exists():
            raise MissingServer(f"{PYTHON} is not there. Install it with: sh tests/servers/install.sh")
        env = {
            "ACME_SRV_CONFIGFILE": str(self._directory / "acme_srv.cfg"),
            "ACME2CERTIFIER_BASE_DIR": str(self._directory),
            "ACME2CERTIFIER_I_KNOW_THE_RISK": "1",
        }
        self._process = Process(
            [PYTHON, "-c", _SERVE, str(self._port)], log=self._directory / "a2c.log", env=env
        )
        self._process.wait_port(self._port)
        self.front.start()

    def stop(self) -> None:
        """Stop it."""
        self.front.stop()
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self, profiles: tuple[str, ...], *, has_eab: bool, window_from: int) -> str:
        here = self._directory
        (here / "ca.pem").write_bytes(self.ca.pem)
        (here / "ca.key").write_bytes(
            self.ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (here / "ca.key").chmod(0o600)
        offered = json.dumps({name: f"https://ca.example.test/{name}" for name in profiles})
        bound = f"""
[EABhandler]
eab_handler_file: {PYTHON.parents[1]}/lib/{_lib()}/site-packages/acme2certifier/eabhandlers/json_handler.py
key_file: {here}/kids.json
"""
        ordering = f"[Order]\nprofiles: {offered}\nprofiles_check_disable: True\n" if profiles else ""
        return f"""
[DEFAULT]
debug: False
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {here}/ca.key
issuing_ca_cert: {here}/ca.pem
issuing_ca_crl: {here}/crl.pem
cert_validity_days: 30
cert_save_path: {here}/certs
ca_cert_chain_list: []
[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {here}/acme.db
[Challenge]
challenge_validation_disable: True
[Renewalinfo]
renewalthreshold_pctg: {window_from}
retry_after_timeout: 3600
{ordering}{bound if has_eab else ""}"""


def _lib() -> str:
    return next((PYTHON.parents[1] / "lib").iterdir()).name


class _Front(Api):
    """TLS, and what RFC 9773 §5 wants of a server."""

    def __init__(self, server: Acme2certifier, *, context: ssl.SSLContext) -> None:
        super().__init__(lambda _asked: Told(), context=context)
        self._behind = server

    def answer(self, asked: Asked) -> Told | bytes:
        """Look at new orders, and hand everything on; `twist` may change what is told."""
        self.asked.append(asked)
        told = self._judged(asked)
        return self.twist(asked, told) if self.twist else told  # type: ignore[arg-type] # bytes are told, too

    def _judged(self, asked: Asked) -> Told | bytes:
        payload = _payload(asked) if asked.path.endswith("/neworders") else None
        if payload is None:
            return self._handed_on(asked)
        self._behind.ordered.append(payload)
        old = payload.get("replaces")
        if old in self._behind.replaced:
            return _already_replaced()
        if old is not None:
            self._behind.replaced.add(old)
        return self._handed_on(asked)

    def _handed_on(self, asked: Asked) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._behind.port}{asked.path}", asked.body or None, method=asked.method
        )
        for name, value in asked.headers.items():
            if name not in _DROPPED:
                request.add_header(name, value)
        request.add_header("X-Forwarded-Proto", "https")
        try:
            with urllib.request.urlopen(request, timeout=30) as told:
                return _raw(told.status, told.headers, told.read())
        except urllib.error.HTTPError as told:
            with told:
                return _raw(told.code, told.headers, told.read())


def _payload(asked: Asked) -> dict[str, Any]:
    text = json.loads(asked.body)["payload"]
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return document


def _already_replaced() -> Told:
    document = {
        "type": "urn:ietf:params:acme:error:alreadyReplaced",
        "detail": "the certificate was replaced by another order",
        "status": 409,
    }
    return Told(status=409, document=document, headers={"Content-Type": "application/problem+json"})


def _raw(status: int, headers: Any, body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in _DROPPED]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


StartAcme2certifier = Callable[..., Acme2certifier]


@pytest.fixture(scope="module")
def start_acme2certifier(
    tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority
) -> Iterator[StartAcme2certifier]:
    """Start some: `start_acme2certifier(profiles=("short",))`."""
    with contextlib.ExitStack() as running:

        def start(**options: Any) -> Acme2certifier:
            server = Acme2certifier(tmp_path_factory.mktemp("acme2certifier"), ca=lab_ca, **options)
            running.callback(server.stop)
            server.start()
            return server

        yield start
