"""How a vault is asked for what its tokens are for, and what its refusals mean."""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from services.discovery.connectors.azure.options import KeyVaultCredential, KeyVaultSettings
from services.discovery.connectors.entra import Application, entra_token
from services.discovery.connectors.tokens import Token
from services.discovery.connectors.web import Answer, NotPermitted, WebApi
from shared.errors import Refused, Unavailable

API_VERSION = "7.4"
_CHALLENGED = re.compile(r'(\w+)="([^"]*)"')


def application_of(settings: KeyVaultSettings, credential: KeyVaultCredential) -> Application:
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
    permission = "get" if path.count("/") > 1 else "list"
    return NotPermitted(
        text,
        next_step=f"Give the application certificates/{permission}: by the role Key Vault Reader, or an access policy.",
    )


def _error(answer: Answer) -> dict[str, Any]:
    try:
        told = answer.json()
    except Unavailable:
        return {}
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {}
