"""Simple Certificate Enrolment Protocol (RFC 8894), for CAs that speak nothing better: RSA only.

The challenge password is part of the request, so the request is made anew for this CA, with the key of the order;
it is never kept so. Messages are signed by an RSA key of the authority's own, which is no key of any certificate.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Self

import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs7,
)
from cryptography.x509.oid import AttributeOID, NameOID
from pydantic import AnyUrl, Field, SecretStr, UrlConstraints

from services.renewal.connectors import (
    Identity,
    Issued,
    Network,
    NotNow,
    Part,
    Pending,
    Progress,
    Request,
    Terms,
)
from services.renewal.connectors.chains import chain_of, is_for, roots_of, signs
from services.renewal.connectors.scep.messages import (
    FAILURES,
    MessageType,
    Reply,
    Sender,
    Status,
    Unreadable,
    ask,
    issuer_and_subject,
    read,
)
from services.renewal.connectors.vendor import take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, origin
from shared.errors import Invalid, Refused
from shared.x509 import load

WAIT = timedelta(minutes=5)
"""Between polls: a person decides."""
_WAITING = b"waiting"
_LIFETIME = timedelta(days=3650)
_Url = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"], max_length=500)]


class ScepOptions(Part):
    """Where the CA is, and how it is known."""

    url: _Url = Field(
        description="Messages are signed and encrypted by themselves, so http will do.",
        examples=["http://ndes.example.com/certsrv/mscep/mscep.dll"],
    )
    root_pem: str = Field(
        max_length=200_000,
        description="The CA's root, from the CA itself: the certificates that it sends are trusted by it alone.",
    )
    ca_identifier: str | None = Field(None, max_length=200, description="Of one CA of several.")
    trusted_ca: str | None = Field(None, max_length=200_000, description="PEM, for an https address.")
    accept_weak: bool = Field(
        False,
        description="Take answers that old servers sign with SHA-1 and encrypt with DES. There is no secret in them, and "
        "who forges one gains little: the certificate must still be for our key and come from the root.",
    )


class ScepSecrets(Part):
    """What the CA lets a request in by."""

    challenge_password: SecretStr


class Scep:
    """A CA that is asked by PKCSReq."""

    kind: ClassVar[str] = "scep"
    summary: ClassVar[str] = "A CA that speaks SCEP (RFC 8894); RSA keys only."
    options_type: ClassVar[type[Part]] = ScepOptions
    secrets_type: ClassVar[type[Part]] = ScepSecrets
    decides_lifetime: ClassVar[bool] = True

    def __init__(
        self, api: AuthorityApi, options: ScepOptions, secrets: ScepSecrets, *, sender: Sender
    ) -> None:
        self._api = api
        self._path = options.url.path or "/"
        self._options = options
        self._secrets = secrets
        self._sender = sender

    @classmethod
    def found(cls, options: ScepOptions, *, secrets: ScepSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Make the key that messages are signed with, and take the roots up. Raises `Invalid`."""
        key = rsa.generate_private_key(65537, 2048)
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return Identity(private=private, roots=roots_of(options.root_pem))

    @classmethod
    def check_terms(cls, options: ScepOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for."""
        take_no_challenge(terms)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: ScepOptions, *, secrets: ScepSecrets, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        """Take the key up."""
        sender = await anyio.to_thread.run_sync(_sender, identity.private)
        async with authority_api(network, origin(options.url), trusted_ca=options.trusted_ca) as api:
            yield cls(api, options, secrets, sender=sender)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - a transaction that is asked again is the same one
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Progress:
        """Ask, or ask what has become of it. Raises `Refused` or `NotNow`."""
        csr = self._request(request)
        ca = await self._ca()
        if state is None:
            reply = await self._send(MessageType.PKCS_REQ, csr, request, ca=ca)
        else:
            subject = x509.load_der_x509_csr(csr).subject
            polled = issuer_and_subject(ca[0].subject, subject)
            reply = await self._send(MessageType.CERT_POLL, polled, request, ca=ca)
        if reply.status is Status.PENDING:
            text = "The CA has it, and has not decided yet." if state is None else None
            return Pending(state=_WAITING, step="place", text=text, retry_after=WAIT)
        return Issued(chain=_chain(reply, ca, csr=csr))

    def _request(self, request: Request) -> bytes:
        """Return the request with the challenge password (RFC 2985 §5.4.1) in it, in DER. Raises `Refused`."""
        key = x509.load_der_x509_csr(request.csr).public_key()
        if request.anew is None or not isinstance(key, rsa.RSAPublicKey):
            raise Refused(
                "SCEP takes RSA keys only, and those that are kept here.",
                next_step="Choose an RSA key in the profile, or another authority.",
            )
        password = self._secrets.challenge_password.get_secret_value().encode()
        return request.anew([(AttributeOID.CHALLENGE_PASSWORD, password)])

    async def _ca(self) -> tuple[x509.Certificate, ...]:
        """Return who we write to and who may answer, the first is written to. Raises `Refused` or `NotNow`."""
        params = {"operation": "GetCACert", "message": self._options.ca_identifier or ""}
        answer = await self._api.ask("GET", self._path, params=params)
        try:
            if "x-x509-ca-ra-cert" in answer.headers.get("content-type", ""):
                told = pkcs7.load_der_pkcs7_certificates(answer.body)
            else:
                told = [x509.load_der_x509_certificate(answer.body)]
        except ValueError as error:
            raise NotNow(
                "GetCACert: the answer is no certificate.",
                next_step="Check that the address is that of a CA.",
            ) from error
        trusted = _trusted(told, roots_of(self._options.root_pem))
        if not trusted:
            raise Refused(
                "The CA's certificate does not come from the root that is named.",
                next_step="Get `root_pem` from the CA itself; if it is right, somebody else answers at this address.",
            )
        return trusted

    async def _send(
        self, kind: MessageType, content: bytes, request: Request, *, ca: tuple[x509.Certificate, ...]
    ) -> Reply:
        # The same order is the same transaction, whoever asks for it (RFC 8894 §3.2.1.1).
        transaction = hashlib.sha256(f"everleaf {request.key}".encode()).hexdigest()
        question = await anyio.to_thread.run_sync(
            lambda: ask(kind, content, sender=self._sender, ca=ca[0], transaction=transaction)
        )
        answer = await self._api.ask(
            "POST",
            self._path,
            params={"operation": "PKIOperation"},
            content=question.der,
            headers={"Content-Type": "application/x-pki-message"},
        )
        try:
            reply = read(
                answer.body,
                question=question,
                sender=self._sender,
                ca=ca,
                accept_weak=self._options.accept_weak,
            )
        except Unreadable as error:
            raise NotNow(
                f"The CA's answer is not taken: {error}.", next_step="Look at the CA and at `root_pem`."
            ) from error
        if reply.status is Status.FAILURE:
            raise Refused(
                f"The CA refuses: {FAILURES.get(reply.failure or '', 'it does not say why')}.",
                next_step="Check the challenge password (the credential) and what the CA permits; then try again.",
            )
        return reply


def _chain(reply: Reply, ca: tuple[x509.Certificate, ...], *, csr: bytes) -> tuple[bytes, ...]:
    leaf = next((der for der in reply.certificates if is_for(der, csr)), None)
    if leaf is None:
        raise Refused(
            "The CA answered with no certificate for our key.", next_step="Look at the CA; then try again."
        )
    above = [each.public_bytes(Encoding.DER) for each in ca if each.subject != each.issuer]
    return chain_of(leaf, [*reply.certificates, *above])


def _trusted(told: list[x509.Certificate], roots: tuple[bytes, ...]) -> tuple[x509.Certificate, ...]:
    """Return those that are one of the roots or are signed by what is; those that may encrypt keys first."""
    trusted, left = [load(der) for der in roots], list(told)
    known: list[x509.Certificate] = []
    while found := [each for each in left if each in trusted or any(signs(one, each) for one in trusted)]:
        known += found
        trusted += found
        left = [each for each in left if each not in found]
    return tuple(sorted(known, key=_is_ca))


def _is_ca(certificate: x509.Certificate) -> bool:
    """Return whether it is the CA and no registration authority, which is written to where there is one."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _sender(private: bytes) -> Sender:
    key = load_der_private_key(private, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Invalid("The authority's own key is not RSA.", next_step="Make the authority known anew.")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Everleaf")])
    now = datetime.now().astimezone()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Sender(key=key, certificate=certificate)


_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
