"""How Google Cloud is logged into: by the key of a service account."""

from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared.clock import Clock, utc_now
from shared.errors import Invalid
from shared.tokens import Token, granted
from shared.web import WebApi

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""The one scope that Certificate Manager takes; what may be done with it is the service account's IAM roles."""
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME = timedelta(minutes=10)
Address = Annotated[str, Field(pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?$", max_length=253)]


class TokenSettings(BaseModel):
    """Which project, and where tokens are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field(
        pattern=r"^([a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="The project's id.",
        examples=["shop-production"],
    )
    token_uri: str = Field(
        TOKEN_URI,
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?/[0-9A-Za-z/._-]*$",
        max_length=500,
        description="The only place that tokens are asked for at: the key file must name the same.",
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )


class _KeyFile(BaseModel):
    """A service account's key file, as the Cloud console makes it."""

    type: str = Field(pattern="^service_account$")
    client_email: str = Field(pattern=r"^[^\s@]+@[^\s@]+$", max_length=320)
    private_key_id: str = Field(max_length=200)
    private_key: SecretStr
    token_uri: str = Field(max_length=500)


class GoogleCredential(BaseModel):
    """The key file of a service account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_account_key: Annotated[SecretStr, Field(max_length=20_000)] = Field(
        description="The whole JSON text of the file."
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            _signing_key(self.key_file())
        except Invalid as error:
            raise ValueError(str(error)) from None
        return self

    def key_file(self) -> _KeyFile:
        """Read it. Raises `Invalid`, and quotes nothing of it."""
        try:
            return _KeyFile.model_validate_json(self.service_account_key.get_secret_value())
        except ValidationError as error:
            wrong = {".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}
        raise Invalid(
            f"It is not the key file of a service account ({', '.join(sorted(wrong)) or 'no JSON'}).",
            next_step="Send the JSON text that `gcloud iam service-accounts keys create` writes.",
        )


async def service_account_token(
    api: WebApi, settings: TokenSettings, credential: GoogleCredential, *, clock: Clock = utc_now
) -> Token:
    """Ask for a token with an assertion that the service account signs (RFC 7523; Google's "Using OAuth 2.0 for
    Server to Server Applications").

    Raises `Refused` where the key is not taken.
    """
    file, now = credential.key_file(), clock()
    claims = {
        "iss": file.client_email,
        "scope": _SCOPE,
        "aud": settings.token_uri,
        "iat": now,
        "exp": now + _LIFETIME,
    }
    assertion = jwt.encode(
        claims, _signing_key(file), algorithm="RS256", headers={"kid": file.private_key_id}
    )
    form = {"grant_type": _GRANT, "assertion": assertion}
    return await granted(api, urlsplit(settings.token_uri).path, form)


def allowed_origin(settings: TokenSettings, credential: GoogleCredential) -> str:
    """Return the origin of the token endpoint. Raises `Invalid` where the key file names another than is allowed."""
    if credential.key_file().token_uri != settings.token_uri:
        raise Invalid(
            "The key file names another token_uri than the settings allow.",
            next_step=f"Send a key file of Google's (its token_uri is {TOKEN_URI}), or allow the other in `token_uri`.",
        )
    parts = urlsplit(settings.token_uri)
    return f"{parts.scheme}://{parts.netloc}"


def _signing_key(file: _KeyFile) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(file.private_key.get_secret_value().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise Invalid(
            "The private key in the key file is no RSA key in PEM.", next_step="Send the file as it was made."
        )
    return key
