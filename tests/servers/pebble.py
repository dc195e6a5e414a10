"""Pebble, a real ACME server (RFC 8555), with a DNS of its own in which every name is 127.0.0.1.

Its state is in memory: a restart forgets every account and makes new roots.
"""

import base64
import contextlib
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.processes import NotStarted, Process, free_port, program
from tests.servers.tls import LOOPBACK, CertificateAuthority

PACKAGE = "pebble"
READY_IN = 30.0


@dataclass(frozen=True, kw_only=True)
class PebbleOptions:
    """What Pebble is to do differently from its defaults.

    `dns_server` ("127.0.0.1:5353") replaces the built-in DNS, so that dns-01 is checked in a real zone.
    Pebble looks for our http-01 and tls-alpn-01 responders on `http01_port` and `tlsalpn01_port`.
    `noncereject` is the percentage of good nonces refused; `validity` is the certificates' life in seconds.
    `eab` maps key ids to base64url MAC keys and makes external account binding a must (see `new_eab_key`).
    `retry_after` is the seconds asked for between polls; 0 sends no Retry-After.
    `takes_its_time`: each validation waits up to 5 s, at random, as it does if not told otherwise.
    """

    dns_server: str | None = None
    http01_port: int | None = None
    tlsalpn01_port: int | None = None
    noncereject: int = 0
    blocklist: tuple[str, ...] = ()
    validity: int = 90 * 24 * 3600
    eab: Mapping[str, str] = field(default_factory=dict, repr=False)
    authz_reuse: int = 0
    strict: bool = True
    retry_after: int = 0
    chain_length: int = 1
    alternate_roots: int = 0
    takes_its_time: bool = False


class Pebble:
    """A running Pebble; `dir_url` is its directory, `ca_pem` the file with the root of its API's certificate."""

    def __init__(self, directory: Path, *, options: PebbleOptions, ca: CertificateAuthority) -> None:
        self.options = options
        self.port, self._management, self._dns, self._dns_api = (free_port() for _ in range(4))
        self.http01_port = options.http01_port or free_port()
        self.tlsalpn01_port = options.tlsalpn01_port or free_port()
        self.ca_pem = directory / "api-ca.pem"
        self.ca_pem.write_bytes(ca.pem)
        self._directory = directory
        self._certificate, self._key = ca.issue(*LOOPBACK).write(directory / "api")
        self._api = httpx.Client(verify=ca.client_context(), trust_env=False, timeout=10)
        self._processes: list[Process] = []

    @property
    def dir_url(self) -> str:
        """The ACME directory's URL (https)."""
        return f"https://localhost:{self.port}/dir"

    @property
    def dns_server(self) -> str:
        """The host:port that Pebble asks for names."""
        return self.options.dns_server or f"127.0.0.1:{self._dns}"

    def start(self) -> None:
        """Start Pebble (and its DNS, unless another is named) and return when both answer."""
        if self.options.dns_server is None:
            self._processes.append(self._start_dns())
        config = self._directory / "pebble.json"
        config.write_text(json.dumps({"pebble": self._config()}))
        args = [program("pebble", package=PACKAGE), "-config", str(config), "-dnsserver", self.dns_server]
        args += ["-strict"] if self.options.strict else []
        self._processes.append(Process(args, log=self._directory / "pebble.log", env=self._environment()))
        self._wait()

    def stop(self) -> None:
        """Stop it; its accounts, orders and roots are gone."""
        while self._processes:
            self._processes.pop().stop()

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        self._api.close()

    def roots(self) -> list[str]:
        """Return the PEM of the issuing root, then those of the alternate roots."""
        return [self._managed(f"roots/{number}").text for number in range(1 + self.options.alternate_roots)]

    def issued(self) -> int:
        """Return how many certificates it says to have issued."""
        return (self._directory / "pebble.log").read_text(errors="replace").count("Issued certificate serial")

    def certificate_status(self, serial: int) -> str:
        """Return "Valid" or "Revoked"."""
        return str(self._managed(f"cert-status-by-serial/{serial:x}").json()["Status"])

    def set_txt(self, name: str, value: str) -> None:
        """Put a TXT record into the built-in DNS."""
        self._tell_dns("set-txt", host=_absolute(name), value=value)

    def clear_txt(self, name: str) -> None:
        """Take the TXT records of a name out of the built-in DNS."""
        self._tell_dns("clear-txt", host=_absolute(name))

    def set_servfail(self, name: str) -> None:
        """Make the built-in DNS answer SERVFAIL for a name."""
        self._tell_dns("set-servfail", host=_absolute(name))

    def clear_servfail(self, name: str) -> None:
        """Let the built-in DNS answer for the name again."""
        self._tell_dns("clear-servfail", host=_absolute(name))

    def _tell_dns(self, command: str, **body: str) -> None:
        self._api.post(f"http://127.0.0.1:{self._dns_api}/{command}", json=body).raise_for_status()

    def _managed(self, path: str) -> httpx.Response:
        return self._api.get(f"https://localhost:{self._management}/{path}").raise_for_status()

    def _start_dns(self) -> Process:
        listeners = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-dns01", f"127.0.0.1:{self._dns}"]
        answers = [
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-management",
            f"127.0.0.1:{self._dns_api}",
        ]
        args = [program("pebble-challtestsrv", package=PACKAGE), *listeners, *answers]
        process = Process(args, log=self._directory / "dns.log")
        process.wait_port(self._dns_api)
        return process

    def _config(self) -> dict[str, Any]:
        return {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self._certificate),
            "privateKey": str(self._key),
            "httpPort": self.http01_port,
            "tlsPort": self.tlsalpn01_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(self.options.eab),
            "externalAccountMACKeys": dict(self.options.eab),
            "domainBlocklist": list(self.options.blocklist),
            "retryAfter": {"authz": self.options.retry_after, "order": self.options.retry_after},
            "certificateValidityPeriod": self.options.validity,
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PEBBLE_VA_NOSLEEP": "0" if self.options.takes_its_time else "1",
            "PEBBLE_WFE_NONCEREJECT": str(self.options.noncereject),
            "PEBBLE_AUTHZREUSE": str(self.options.authz_reuse),
            "PEBBLE_CHAIN_LENGTH": str(self.options.chain_length),
            "PEBBLE_ALTERNATE_ROOTS": str(self.options.alternate_roots),
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_IN
        while time.monotonic() < deadline:
            for process in self._processes:
                process.check()
            with contextlib.suppress(httpx.TransportError, ssl.SSLError):
                self._api.get(self.dir_url).raise_for_status()
                return
            time.sleep(0.01)
        raise NotStarted(f"Pebble gave no directory in {READY_IN} s. {self._processes[-1].tail()}")


def new_eab_key() -> str:
    """Make an HMAC key for external account binding, in base64url without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def _absolute(name: str) -> str:
    return name.rstrip(".") + "."


StartPebble = Callable[..., Pebble]
"""Takes the fields of `PebbleOptions` as keywords."""


@contextlib.contextmanager
def _starter(tmp_path_factory: pytest.TempPathFactory, ca: CertificateAuthority) -> Iterator[StartPebble]:
    with contextlib.ExitStack() as running:

        def start(**options: Any) -> Pebble:
            server = Pebble(tmp_path_factory.mktemp("pebble"), options=PebbleOptions(**options), ca=ca)
            running.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def pebble(tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority) -> Iterator[Pebble]:
    """One Pebble with the default options for the whole run."""
    with _starter(tmp_path_factory, lab_ca) as start:
        yield start()


@pytest.fixture
def start_pebble(
    tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority
) -> Iterator[StartPebble]:
    """Start Pebbles of the test's own: `start_pebble(noncereject=20, dns_server=bind.address)`."""
    with _starter(tmp_path_factory, lab_ca) as start:
        yield start
