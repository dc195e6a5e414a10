"""A login at a BIG-IP: a token that is asked for once, renewed when it has expired, and given back at the end.

Rules from F5's "iControl REST API User Guide" (14.1): token-based authentication, paging by `$top` and `$skip`. What the
role of the user does not permit is refused with 401 too, and the words "Authorization failed".
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, cast

import anyio
import httpx

from services.discovery.connectors import Access
from services.discovery.connectors.bigip import soap
from services.discovery.connectors.bigip.settings import BigIpCredential, BigIpSettings
from services.discovery.connectors.web import Answer, NotPermitted, WebApi, refuse_other_than_success, web_api
from shared.errors import EverleafError, Refused, Unavailable

ITEMS_PER_QUESTION = 500
MOST_ITEMS = 50_000
"""Of one kind of object."""
_LOGIN, _TOKENS = "/mgmt/shared/authn/login", "/mgmt/shared/authz/tokens"
_TOKEN = "X-F5-Auth-Token"  # noqa: S105 - the header's name
_FAREWELL_SECONDS = 5
_NEW_PASSWORD = "Store a new credential, and check the user and the login provider of the source."  # noqa: S105 - what to do


class Session:
    """Asks one question after the other; raises what `WebApi` does."""

    def __init__(self, api: WebApi, *, settings: BigIpSettings, credential: BigIpCredential) -> None:
        self._api = api
        self._settings = settings
        self._basic = httpx.BasicAuth(settings.username, credential.password.get_secret_value())
        self._password = credential.password
        self._headers: dict[str, str] = {}

    async def log_in(self) -> None:
        """Get a token, where the login is by token. Raises `Refused` where the device knows no such user."""
        if self._settings.login == "basic":
            return
        asked = {
            "username": self._settings.username,
            "password": self._password.get_secret_value(),
            "loginProviderName": self._settings.login_provider,
        }
        answer = await self._api.ask("POST", _LOGIN, json=asked, accepted=_NO)
        if answer.status in _NO:
            raise Refused(f"{self._settings.host} refused the login.", next_step=_NEW_PASSWORD)
        document = answer.json()
        token = document.get("token") if isinstance(document, dict) else None
        name = token.get("token") if isinstance(token, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._~-]{8,2000}", name):
            raise Unavailable(
                f"{_LOGIN}: there is no token in the answer.", next_step="Check that it is a BIG-IP."
            )
        self._headers = {_TOKEN: name}

    async def log_out(self) -> None:
        """Give the token back; where that fails, it expires by itself."""
        name = self._headers.pop(_TOKEN, None)
        if name is not None:
            with anyio.move_on_after(_FAREWELL_SECONDS, shield=True), suppress(EverleafError):
                await self._api.ask("DELETE", f"{_TOKENS}/{name}", headers={_TOKEN: name})

    async def get(self, path: str, *, select: str | None = None, **params: str | int) -> dict[str, Any]:
        """Return an object or a collection. Raises `NotPermitted` where the role of the user forbids it."""
        params |= {"$select": select} if select else {}
        answer = await self._once(path, params)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._headers and not _is_forbidden(answer):
            await self.log_in()  # the token has expired, or the device was started anew
            answer = await self._once(path, params)
        if answer.status == HTTPStatus.UNAUTHORIZED and _is_forbidden(answer):
            raise NotPermitted(
                f"{path}: the role of {self._settings.username} does not permit it.", next_step=ROLE
            )
        refuse_other_than_success(answer, path)
        document = answer.json()
        if not isinstance(document, dict):
            raise Unavailable(f"{path}: the answer is no object.", next_step="Check that it is a BIG-IP.")
        return document

    async def _once(self, path: str, params: dict[str, str | int]) -> Answer:
        question: dict[str, Any] = {"params": params, "headers": self._headers}
        if self._settings.login == "basic":
            question["auth"] = self._basic
        return await self._api.ask("GET", path, accepted=(HTTPStatus.UNAUTHORIZED,), **question)

    async def all(
        self,
        path: str,
        *,
        select: str | None = None,
        is_expanded: bool = False,
        per_question: int = ITEMS_PER_QUESTION,
    ) -> list[dict[str, Any]]:
        """Return the items of a collection, page by page. Raises `Unavailable` where they have no end."""
        items: list[dict[str, Any]] = []
        while True:
            params: dict[str, str | int] = {"$top": per_question, "$skip": len(items)}
            params |= {"expandSubcollections": "true"} if is_expanded else {}
            page = await self.get(path, select=select, **params)
            found = page.get("items", [])  # an empty collection has none
            if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
                raise Unavailable(
                    f"{path}: the items are no objects.", next_step="Check that it is a BIG-IP."
                )
            items += found
            if len(items) > MOST_ITEMS:
                raise Unavailable(
                    f"{path} has more than {MOST_ITEMS} objects.",
                    next_step="Check that the address is the device's.",
                )
            total = page.get("totalItems")
            if (
                not found
                or len(items) >= (total if isinstance(total, int) else MOST_ITEMS)
                or "nextLink" not in page
            ):
                return items

    async def export(self, names: list[str]) -> list[str]:
        """Return the PEM texts of certificates. Raises `soap.Fault` where one of them is not to be had."""
        answer = await self._api.ask(
            "POST",
            soap.PATH,
            content=soap.question(names),
            headers={
                "Content-Type": "text/xml; charset=UTF-8",
                "SOAPAction": f'"{soap.INTERFACE}"',
                "Accept": "text/xml",
            },
            auth=self._basic,
            accepted=(HTTPStatus.INTERNAL_SERVER_ERROR,),
        )
        return soap.texts(answer.body, count=len(names))


_NO = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
ROLE = "Give the user a role that may read it, in all partitions."


def _is_forbidden(answer: Answer) -> bool:
    return b"Authorization failed" in answer.body


@asynccontextmanager
async def session(access: Access) -> AsyncIterator[Session]:
    """Log in for one piece of work, and log out after it."""
    settings = cast("BigIpSettings", access.settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"https://{host}:{settings.port}"
    async with web_api(access, url, trusted_ca=settings.trusted_ca) as api:
        opened = Session(api, settings=settings, credential=cast("BigIpCredential", access.credential))
        await opened.log_in()
        try:
            yield opened
        finally:
            await opened.log_out()
