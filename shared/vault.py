"""HashiCorp Vault and OpenBao over their HTTP API: log in, list, read, write, and say which line a policy lacks.

A token is in a header only, never in an address. What a role logged in for is given back at the end.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlsplit

import anyio
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared.errors import EverleafError, NotFound, Refused, Unavailable
from shared.web import LoginRefused, NotPermitted, WebApi

NAME = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"
"""Of a mount or a namespace: Vault allows more, and nobody uses it."""
_FAREWELL = 5


class VaultSettings(BaseModel):
    """Where Vault is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        pattern=r"^https://[^/?#@\s]+/?$", max_length=300, examples=["https://vault.example.com:8200"]
    )
    namespace: str | None = Field(
        None,
        pattern=NAME,
        max_length=200,
        description="Of Vault Enterprise, HCP or OpenBao.",
        examples=["team-a"],
    )
    approle_mount: str = Field(
        "approle", pattern=NAME, max_length=100, description="Where AppRole is enabled."
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )

    @property
    def host(self) -> str:
        """Return the host's name."""
        return urlsplit(self.url).hostname or ""


class VaultCredential(BaseModel):
    """A token, or the role and secret of an AppRole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr | None = Field(None, min_length=1, max_length=4000)
    role_id: SecretStr | None = Field(None, min_length=1, max_length=500)
    secret_id: SecretStr | None = Field(None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        is_role = self.role_id is not None and self.secret_id is not None
        is_part = self.role_id is not None or self.secret_id is not None
        if (self.token is not None) == is_role or is_role != is_part:
            raise ValueError("give either token, or role_id and secret_id")
        return self


class Vault:
    """One Vault that took our login."""

    def __init__(self, api: WebApi, *, headers: Mapping[str, str]) -> None:
        self._api = api
        self._headers = dict(headers)

    async def login(self, credential: VaultCredential, *, approle_mount: str) -> None:
        """Log in with a role's secret, or take the token up. Raises `Refused`."""
        if credential.role_id is not None and credential.secret_id is not None:
            secrets = {
                "role_id": credential.role_id.get_secret_value(),
                "secret_id": credential.secret_id.get_secret_value(),
            }
            path = f"/v1/auth/{approle_mount}/login"
            try:
                answer = await self._api.ask("POST", path, json=secrets, headers=self._headers)
            except (Refused, NotFound) as error:
                raise LoginRefused(
                    error.detail,
                    next_step="Store a new credential: a role_id and secret_id that AppRole takes. Or correct `approle_mount`.",
                ) from error
            token = _part(_part(answer.json(), "auth"), "client_token")
        else:
            token = credential.token.get_secret_value() if credential.token else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Refused("The token is none that Vault gives.", next_step="Store a new credential.")
        self._headers["X-Vault-Token"] = token

    async def whoami(self) -> Mapping[str, Any]:
        """Return what Vault says of our token. Raises `Refused` where it is wrong or has expired."""
        try:
            told = await self._api.get("/v1/auth/token/lookup-self", headers=self._headers)
        except NotPermitted as error:
            raise LoginRefused(
                "The token is wrong, has expired, or may not look itself up.",
                next_step="Store a new credential; its policies must include `default`.",
            ) from error
        return _mapping(_part(told, "data"))

    async def give_back(self) -> None:
        """End the token that a role logged in for."""
        with suppress(EverleafError), anyio.move_on_after(_FAREWELL, shield=True):
            await self._api.ask("POST", "/v1/auth/token/revoke-self", headers=self._headers)

    async def list(self, path: str, **params: str | int) -> Mapping[str, Any] | None:
        """Return what is listed (`keys`, perhaps `key_info`); None where the path is none that lists.

        An empty list is a 404 without errors. A GET with `list` does what the method LIST does, and passes proxies.
        """
        answer = await self._api.ask(
            "GET",
            f"/v1/{quote(path)}",
            accepted=(HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED),
            params={"list": "true", **params},
            headers=self._headers,
        )
        if answer.status in range(200, 300):
            return _mapping(_part(answer.json(), "data"))
        if answer.status == HTTPStatus.NOT_FOUND and not _part(answer.json(), "errors"):
            return {"keys": []}
        return None

    async def read(self, path: str, **params: str | int) -> Mapping[str, Any] | None:
        """Return the data at a path; None where there is nothing."""
        answer = await self._api.ask(
            "GET",
            f"/v1/{quote(path)}",
            accepted=(HTTPStatus.NOT_FOUND,),
            params=params,
            headers=self._headers,
        )
        return _mapping(_part(answer.json(), "data")) if answer.status in range(200, 300) else None

    async def write(self, path: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write to a path, and return the data of the answer."""
        answer = await self._api.ask("POST", f"/v1/{quote(path)}", json=dict(told), headers=self._headers)
        return _mapping(_part(answer.json(), "data"))

    async def delete(self, path: str) -> None:
        """Delete what is at a path; a key-value engine deletes the newest version, which can be undone."""
        await self._api.ask("DELETE", f"/v1/{quote(path)}", headers=self._headers)


@asynccontextmanager
async def logged_in(
    api: WebApi, settings: VaultSettings, credential: VaultCredential
) -> AsyncIterator[Vault]:
    """Log in to the Vault behind an API for one piece of work. Raises `Refused`."""
    headers = {"X-Vault-Request": "true"}
    if settings.namespace is not None:
        headers["X-Vault-Namespace"] = settings.namespace
    opened = Vault(api, headers=headers)
    await opened.login(credential, approle_mount=settings.approle_mount)
    try:
        await opened.whoami()
        yield opened
    finally:
        if credential.token is None:
            await opened.give_back()


def policy_line(path: str, capability: str) -> str:
    """Return the line that gives a policy a right."""
    return f'path "{path}" {{ capabilities = ["{capability}"] }}'


def _part(told: Any, name: str) -> Any:
    return told.get(name) if isinstance(told, dict) else None


def _mapping(told: Any) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise Unavailable(
            "The answer is not one of Vault.", next_step="Check that the address is that of Vault."
        )
    return told
