"""smallstep's step-ca: it signs our request for a one-time token, which a key of one of its JWK provisioners signs.

step-ca takes a token once, and gives nothing out a second time. So the first token of an order is named (`jti`) after the
key: where its answer was lost, step-ca refuses it, that is said as a step of the order, and the next token is another.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field, SecretStr

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
from services.renewal.connectors.chains import (
    chain_of_pem,
    common_name,
    is_address,
    key_of,
    pem_of,
    roots_of,
    signs,
)
from services.renewal.connectors.step_tokens import ProvisionerKey
from services.renewal.connectors.vendor import VendorOptions, take_no_challenge
from services.renewal.connectors.web import AuthorityApi, authority_api, refuse, understood
from shared import x509
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.ids import new_id
from shared.web import Answer, NotPermitted

LONGEST = timedelta(hours=24)
"""What a provisioner issues for at most, where its claims do not say otherwise (`maxTLSCertDuration`)."""
_ANEW = b"anew"
_ROOT = "/root"
_LOST = (
    "step-ca has seen this order's token: it may have issued a certificate that nobody has. It is asked anew."
)
_REFUSED = (
    "Look at its log: our clock may be wrong, its `dnsNames` may lack the host of `options.url`, the provisioner may have "
    "another name or key. Then store a new credential where that is it."
)
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
"""RFC 5280 §5.3.1."""


class StepCaOptions(VendorOptions):
    """Where step-ca is, by whose word it signs, and its root: one of `root_pem` and `root_fingerprint` is needed."""

    url: str = Field(pattern=r"^https://[^?#@\s]+$", max_length=300, examples=["https://ca.example.com:9000"])
    provisioner: str = Field(min_length=1, max_length=200, description="Name of a JWK provisioner.")
    key_id: str | None = Field(
        None,
        max_length=200,
        description="`kid` of the provisioner's key, where neither its JWK nor its thumbprint says it.",
    )
    root_fingerprint: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f]{64}$",
        description="SHA-256 of the root, in hex, as `step certificate fingerprint` shows it: the root is fetched.",
    )
    max_lifetime: timedelta = Field(
        LONGEST,
        ge=timedelta(minutes=1),
        description="The claim `maxTLSCertDuration` of the provisioner, ISO 8601; step-ca's default is 24 hours.",
    )


class StepCaSecrets(Part):
    """The private key of the provisioner."""

    key: SecretStr = Field(min_length=1, max_length=20_000, description="JWK (decrypted), or PEM.")


class _Root(BaseModel):
    ca: str


class _Listed(BaseModel):
    crts: list[str]


class _Signed(BaseModel):
    crt: str
    ca: str = ""
    certChain: list[str] = []  # noqa: N815 - step-ca's name


class StepCa:
    """A JWK provisioner of a step-ca."""

    kind: ClassVar[str] = "step-ca"
    summary: ClassVar[str] = "smallstep's step-ca, by a JWK provisioner."
    options_type: ClassVar[type[Part]] = StepCaOptions
    secrets_type: ClassVar[type[Part]] = StepCaSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(
        self, api: AuthorityApi, options: StepCaOptions, key: ProvisionerKey, roots: tuple[bytes, ...]
    ) -> None:
        self._api = api
        self._options = options
        self._key = key
        self._roots = roots

    @classmethod
    def found(cls, options: StepCaOptions, *, secrets: StepCaSecrets, name: str, now: datetime) -> Identity:  # noqa: ARG003 - the Protocol's
        """Take the roots up. Raises `Invalid` where none is named, or the key is none."""
        if options.root_pem is None and options.root_fingerprint is None:
            raise Invalid(
                "The root of step-ca is not named.",
                next_step="Name `options.root_fingerprint` (`step certificate fingerprint root_ca.crt`) or `root_pem`.",
            )
        ProvisionerKey.read(secrets.key, key_id=options.key_id)
        return Identity(private=b"", roots=roots_of(options.root_pem))

    @classmethod
    def check_terms(cls, options: StepCaOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where the lifetime is more than the provisioner's most, or a challenge or profile is asked for."""
        take_no_challenge(terms)
        if terms.profile is not None:
            raise Invalid(
                "step-ca issues by the template of its provisioner, and has no profiles.",
                next_step="Leave the authority's profile out; another provisioner is another authority here.",
            )
        if terms.lifetime > options.max_lifetime:
            raise Invalid(
                f"{terms.lifetime} is more than the {options.max_lifetime} that the provisioner issues for at most.",
                next_step="Choose a shorter lifetime; or raise the claim `maxTLSCertDuration` of the provisioner, and then "
                "`options.max_lifetime` here.",
            )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: StepCaOptions, *, secrets: StepCaSecrets, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        """Fetch the root where it is known by its fingerprint only. Raises `Refused` or `NotNow`."""
        roots = identity.roots or (await _fetched_root(options, network),)
        trusted = options.trusted_ca or x509.to_pem(roots)
        async with authority_api(network, options.url, trusted_ca=trusted) as api:
            yield cls(api, options, ProvisionerKey.read(secrets.key, key_id=options.key_id), roots)

    async def advance(
        self, request: Request, *, state: bytes | None, resumed: bool, now: datetime
    ) -> Progress:
        """Sign by the key's own token, and by another where that is used up. Raises `Refused` or `NotNow`."""
        token_id = key_of(request.csr) if state is None else new_id()
        asked = {
            "csr": pem_of(request.csr),
            "ott": self._token(
                "/1.0/sign", _subject(request), token_id=token_id, sans=request.names, now=now
            ),
            "notAfter": f"{int(request.terms.lifetime.total_seconds())}s",
        }
        answer = await self._ask("/1.0/sign", asked)
        if answer.status == HTTPStatus.UNAUTHORIZED and state is None and resumed:
            return Pending(state=_ANEW, step="sign", text=_LOST)
        _refuse(answer, "/1.0/sign")
        return Issued(chain=self._chain(understood(_Signed, answer)))

    async def revoke(
        self, certificate: bytes, *, issuer: bytes | None, reason: RevocationReason, now: datetime
    ) -> None:
        """Revoke passively: step-ca renews it no more, and has it in its CRL where that is switched on."""
        if not await self._is_ours(certificate, issuer=issuer):
            # step-ca would write down any serial number, and say that it is done.
            raise Refused("step-ca has not issued it.", next_step="Revoke it where it was issued.")
        serial = str(x509.load(certificate).serial_number)
        asked = {
            "serial": serial,
            "ott": self._token("/1.0/revoke", serial, token_id=new_id(), now=now),
            "reasonCode": _REASONS[reason],
            "reason": f"Everleaf: {reason}",
            "passive": True,
        }
        answer = await self._ask("/1.0/revoke", asked)
        if answer.status != HTTPStatus.BAD_REQUEST or b"already revoked" not in answer.body:
            _refuse(answer, "/1.0/revoke")

    async def _ask(self, path: str, asked: dict[str, Any]) -> Answer:
        return await self._api.answer("POST", path, json=asked)

    def _token(
        self, path: str, subject: str, *, token_id: str, now: datetime, sans: Sequence[str] = ()
    ) -> str:
        return self._key.token(
            issuer=self._options.provisioner,
            audience=f"{self._options.url.rstrip('/')}{path}",
            subject=subject,
            token_id=token_id,
            now=now,
            claims={"sha": x509.fingerprint(self._roots[0]), **({"sans": list(sans)} if sans else {})},
        )

    def _chain(self, signed: _Signed) -> tuple[bytes, ...]:
        """Return the chain, whose end has to be signed by our root. Raises `Refused`."""
        chain = chain_of_pem([signed.crt, *signed.certChain, signed.ca])
        if not any(_is_below(chain[-1], root) for root in self._roots):
            raise Refused(
                "What step-ca issued does not end at its root.",
                next_step="Check `root_fingerprint` or `root_pem`: the root may have been renewed.",
            )
        return chain

    async def _is_ours(self, certificate: bytes, *, issuer: bytes | None) -> bool:
        """Return whether it is signed by one that is step-ca's: a root, one below it, or one listed by this version."""
        listed = await self._api.ask("GET", "/intermediates", accepted=(HTTPStatus.NOT_FOUND,))
        known = list(self._roots)
        if listed.status != HTTPStatus.NOT_FOUND:
            known += map(_certificate, understood(_Listed, listed).crts)
        if issuer is not None and any(_is_below(issuer, each) for each in known):
            known.append(issuer)
        return any(signs(x509.load(each), x509.load(certificate)) for each in known)


async def _fetched_root(options: StepCaOptions, network: Network) -> bytes:
    """Return the root with the fingerprint of the options. Raises `Refused` or `NotNow`.

    Whom we ask is not known yet, and need not be: what comes is the root, or has another fingerprint.
    """
    fingerprint = (options.root_fingerprint or "").lower()
    unknown = ssl.create_default_context()
    unknown.check_hostname = False
    unknown.verify_mode = ssl.CERT_NONE
    async with authority_api(network, options.url, context=unknown) as api:
        told = await api.read(_Root, "GET", f"{_ROOT}/{fingerprint}")
    root = _certificate(told.ca)
    if x509.fingerprint(root) != fingerprint:
        raise Refused(
            "The root that was fetched has another fingerprint.",
            next_step="Somebody may be in between: look at that, and at `options.root_fingerprint`.",
        )
    return root


def _certificate(pem: str) -> bytes:
    """Return the certificate of an answer, in DER. Raises `NotNow` where it is none."""
    try:
        return x509.from_pem(pem)[0]
    except (Invalid, IndexError) as error:
        raise NotNow(
            "The answer holds no certificate.", next_step="Check that the address is that of a step-ca."
        ) from error


def _is_below(one: bytes, other: bytes) -> bool:
    return one == other or signs(x509.load(other), x509.load(one))


def _subject(request: Request) -> str:
    """Return the common name of our request, which has to be the token's subject; step-ca makes the subject of it.

    Where it has none for being too long, that is an address or, for want of a name that fits, what our key is called.
    """
    name = common_name(request.names)
    return name or next(filter(is_address, request.names), key_of(request.csr))


def _refuse(answer: Answer, path: str) -> None:
    """Raise what an answer means, where it is no success: step-ca tells its reasons to its own log only."""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise Refused(
            f"{path}: step-ca does not take our token.",
            next_step=_REFUSED,
        )
    try:
        refuse(answer, path)
    except NotPermitted as error:
        raise Refused(
            error.detail,
            next_step="Look at the claims, the policy and the template of the provisioner; then try the order again.",
        ) from error
