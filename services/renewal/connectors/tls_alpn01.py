"""Answers tls-alpn-01 challenges (RFC 8737), and nothing else: a listener small enough for port 443.

Who asks is told apart by the server name in its first message, which is read before the answer is looked up.
"""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import anyio.abc
import anyio.streams.tls
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.renewal.connectors.listening import Find, answer_each
from shared.tls import load_identity
from shared.x509 import general_name

PROTOCOL = "acme-tls/1"
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (RFC 8737 §6.1)."""
_OCTET_STRING = 4
_LARGEST = 16 * 1024
_REVERSED = (".in-addr.arpa", ".ip6.arpa")
_NIBBLES = 32


class Listener:
    """Shows the certificates of the names that `find` knows."""

    def __init__(self, host: str, port: int, *, find: Find) -> None:
        """`find` goes from a name or an address to the key authorization that is to be shown."""
        self._host = host
        self._port = port
        self._find = find

    async def run(self) -> None:
        """Answer until cancelled. Raises `Unavailable` where the port is taken."""
        await answer_each(self._host, self._port, challenge="tls-alpn-01", answer=self._answer)

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        hello, server_name = await _hello(stream)
        name = identifier_of(server_name) if server_name else None
        authorization = await self._find(name) if name else None
        if name is None or authorization is None:
            return
        context = shown(name, authorization)
        tls = await anyio.streams.tls.TLSStream.wrap(
            _Again(stream, hello), server_side=True, ssl_context=context, standard_compatible=False
        )
        # The authority has seen it with the handshake, and closes (RFC 8737 §3).
        async with tls:
            await tls.receive(1)


def shown(name: str, authorization: str) -> ssl.SSLContext:
    """Return a context that shows the certificate for a key authorization, to who speaks the protocol alone."""
    certificate, key = challenge_certificate(name, authorization)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([PROTOCOL])
    load_identity(context, certificate=certificate, key=key)
    return context


def challenge_certificate(name: str, authorization: str) -> tuple[str, str]:
    """Return the self-signed certificate of RFC 8737 §3 and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([])
    digest = sha256(authorization.encode()).digest()
    proof = x509.UnrecognizedExtension(IDENTIFIER, bytes((_OCTET_STRING, len(digest))) + digest)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=True)
        .add_extension(proof, critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


def identifier_of(server_name: str) -> str | None:
    """Return the name or address that a server name stands for: addresses come as reverse names (RFC 8738 §6)."""
    name = server_name.lower().removesuffix(".")
    if not name.endswith(_REVERSED):
        return name
    labels = name.split(".")[:-2][::-1]
    text = ".".join(labels)
    if name.endswith(_REVERSED[1]):
        nibbles = "".join(labels)
        text = ":".join(nibbles[at : at + 4] for at in range(0, _NIBBLES, 4))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


async def _hello(stream: anyio.abc.SocketStream) -> tuple[bytes, str | None]:
    """Read until OpenSSL has found the server name in it, or that there is none; return both."""
    found: list[str | None] = []

    def named(_connection: object, name: str | None, _context: object) -> int:
        found.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # this handshake goes no further

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = named
    incoming, hello = ssl.MemoryBIO(), b""
    reader = context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    while len(hello) < _LARGEST:
        part = await stream.receive(_LARGEST)
        hello += part
        incoming.write(part)
        try:
            reader.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            break
    return hello, found[0] if found else None


class _Again(anyio.abc.ByteStream):
    """A stream of which the beginning was read, and is read once more."""

    def __init__(self, stream: anyio.abc.SocketStream, begun: bytes) -> None:
        self._stream = stream
        self._begun = begun

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive what was read, then what comes."""
        if self._begun:
            part, self._begun = self._begun[:max_bytes], self._begun[max_bytes:]
            return part
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send."""
        await self._stream.send(item)

    async def send_eof(self) -> None:
        """Send no more."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()
