"""A static Certificate Transparency log (c2sp.org/static-ct-api) in memory, that grows and misbehaves as told.

It computes its tree by the recursion of RFC 6962 §2.1, and so by another way than the reader does.
"""

import base64
import contextlib
import gzip
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority

ORIGIN = "ct.example.test/2026h2"
WIDTH = 256


def sized(value: bytes, length_size: int) -> bytes:
    """Return a vector of TLS's presentation language: its length, then itself."""
    return len(value).to_bytes(length_size) + value


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """An entry as the tree hashes it, and what follows it in a data tile."""

    timestamped: bytes
    rest: bytes

    @property
    def hash(self) -> bytes:
        """The hash of its MerkleTreeLeaf."""
        return hashlib.sha256(b"\x00\x00\x00" + self.timestamped).digest()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer instead of the truth."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Twist = Callable[[str, bytes], Reply | None]
"""Sees the path and the true answer; None lets the truth through."""


class _Certificates:
    """Makes certificates fast: one key, one issuer."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CT test issuer")])

    def make(self, *names: str, common_name: str | None = None, poison: bool = False) -> x509.Certificate:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.issuer)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=90))
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
        if poison:
            builder = builder.add_extension(x509.PrecertPoison(), critical=True)
        return builder.sign(self.key, hashes.SHA256())


class CtLog:
    """A log at `url`; `append` adds entries, `publish` signs a checkpoint over what it holds."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.origin = ORIGIN
        self.leaves: list[Leaf] = []
        self.requests: list[str] = []
        self.request_times: list[float] = []
        self.twist: Twist | None = None
        self.compresses = True
        self.drops_old_partial_tiles = False
        self.port = free_port()
        self._certificates = _Certificates()
        self._fillers: dict[str, bytes] = {}
        self._checkpoint = b""
        self._published: list[int] = []
        self._context = context
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.publish()

    @property
    def url(self) -> str:
        """The monitoring prefix, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://localhost:{self.port}/2026h2"

    @property
    def public_key(self) -> str:
        """The key as log lists have it: base64 of the DER."""
        der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.leaves)

    def append(self, *names: str, precertificate: bool = False, common_name: str | None = None) -> None:
        """Add one entry for these names."""
        if precertificate:
            self._append_precertificate(*names)
        else:
            der = self._certificates.make(*names, common_name=common_name).public_bytes(Encoding.DER)
            self.append_raw(der)

    def _append_precertificate(self, *names: str) -> None:
        submitted = self._certificates.make(*names, poison=True).public_bytes(Encoding.DER)
        tbs = self._certificates.make(*names).tbs_certificate_bytes  # as after the poison is taken out
        self.append_raw(tbs, issuer_key_hash=b"\x07" * 32, submitted=submitted)

    def append_raw(
        self, certificate: bytes, *, issuer_key_hash: bytes = b"", submitted: bytes | None = None
    ) -> None:
        """Add an entry with any bytes for a certificate."""
        kind = 0 if submitted is None else 1
        index = sized(b"\x00" + sized(len(self.leaves).to_bytes(5), 2), 2)
        timestamp = int(time.time() * 1000).to_bytes(8)
        timestamped = timestamp + kind.to_bytes(2) + issuer_key_hash + sized(certificate, 3) + index
        rest = (b"" if submitted is None else sized(submitted, 3)) + sized(b"\x01" * 64, 2)
        self.leaves.append(Leaf(timestamped=timestamped, rest=rest))

    def fill(self, count: int, *, name: str = "filler.invalid") -> None:
        """Add many entries for one and the same certificate, which costs nearly nothing."""
        if name not in self._fillers:
            self._fillers[name] = self._certificates.make(name).public_bytes(Encoding.DER)
        for _ in range(count):
            self.append_raw(self._fillers[name])

    def publish(self) -> None:
        """Sign a checkpoint over all there is."""
        self._published.append(self.size)
        self._checkpoint = self.checkpoint(self.size, self.root())

    def root(self) -> bytes:
        """Return the root over all there is."""
        return tree_hash(tuple(leaf.hash for leaf in self.leaves))

    def checkpoint(
        self,
        size: int,
        root: bytes,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        origin: str | None = None,
    ) -> bytes:
        """Return a signed checkpoint over any size and root."""
        key, origin = key or self.key, origin or self.origin
        timestamp = int(time.time() * 1000).to_bytes(8)
        head = b"\x00\x01" + timestamp + size.to_bytes(8) + root
        signature = timestamp + b"\x04\x03" + sized(key.sign(head, ec.ECDSA(hashes.SHA256())), 2)
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        log_id = hashlib.sha256(der).digest()
        key_id = hashlib.sha256(f"{origin}\n".encode() + b"\x05" + log_id).digest()[:4]
        text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        witness = f"\u2014 witness.example {base64.b64encode(b'some' + b'x' * 64).decode()}\n"
        ours = f"\u2014 {origin} {base64.b64encode(key_id + signature).decode()}\n"
        return (text + "\n" + witness + ours).encode()

    def start(self) -> None:
        """Start listening, after a stop on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = False
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="ct-log")
        self._thread.start()

    def stop(self) -> None:
        """Stop listening: further connections are refused until the next start."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def answer(self, path: str) -> Reply:
        """Return the answer to a request for a path."""
        self.requests.append(path)
        self.request_times.append(time.monotonic())
        true = self._true(path)
        twisted = self.twist(path, true or b"") if self.twist is not None else None
        if twisted is not None:
            return twisted
        if true is None:
            return Reply(status=404, body=b"not found")
        if self.compresses and "/data/" in path:
            return Reply(body=gzip.compress(true, 1), headers={"Content-Encoding": "gzip"})
        return Reply(body=true)

    def _true(self, path: str) -> bytes | None:
        match path.split("/"):
            case ["checkpoint"]:
                return self._checkpoint
            case ["tile", "data", *number]:
                return self._data(number)
            case ["tile", level, *number]:
                return self._hashes(int(level), number)
        return None

    def _data(self, number: Sequence[str]) -> bytes | None:
        span = self._span(0, number)
        if span is None:
            return None
        return b"".join(leaf.timestamped + leaf.rest for leaf in self.leaves[span.start : span.stop])

    def _hashes(self, level: int, number: Sequence[str]) -> bytes | None:
        span = self._span(level, number)
        if span is None:
            return None
        each, leaves = WIDTH**level, [leaf.hash for leaf in self.leaves]
        return b"".join(tree_hash(tuple(leaves[n * each : (n + 1) * each])) for n in span)

    def _span(self, level: int, number: Sequence[str]) -> range | None:
        """Return which subtrees a tile covers; None where there is no such tile, or none that is served."""
        index, width = _parsed(number)
        present = self._published[-1] // WIDTH**level
        start = index * WIDTH
        if start + width > present:
            return None
        if width < WIDTH:
            widths = {(size // WIDTH**level) - start for size in self._published}
            is_old = self.drops_old_partial_tiles and present >= start + WIDTH
            if width not in widths or is_old:
                return None
        return range(start, start + width)


def tree_hash(leaves: tuple[bytes, ...]) -> bytes:
    """Return the Merkle Tree Hash (RFC 6962 §2.1) over the hashes of leaves, by its definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return _node(tree_hash(leaves[:split]), tree_hash(leaves[split:]))


@lru_cache(maxsize=200_000)
def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _parsed(number: Sequence[str]) -> tuple[int, int]:
    """Return index and width of `x001/x234/067` or `x001/234.p/17`."""
    width, parts = WIDTH, list(number)
    if len(parts) > 1 and parts[-2].endswith(".p"):
        width = int(parts.pop())
        parts[-1] = parts[-1].removesuffix(".p")
    assert all(part.startswith("x") for part in parts[:-1])
    assert not parts[-1].startswith("x")
    return int("".join(part.removeprefix("x") for part in parts)), width


def _handler(log: CtLog) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            prefix = "/2026h2/"
            path = self.path.removeprefix(prefix) if self.path.startswith(prefix) else ""
            reply = log.answer(path)
            with contextlib.suppress(OSError):  # the client has left
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            pass

    return Handler


StartCtLog = Callable[..., CtLog]
"""Takes `tls=True` for https, with a certificate of the test authority."""


@pytest.fixture
def start_ct_log(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[StartCtLog]:
    """Start logs: `start_ct_log()` for http, `start_ct_log(tls=True)` for https."""
    with contextlib.ExitStack() as running:

        def start(*, tls: bool = False) -> CtLog:
            context = lab_ca.issue(*LOOPBACK).server_context(tmp_path / "ct-log") if tls else None
            log = CtLog(context=context)
            running.callback(log.stop)
            log.start()
            return log

        yield start


@pytest.fixture
def ct_log(start_ct_log: StartCtLog) -> CtLog:
    """One log over http for this test."""
    return start_ct_log()
