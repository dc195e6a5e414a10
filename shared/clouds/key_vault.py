"""How a vault is asked for what its tokens are for, and what its refusals mean."""

import re
from http import HTTPStatus
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared.clouds.entra import Application, entra_token, read_certificate
from shared.errors import Invalid, Refused, Unavailable
from shared.tokens import Token
from shared.web import Answer, NotPermitted, WebApi

API_VERSION = "7.4"
_GUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_CHALLENGED = re.compile(r'(\w+)="([^"]*)"')


class VaultSettings(BaseModel):
    """Which vault, and which application asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vault: str = Field(
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?/?$",
        max_length=253,
        examples=["https://shop.vault.azure.net"],
    )
    tenant: str = Field(pattern=_GUID, description="Id of the tenant that the vault belongs to.")
    client_id: str = Field(pattern=_GUID, description="Id of the application.")
    authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?$",
        max_length=253,
        description="Where tokens are given; the sovereign clouds have their own.",
        examples=["https://login.microsoftonline.us"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )


class KeyVaultCredential(BaseModel):
    """A client secret of the application, or its certificate with the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: Annotated[SecretStr | None, Field(min_length=1, max_length=1000)] = None
    certificate: str | None = Field(None, max_length=100_000, description="PEM.")
    private_key: Annotated[SecretStr | None, Field(max_length=100_000)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            msg = "certificate and private_key belong together"
            raise ValueError(msg)
        if (self.client_secret is None) == (self.private_key is None):
            msg = "give either client_secret, or certificate with private_key"
            raise ValueError(msg)
        if self.certificate is not None and self.private_key is not None:
            try:
                read_certificate(self.certificate, self.private_key.get_secret_value())
            except Invalid as error:
                raise ValueError(str(error)) from None
        return self


def application_of(settings: VaultSettings, credential: KeyVaultCredential) -> Application:
    """Return which application asks, with what it proves that by."""
    secret, key = credential.client_secret, credential.private_key
    return Application(
        authority=settings.authority,
        tenant=settings.tenant,
        client_id=settings.client_id,
        client_secret=secret.get_secret_value() if secret else None,
        certificate=credential.certificate,
        private_key=key.get_secret_value() if key else None,
    )


async def token_of(vault: WebApi, authority: WebApi, application: Application, *, host: str) -> Token:
    """Ask the vault whose tokens it takes, and ask for one: only for this vault, and only in our own tenant."""
    answer = await vault.ask(
        "GET",
        "/certificates",
        params={"api-version": API_VERSION, "maxresults": "1"},
        accepted={HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN},
    )
    if answer.status == HTTPStatus.FORBIDDEN:
        raise forbidden("/certificates", answer)
    told = dict(_CHALLENGED.findall(answer.headers.get("WWW-Authenticate", "")))
    resource = resource_of(told.get("resource", ""), host=host)
    expected = f"{application.authority}/{application.tenant}".lower()
    if told.get("authorization", "").lower().rstrip("/") != expected:
        raise Refused(
            "The vault takes tokens of another tenant or authority than the settings name.",
            next_step="Correct `tenant` and `authority`: `az keyvault show` tells the vault's tenant.",
        )
    return await entra_token(authority, application, scope=f"{resource}/.default")


def resource_of(resource: str, *, host: str) -> str:
    """Return what a token is asked for, where it is of the vault's own domain.

    Else a vault of somebody else would get a token that opens another service.
    """
    domain = (urlsplit(resource).hostname or "").lower()
    is_plain = resource.rstrip("/").lower() == f"https://{domain}"
    if not domain or not is_plain or not f".{host.lower()}".endswith(f".{domain}"):
        raise Refused(
            "The vault asks for a token of another service than its own.",
            next_step="Check the address of the vault: it may not be one.",
        )
    return resource.rstrip("/")


def forbidden(path: str, answer: Answer) -> Refused:
    """Return why the vault says no: to this only, or to us altogether."""
    error = _error(answer)
    inner = error.get("innererror")
    code = str(inner.get("code") if isinstance(inner, dict) else error.get("code", "Forbidden"))[:60]
    said = " ".join(str(error.get("message", "")).split())[:200]
    text = f"{path}: {code} ({said})." if said.isprintable() else f"{path}: {code}."
    if code in ("ForbiddenByFirewall", "ForbiddenByConnection"):
        return Refused(
            text, next_step="Let this address through the vault's firewall, or use its private endpoint."
        )
    if path.endswith("/import"):
        permission, role = "import", "Key Vault Certificates Officer"
    else:
        permission, role = ("get" if path.count("/") > 1 else "list"), "Key Vault Reader"
    return NotPermitted(
        text,
        next_step=f"Give the application certificates/{permission}: by the role {role}, or an access policy.",
    )


def _error(answer: Answer) -> dict[str, Any]:
    try:
        told = answer.json()
    except Unavailable:
        return {}
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {}
