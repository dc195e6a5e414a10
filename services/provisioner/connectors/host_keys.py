"""Key pairs that are made on a host by its own openssl, and of which only the public half is ever read.

The options of `genpkey`, `req` and `pkey` are those of OpenSSL 1.1.1 and later
(https://docs.openssl.org/1.1.1/man1/genpkey/, https://docs.openssl.org/1.1.1/man1/req/).
"""

import ipaddress
import re
import shlex
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.provisioner.connectors import WantedKey
from services.provisioner.connectors.sftp import Attributes
from services.provisioner.connectors.ssh import Session
from services.provisioner.domain import DeploymentError, Failure
from shared.x509 import key_fingerprint, load

_ALGORITHMS = {
    "ecdsa-p256": "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve",
    "ecdsa-p384": "-algorithm EC -pkeyopt ec_paramgen_curve:P-384 -pkeyopt ec_param_enc:named_curve",
    "rsa-2048": "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
    "rsa-3072": "-algorithm RSA -pkeyopt rsa_keygen_bits:3072",
    "ed25519": "-algorithm ED25519",
}
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LONGEST = 64
"""X.520 ub-common-name."""
_MOST = 64_000
"""Characters of a request with a hundred names, and of a certificate."""
_PEM = re.compile(
    r"-----BEGIN (?P<what>CERTIFICATE REQUEST|PUBLIC KEY)-----\n[A-Za-z0-9+/=\n]+-----END (?P=what)-----"
)


class HostKey:
    """The key that waits on a host for an order's certificate, beside the file that it is for."""

    def __init__(self, session: Session, *, beside: str, order_id: str) -> None:
        """`beside` has its links followed."""
        self._session = session
        self.beside = beside
        # The end of an order's id: ids that were made in the same minute begin alike. HAProxy loads what is in a folder of
        # certificates, and leaves alone only what is called `.key`.
        self.path = f"{beside}.everleaf-{re.sub('[^A-Za-z0-9]', '', order_id)[-12:]}.key"

    async def request(self, wanted: WantedKey) -> str:
        """Make the key where there is none yet, and return its request in PEM. Raises `DeploymentError`."""
        if await self._session.attributes(self.path) is None:
            await self._make(wanted)
        pem = await self._printed(_request(self.path, wanted.names), what="request")
        public = await self._public()
        if _of_request(pem) != public:
            raise _failed(f"The request that came from {self.path} is of another key.")
        return pem

    async def _make(self, wanted: WantedKey) -> None:
        algorithm = _ALGORITHMS.get(wanted.key_type)
        if algorithm is None:
            raise _failed(f"No {wanted.key_type} key can be made on a host.")
        part, present = self._part, await self._session.attributes(self.beside)
        await self._session.remove(part)
        quoted = shlex.quote(part)
        # On the disk before anybody is told of it: its certificate is of no use without it.
        command = f"umask 077; openssl genpkey {algorithm} -out {quoted} && {{ sync {quoted} || sync; }}"
        ran = await self._session.script(command)
        if ran.status != 0:
            raise _failed(f"openssl made no key in {part}: exit {ran.status}. {ran.output}")
        if present is not None:
            await self._session.give(part, like=present)
        await self._session.replace([(part, self.path)])

    async def must_be_of(self, leaf: bytes) -> None:
        """Raise `DeploymentError` (pair_mismatch) where the key is not there, or not that of the certificate (DER)."""
        step = "compare keys"
        if await self._session.attributes(self.path) is None:
            raise DeploymentError(Failure.PAIR_MISMATCH, f"There is no key in {self.path}.", step=step)
        if await self._public() != key_fingerprint(load(leaf).public_key()):
            reason = f"The key in {self.path} is not the certificate's."
            raise DeploymentError(Failure.PAIR_MISMATCH, reason, step=step)

    async def join(self, certificates: bytes, *, to: str, key_first: bool, like: Attributes | None) -> None:
        """Write a new file of certificates and this key, which does not leave the host for it. Raises `DeploymentError`."""
        parts = ["cat -", f"cat -- {shlex.quote(self.path)}"]
        both = " && ".join(reversed(parts) if key_first else parts)
        quoted = shlex.quote(to)
        command = f"umask 077; {{ {both}; }} > {quoted} && {{ sync {quoted} || sync; }}"
        ran = await self._session.script(command, given=certificates.decode())
        if ran.status != 0:
            reason = f"{self.path} and its certificate could not be joined in {to}: exit {ran.status}. {ran.output}"
            raise DeploymentError(Failure.WRITE_FAILED, reason, step="stage")
        if like is not None:
            await self._session.give(to, like=like)

    async def remove(self) -> None:
        """Leave nothing behind."""
        for path in (self._part, self.packed, self.path):
            await self._session.remove(path)

    @property
    def packed(self) -> str:
        """Return where it is for a moment, with its certificate, on its way into a keystore of Java's own."""
        return f"{self.path}.p12"

    @property
    def _part(self) -> str:
        return f"{self.path}.part"

    async def _public(self) -> str:
        pem = await self._printed(f"openssl pkey -in {shlex.quote(self.path)} -pubout", what="public key")
        try:
            return key_fingerprint(load_pem_public_key(pem.encode()))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _failed(f"openssl shows no public key of {self.path}.") from error

    async def _printed(self, command: str, *, what: str) -> str:
        ran = await self._session.script(command, keep=_MOST)
        found = _PEM.search(ran.output)
        if ran.status != 0 or found is None:
            # Only the end is shown: what was printed before may be anything.
            raise _failed(f"openssl printed no {what} of {self.path}: exit {ran.status}. {ran.output[-500:]}")
        return found[0] + "\n"


def _request(path: str, names: Sequence[str]) -> str:
    """Return the command that prints a request: by a configuration of ours, since a host's may be missing."""
    hosts = [name for name in names if not _is_address(name)]
    common = next((name for name in hosts if len(name) <= _LONGEST), None)
    subject = shlex.quote(f"/CN={common}" if common else "/")
    lines = " ".join(shlex.quote(line) for line in _configuration(names))
    return (
        f"printf '%s\\n' {lines} | "
        f"openssl req -new -sha256 -config /dev/stdin -subj {subject} -key {shlex.quote(path)}"
    )


def _configuration(names: Sequence[str]) -> Iterator[str]:
    yield from ("[req]", "distinguished_name=subject", "req_extensions=wanted", "[subject]", "[wanted]")
    yield from ("subjectAltName=@names", "[names]")
    for number, name in enumerate(names, start=1):
        kind = "IP" if _is_address(name) else "DNS"
        if kind == "DNS" and not _NAME.fullmatch(name):
            raise _failed(f"{name!r} is no host name.")
        yield f"{kind}.{number}={name}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _of_request(pem: str) -> str:
    try:
        return key_fingerprint(x509.load_pem_x509_csr(pem.encode()).public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _failed("What openssl printed is no request.") from error


def _failed(reason: str) -> DeploymentError:
    return DeploymentError(Failure.KEY_NOT_MADE, reason, step="make key")
