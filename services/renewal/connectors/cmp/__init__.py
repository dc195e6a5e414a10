"""Certificate Management Protocol (RFC 9810, by the lightweight profile of RFC 9483, over HTTP by RFC 9811).

A request in PKCS#10 (p10cr), polled for where the CA waits, and confirmed: what is not confirmed the CA takes back
(RFC 9810 §5.3.18), so an answer that was lost leaves nothing that is valid.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self, TypeVar

import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
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
from services.renewal.connectors.chains import chain_of, is_for, roots_of
from services.renewal.connectors.cmp.messages import (
    Answer,
    Body,
    Dialogue,
    Granted,
    Status,
    Told,
    Unreadable,
    ask,
    check_after,
    error_of,
    granted_of,
    read,
    status_of,
)
from services.renewal.connectors.cmp.protection import (
    Protection,
    SharedSecret,
    Signatures,
    SigningKey,
    der_of,
)
from services.renewal.connectors.cmp.writing import (
    ENUMERATED,
    explicit,
    integer,
    octets,
    oid,
    sequence,
)
from services.renewal.connectors.vendor import take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, origin
from shared import der
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason

WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(days=1)
_REQUEST_ID = -1
"""Of a request in PKCS#10 (RFC 9810 §5.3.22)."""
_REASON = "2.5.29.21"
_REASONS = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.CA_COMPROMISE: 2,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
    RevocationReason.AA_COMPROMISE: 10,
}
_LATER = frozenset({"systemUnavail", "systemFailure", "timeNotAvailable", "transactionIdInUse"})
_NOT_LET_IN = frozenset({"badMessageCheck", "signerNotTrusted", "notAuthorized", "wrongIntegrity"})
T = TypeVar("T")
_Url = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"], max_length=500)]


class CmpOptions(Part):
    """Where the CA is, and who we are there: by a secret's `reference`, or by a certificate."""

    url: _Url = Field(
        description="Messages are protected by themselves, so http will do.",
        examples=["http://ca.example.com/.well-known/cmp/p/servers"],
    )
    reference: str | None = Field(None, max_length=200, description="What the CA knows the secret by.")
    certificate_pem: str | None = Field(
        None, max_length=100_000, description="What we sign with; its key is the secret `key_pem`."
    )
    root_pem: str = Field(
        max_length=200_000, description="The roots that chains, and the CA's signatures, end at."
    )
    trusted_ca: str | None = Field(None, max_length=200_000, description="PEM, for an https address.")


class CmpSecrets(Part):
    """The secret that belongs to the reference, or the key of the certificate."""

    secret: SecretStr | None = None
    key_pem: SecretStr | None = None


class Cmp:
    """A CA that is asked by p10cr."""

    kind: ClassVar[str] = "cmp"
    summary: ClassVar[str] = "A CA that speaks CMP (RFC 9810, RFC 9483)."
    options_type: ClassVar[type[Part]] = CmpOptions
    secrets_type: ClassVar[type[Part]] = CmpSecrets
    decides_lifetime: ClassVar[bool] = True

    def __init__(self, api: AuthorityApi, path: str, protection: Protection) -> None:
        self._api = api
        self._path = path
        self._protection = protection

    @classmethod
    def found(cls, options: CmpOptions, *, secrets: CmpSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Take the roots up. Raises `Invalid` where it is not said by what messages are protected."""
        _protection(options, secrets)
        return Identity(private=b"", roots=roots_of(options.root_pem))

    @classmethod
    def check_terms(cls, options: CmpOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for."""
        take_no_challenge(terms)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: CmpOptions,
        *,
        secrets: CmpSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Prepare to ask."""
        protection = _protection(options, secrets)
        async with authority_api(network, origin(options.url), trusted_ca=options.trusted_ca) as api:
            yield cls(api, options.url.path or "/", protection)

    async def advance(
        self, request: Request, *, state: bytes | None, resumed: bool, now: datetime
    ) -> Progress:
        """Ask, poll, or confirm. Raises `Refused` or `NotNow`."""
        if state is None:
            content, dialogue = request.csr, Dialogue.begin()
            return self._taken(await self._say(Body.P10CR, content, dialogue, now=now), first=True)
        kept = json.loads(state)
        dialogue = Dialogue(
            transaction=bytes.fromhex(kept["transaction"]), their_nonce=bytes.fromhex(kept["nonce"])
        )
        if kept["certificate"] is None:
            asked = sequence(sequence(integer(kept["request_id"])))
            return self._taken(await self._say(Body.POLL_REQ, asked, dialogue, now=now), first=False)
        return await self._confirm(kept, dialogue, request, resumed=resumed, now=now)

    def _taken(self, answer: Answer, *, first: bool) -> Pending:
        """Return what an answer to a request or a poll means: there is something to wait for, or to confirm."""
        if answer.body == Body.POLL_REP:
            wait = min(timedelta(seconds=_understood(check_after, answer)), _LONGEST_WAIT)
            return Pending(state=_state(answer.dialogue), step="poll", retry_after=wait or WAIT)
        granted = _granted(answer)
        if granted.told.status == Status.WAITING:
            text = "The CA has it, and has not decided yet." if first else None
            return Pending(state=_state(answer.dialogue, granted), step="place", text=text, retry_after=WAIT)
        if granted.certificate is None:
            raise _refused(granted.told)
        return Pending(
            state=_state(answer.dialogue, granted),
            step="receive",
            text="The CA has issued; it waits for our word.",
        )

    async def _confirm(
        self, kept: Mapping[str, Any], dialogue: Dialogue, request: Request, *, resumed: bool, now: datetime
    ) -> Issued:
        """Take the certificate, so that the CA lets it stand (RFC 9810 §5.3.18). Raises `Refused` or `NotNow`."""
        certificate = base64.b64decode(kept["certificate"])
        if not is_for(certificate, request.csr):
            raise Refused(
                "The CA answered with no certificate for our key.",
                next_step="Look at the CA; then try again.",
            )
        status = sequence(octets(_hash(certificate)), integer(kept["request_id"]))
        try:
            answer = await self._say(Body.CERT_CONF, sequence(status), dialogue, now=now)
        except Refused:
            # The transaction is over for the CA, as it is when our word came and its answer was lost.
            if not resumed:
                raise
        else:
            if answer.body != Body.PKI_CONF:
                raise _unexpected(answer)
        others = [base64.b64decode(each) for each in kept["others"]]
        chain = chain_of(certificate, others)
        return Issued(chain=tuple(each for each in chain if not _is_root(each)))

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - the Protocol's
        reason: RevocationReason,
        now: datetime,
    ) -> None:
        """Revoke (RFC 9810 §5.3.9). Raises `Refused` or `NotNow`."""
        one = x509.load_der_x509_certificate(certificate)
        serial = one.serial_number
        template = sequence(integer(serial, tag=0x81), explicit(3, one.issuer.public_bytes()))
        why = octets(integer(_REASONS[reason], tag=ENUMERATED))
        details = sequence(template, sequence(sequence(oid(_REASON), why)))
        answer = await self._say(Body.RR, sequence(details), Dialogue.begin(), now=now)
        if answer.body != Body.RP:
            raise _unexpected(answer)
        told = _understood(lambda each: status_of(next(next(each.content.inside()).inside())), answer)
        if (
            told.status not in (Status.ACCEPTED, Status.GRANTED_WITH_MODS)
            and "certRevoked" not in told.failures
        ):
            raise _refused(told)

    async def _say(self, body: Body, content: bytes, dialogue: Dialogue, *, now: datetime) -> Answer:
        question = await anyio.to_thread.run_sync(
            lambda: ask(body, content, protection=self._protection, dialogue=dialogue, now=now)
        )
        told = await self._api.answer(
            "POST",
            self._path,
            content=question.der,
            headers={"Content-Type": "application/pkixcmp", "Accept": "application/pkixcmp"},
        )
        try:
            answer = await anyio.to_thread.run_sync(
                lambda: read(told.body, question=question, protection=self._protection)
            )
            problem = error_of(answer) if answer.body == Body.ERROR else None
        except Unreadable as error:
            raise NotNow(
                f"The CA's answer is not taken: {error}.",
                next_step="Check the address, the secret or certificate (the credential), and `root_pem`.",
            ) from error
        if problem is not None:
            raise _refused(problem)
        return answer


def _granted(answer: Answer) -> Granted:
    if answer.body != Body.CP:
        raise _unexpected(answer)
    return _understood(granted_of, answer)


def _understood(look: Callable[[Answer], T], answer: Answer) -> T:
    try:
        return look(answer)
    except (Unreadable, der.Malformed, StopIteration) as error:
        raise NotNow(f"The CA's answer is not taken: {error}.") from error


def _refused(told: Told) -> Refused | NotNow:
    reasons = ", ".join(sorted(told.failures)) or "it does not say why"
    text = f"The CA refuses: {reasons}{f' ({told.text[:200]})' if told.text else ''}."
    if told.failures & _LATER:
        return NotNow(text)
    if told.failures & _NOT_LET_IN:
        return Refused(text, next_step="Store a new credential: this one is wrong, or may not do this.")
    return Refused(text, next_step="Look at what the CA permits; then try again.")


def _unexpected(answer: Answer) -> NotNow:
    return NotNow(f"The CA answered with a message of kind {answer.body}, which is no answer to ours.")


def _state(dialogue: Dialogue, granted: Granted | None = None) -> bytes:
    others = granted.others if granted is not None and granted.certificate is not None else ()
    certificate = granted.certificate if granted is not None else None
    kept = {
        "transaction": dialogue.transaction.hex(),
        "nonce": (dialogue.their_nonce or b"").hex(),
        "request_id": granted.request_id if granted is not None else _REQUEST_ID,
        "certificate": base64.b64encode(certificate).decode() if certificate is not None else None,
        "others": [base64.b64encode(each).decode() for each in others],
    }
    return json.dumps(kept).encode()


def _hash(certificate: bytes) -> bytes:
    """Return the hash that a certificate is confirmed by: that of its own signature (RFC 9810 §5.3.18)."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    return hashlib.new(algorithm.name if algorithm is not None else "sha512", certificate).digest()


def _is_root(certificate: bytes) -> bool:
    one = x509.load_der_x509_certificate(certificate)
    return one.subject == one.issuer


def _protection(options: CmpOptions, secrets: CmpSecrets) -> Protection:
    """Return what protects messages. Raises `Invalid`."""
    if options.reference is not None and secrets.secret is not None:
        return SharedSecret(
            reference=options.reference.encode(), secret=secrets.secret.get_secret_value().encode()
        )
    if options.certificate_pem is None or secrets.key_pem is None:
        raise Invalid(
            "Messages are protected by a secret or by a certificate.",
            next_step="Give `reference` and the secret `secret`, or `certificate_pem` and the secret `key_pem`.",
        )
    return Signatures(
        key=_key(secrets.key_pem.get_secret_value(), options.certificate_pem),
        certificates=der_of(options.certificate_pem),
        roots=roots_of(options.root_pem),
    )


def _key(pem: str, certificate_pem: str) -> SigningKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
        public = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    except (ValueError, TypeError):
        raise Invalid(
            "The certificate and its key cannot be read.", next_step="Send both in PEM, the key unencrypted."
        ) from None  # the error may quote the key
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) or key.public_key() != public:
        raise Invalid(
            "The key is not that of the certificate.", next_step="Send the RSA or EC key that belongs to it."
        )
    return key
