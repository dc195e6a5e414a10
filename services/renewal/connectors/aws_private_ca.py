"""AWS Private CA: IssueCertificate by the order's key, GetCertificate once it is there, RevokeCertificate.

AWS has no call that lists what a private CA issued; only its audit reports tell.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Literal, Self

import anyio.to_thread
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from pydantic import Field, SecretStr

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
from services.renewal.connectors.chains import chain_for_pem, pem_of, serial_of
from services.renewal.connectors.vendor import Vendor, VendorOptions, take_no_challenge
from services.renewal.connectors.web import ANSWER_WITHIN, CONNECT_WITHIN, not_now
from shared.aws.errors import error_of
from shared.aws.transport import Calls, Sender, client_of, isolated_session
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.outbound import guarded_client
from shared.web import trusting

CALLS: Calls = {
    "acm-pca": {
        "describe_certificate_authority": "acm-pca:DescribeCertificateAuthority",
        "issue_certificate": "acm-pca:IssueCertificate",
        "get_certificate": "acm-pca:GetCertificate",
        "revoke_certificate": "acm-pca:RevokeCertificate",
    }
}
ASK_AGAIN = timedelta(seconds=3)
"""Signing takes a few seconds (the waiter of AWS's own SDK asks every three)."""
_TEMPLATE = r"^arn:aws[a-z-]*:acm-pca:::template/[\w/-]+$"
_DAY = timedelta(days=1)
_REASONS = {
    RevocationReason.CA_COMPROMISE: "CERTIFICATE_AUTHORITY_COMPROMISE",
    RevocationReason.AA_COMPROMISE: "A_A_COMPROMISE",
}
"""Where AWS's word is not RFC 5280's."""


class PrivateCaOptions(VendorOptions):
    """Which private CA issues."""

    authority_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[0-9a-f-]{36}$",
        max_length=300,
        examples=[
            "arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/01234567-89ab-cdef-0123-456789abcdef"
        ],
    )
    template_arn: str | None = Field(
        None,
        pattern=_TEMPLATE,
        max_length=200,
        description="Where the profile names none; AWS's own default is EndEntityCertificate/V1.",
    )
    signing_algorithm: (
        Literal[
            "SHA256WITHRSA",
            "SHA384WITHRSA",
            "SHA512WITHRSA",
            "SHA256WITHECDSA",
            "SHA384WITHECDSA",
            "SHA512WITHECDSA",
        ]
        | None
    ) = Field(None, description="Where it is not the one that the CA itself was made with.")
    endpoint_url: str | None = Field(
        None,
        max_length=500,
        pattern=r"^https?://[^\s/?#@]+$",
        description="In place of AWS's own address: a private endpoint.",
    )


class PrivateCaSecrets(Part):
    """An access key of AWS, or the temporary one of a session."""

    access_key_id: SecretStr = Field(min_length=16, max_length=128, examples=["AKIAIOSFODNN7EXAMPLE"])
    secret_access_key: SecretStr = Field(min_length=16, max_length=128)
    session_token: SecretStr | None = Field(None, min_length=16, max_length=8192)


class AwsPrivateCa(Vendor):
    """One CA of AWS Private CA."""

    kind: ClassVar[str] = "aws-private-ca"
    summary: ClassVar[str] = "A CA of AWS Private CA."
    options_type: ClassVar[type[Part]] = PrivateCaOptions
    secrets_type: ClassVar[type[Part]] = PrivateCaSecrets
    decides_lifetime: ClassVar[bool] = False

    def __init__(self, client: Any, options: PrivateCaOptions) -> None:
        """`client` is botocore's."""
        self._client = client
        self._options = options

    @classmethod
    def check_terms(cls, options: PrivateCaOptions, *, terms: Terms, network: Network) -> None:  # noqa: ARG003 - the Protocol's
        """Raise `Invalid` where a challenge is asked for, or a template is not named by its ARN."""
        take_no_challenge(terms)
        if terms.profile is not None and not terms.profile.startswith("arn:"):
            raise Invalid(
                "A template of AWS Private CA is named by its ARN.",
                next_step="Write arn:aws:acm-pca:::template/EndEntityServerAuthCertificate/V1, say.",
            )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        options: PrivateCaOptions,
        *,
        secrets: PrivateCaSecrets,
        identity: Identity,  # noqa: ARG003 - the Protocol's
        network: Network,
    ) -> AsyncIterator[Self]:
        """Make a client; nothing is asked yet."""
        http = guarded_client(
            network.policy, tls=trusting(options.trusted_ca) if options.trusted_ca else network.tls
        )
        http.timeout = httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
        make = partial(
            client_of,
            isolated_session(),
            "acm-pca",
            region=options.authority_arn.split(":")[3],
            keys=_keys(secrets),
            endpoint_url=options.endpoint_url,
            sender=Sender(http, seconds=ANSWER_WITHIN),
            calls=CALLS,
        )
        async with http:
            yield cls(await anyio.to_thread.run_sync(make), options)

    async def advance(
        self,
        request: Request,
        *,
        state: bytes | None,
        resumed: bool,  # noqa: ARG002 - AWS knows the order by its key
        now: datetime,
    ) -> Progress:
        """Submit, or fetch. Raises `Refused` or `NotNow`."""
        if state is None:
            return await self._submit(request, now=now)
        return await self._fetch(request, state)

    async def revoke(
        self,
        certificate: bytes,
        *,
        issuer: bytes | None,  # noqa: ARG002 - a serial number is looked for in our CA alone
        reason: RevocationReason,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> None:
        """Revoke by the serial number."""
        serial = bytes.fromhex(serial_of(certificate)).hex(":")
        word = _REASONS.get(reason, reason.name)
        try:
            await self._ask("revoke_certificate", CertificateSerial=serial, RevocationReason=word)
        except _Coded as error:
            if error.code != "RequestAlreadyProcessedException":
                raise error.meant from error

    async def _submit(self, request: Request, *, now: datetime) -> Pending:
        asked: dict[str, Any] = {
            "Csr": pem_of(request.csr).encode(),
            "SigningAlgorithm": self._options.signing_algorithm or await self._signing_algorithm(),
            "Validity": _validity(request.terms.lifetime, now=now),
            "IdempotencyToken": request.key[:36],
        }
        template = request.terms.profile or self._options.template_arn
        if template is not None:
            asked["TemplateArn"] = template
        try:
            told = await self._ask("issue_certificate", **asked)
        except _Coded as error:
            raise error.meant from error
        state = str(told["CertificateArn"]).encode()
        return Pending(state=state, step="submit", text="AWS has taken the request.", retry_after=ASK_AGAIN)

    async def _fetch(self, request: Request, state: bytes) -> Progress:
        try:
            told = await self._ask("get_certificate", CertificateArn=state.decode())
        except _Coded as error:
            if error.code == "RequestInProgressException":
                return Pending(state=state, step="wait", retry_after=ASK_AGAIN)
            raise error.meant from error
        text = f"{told['Certificate']}\n{told.get('CertificateChain', '')}"
        return Issued(chain=chain_for_pem(request.csr, text))

    async def _signing_algorithm(self) -> str:
        try:
            told = await self._ask("describe_certificate_authority")
        except _Coded as error:
            raise error.meant from error
        configuration = told["CertificateAuthority"]["CertificateAuthorityConfiguration"]
        return str(configuration["SigningAlgorithm"])

    async def _ask(self, call: str, **parameters: Any) -> dict[str, Any]:
        """Ask of our CA. Raises `_Coded` where AWS says an error, or `NotNow`."""
        ask = partial(
            getattr(self._client, call),
            CertificateAuthorityArn=self._options.authority_arn,
            **parameters,
        )
        action = CALLS["acm-pca"][call]
        try:
            with not_now():
                answer: dict[str, Any] = await anyio.to_thread.run_sync(ask)
        except ClientError as error:
            raise _Coded(error, action=action, where=self._options.authority_arn) from error
        except ResponseParserError as error:
            raise NotNow(
                f"{action}: the answer is not one of AWS.", next_step="Check `endpoint_url`."
            ) from error
        except BotoCoreError as error:
            raise NotNow(f"{action} cannot be asked ({type(error).__name__}).") from error
        return answer


class _Coded(Exception):
    """What AWS answered in place of a result."""

    def __init__(self, error: ClientError, *, action: str, where: str) -> None:
        super().__init__(action)
        self.code = str(error.response.get("Error", {}).get("Code", ""))
        self._error, self._action, self._where = error, action, where

    @property
    def meant(self) -> Refused | NotNow:
        """What it means for the order."""
        try:
            with not_now():
                raise error_of(self._error.response, action=self._action, where=self._where)
        except (Refused, NotNow) as meant:
            return meant


def _keys(secrets: PrivateCaSecrets) -> dict[str, str | None]:
    token = secrets.session_token
    return {
        "aws_access_key_id": secrets.access_key_id.get_secret_value(),
        "aws_secret_access_key": secrets.secret_access_key.get_secret_value(),
        "aws_session_token": token.get_secret_value() if token else None,
    }


def _validity(lifetime: timedelta, *, now: datetime) -> dict[str, object]:
    """Return whole days as such, so that a request that is repeated is the same; anything else as its end."""
    if lifetime % _DAY == timedelta():
        return {"Type": "DAYS", "Value": lifetime // _DAY}
    return {"Type": "ABSOLUTE", "Value": int((now + lifetime).timestamp())}
