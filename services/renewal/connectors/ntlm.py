"""NTLM over HTTPS (MS-NTHT), bound to the TLS channel (RFC 5929 `tls-server-end-point`), as IIS may want it.

NTLM logs a connection in, not a request: what follows on the same connection is not asked again.
"""

import base64
import binascii
import struct
from collections.abc import Generator

import httpx
import spnego
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from services.renewal.connectors import NotNow

_SCHEME = "NTLM"
_NONSENSE = (SpnegoError, ValueError, IndexError, KeyError, struct.error)
"""What a challenge that is none may end in."""


class NtlmAuth(httpx.Auth):
    """Logs in where the server asks for NTLM."""

    def __init__(self, username: str, password: str) -> None:
        r"""Take a name as `DOMAIN\name` or `name@domain`."""
        self._username = username
        self._password = password

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send, and log in where that is wanted: two more round trips. Raises `NotNow`."""
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or _SCHEME not in _offered(response):
            return
        context = spnego.client(
            self._username,
            self._password,
            hostname=request.url.host,
            service="HTTP",
            protocol="ntlm",
            channel_bindings=_bindings(response),
        )
        token: bytes | None = None
        for _ in range(2):  # NEGOTIATE, then AUTHENTICATE with the answer to the server's CHALLENGE
            try:
                told = context.step(token)
            except _NONSENSE as error:
                raise NotNow("The server's NTLM challenge cannot be answered.") from error
            request.headers["Authorization"] = f"{_SCHEME} {base64.b64encode(told or b'').decode()}"
            response = yield request
            token = _token(response)
            if response.status_code != httpx.codes.UNAUTHORIZED or token is None:
                return


def _offered(response: httpx.Response) -> set[str]:
    return {
        each.split(" ", 1)[0].upper()
        for each in response.headers.get_list("www-authenticate", split_commas=True)
    }


def _token(response: httpx.Response) -> bytes | None:
    for each in response.headers.get_list("www-authenticate", split_commas=True):
        scheme, _, text = each.strip().partition(" ")
        if scheme.upper() == _SCHEME and text:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                return None
    return None


def _bindings(response: httpx.Response) -> GssChannelBindings | None:
    """Return what names the TLS channel: the hash of the server's certificate (RFC 5929 §4.1)."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if der is None:
        return None
    digest = hashes.Hash(_hash_of(x509.load_der_x509_certificate(der)))
    digest.update(der)
    return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


def _hash_of(certificate: x509.Certificate) -> hashes.HashAlgorithm:
    """Return that of the certificate's signature; SHA-256 in place of MD5, SHA-1 and of none."""
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        used = None
    return hashes.SHA256() if used is None or used.digest_size < hashes.SHA256.digest_size else used
