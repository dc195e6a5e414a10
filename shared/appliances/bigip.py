"""A login at a BIG-IP: a token that is asked for once, renewed when it has expired, and given back at the end.

Rules from F5's "iControl REST API User Guide" (14.1): token-based authentication, paging by `$top` and `$skip`, "About the
iControl REST transaction model", file transfer in chunks. What the role of the user does not permit is refused with 401
too, and the words "Authorization failed".
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio
import httpx

from shared.appliances import icontrol_soap as soap
from shared.appliances.refusals import ChangeRefused, Exists, InUse, Mismatch, NoSpace
from shared.errors import EverleafError, NotFound, Unavailable
from shared.web import Answer, LoginRefused, NotPermitted, TooFast, WebApi, refuse_other_than_success

ITEMS_PER_QUESTION = 500
MOST_ITEMS = 50_000
"""Of one kind of object."""
_LOGIN, _TOKENS = "/mgmt/shared/authn/login", "/mgmt/shared/authz/tokens"
UPLOADS, TRANSACTIONS = "/mgmt/shared/file-transfer/uploads", "/mgmt/tm/transaction"
FOLDER = "/var/config/rest/downloads"
"""Where uploads lie on the device, until somebody removes them."""
_TOKEN = "X-F5-Auth-Token"  # noqa: S105 - the header's name
_FAREWELL_SECONDS = 5
_NEW_PASSWORD = "Store a new credential, and check the user and the login provider."  # noqa: S105 - what to do


@dataclass(frozen=True, kw_only=True)
class BigIpLogin:
    """Who logs in, and how."""

    host: str
    """What the device is called in errors."""
    username: str
    password: str = field(repr=False)
    provider: str = "tmos"
    by_token: bool = True
    """Once for a token; else the password goes with every question."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One request of a transaction."""

    method: str
    path: str
    document: Mapping[str, Any] | None = None


def at(collection: str, path: str) -> str:
    """Return where the object of this full path is; a slash in it is written as a tilde."""
    return f"/mgmt/tm/{collection}/{quote(path.replace('/', '~'), safe='~')}"


class Session:
    """Asks one question after the other; raises what `WebApi` does."""

    def __init__(self, api: WebApi, login: BigIpLogin) -> None:
        self._api = api
        self._login = login
        self._basic = httpx.BasicAuth(login.username, login.password)
        self._headers: dict[str, str] = {}

    async def log_in(self) -> None:
        """Get a token, where the login is by token. Raises `Refused` where the device knows no such user."""
        if not self._login.by_token:
            return
        asked = {
            "username": self._login.username,
            "password": self._login.password,
            "loginProviderName": self._login.provider,
        }
        answer = await self._api.ask("POST", _LOGIN, json=asked, accepted=(*_NO, HTTPStatus.BAD_REQUEST))
        if answer.status in _NO:
            raise LoginRefused(f"{self._login.host} refused the login.", next_step=_NEW_PASSWORD)
        if answer.status == HTTPStatus.BAD_REQUEST and b"active login tokens" in answer.body:
            raise TooFast(
                f"{self._login.host}: the user has as many tokens as it may have.",
                next_step="They expire by themselves; it is tried again.",
            )
        refuse_other_than_success(answer, _LOGIN)
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
        return await self.send("GET", path, params=params)

    async def send(self, method: str, path: str, **question: Any) -> dict[str, Any]:
        """Ask, and return the object that is answered; `question` is what httpx takes: json, params, headers, content."""
        answer = await self._once(method, path, question)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._headers and not _is_forbidden(answer):
            await self.log_in()  # the token has expired, or the device was started anew
            answer = await self._once(method, path, question)
        if answer.status == HTTPStatus.UNAUTHORIZED and _is_forbidden(answer):
            raise NotPermitted(
                f"{path}: the role of {self._login.username} does not permit it.", next_step=ROLE
            )
        _refuse_change(answer, path)
        refuse_other_than_success(answer, path)
        document = answer.json() if answer.body else {}
        if not isinstance(document, dict):
            raise Unavailable(f"{path}: the answer is no object.", next_step="Check that it is a BIG-IP.")
        return document

    async def _once(self, method: str, path: str, question: dict[str, Any]) -> Answer:
        headers = {**question.get("headers", {}), **self._headers}
        asked: dict[str, Any] = {**question, "headers": headers}
        if not self._login.by_token:
            asked["auth"] = self._basic
        return await self._api.answer(method, path, **asked)

    async def upload(self, name: str, content: bytes) -> str:
        """Put a file where the device takes files for its objects from; return what it calls that."""
        last = max(len(content) - 1, 0)
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"0-{last}/{len(content)}"}
        await self.send("POST", f"{UPLOADS}/{name}", content=content, headers=headers)
        return f"file:{FOLDER}/{name}"

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make changes in one transaction: all of them, or none."""
        begun = await self.send("POST", TRANSACTIONS, json={})
        number = begun.get("transId")
        if not isinstance(number, int):
            raise Unavailable(
                f"{TRANSACTIONS}: there is no transaction in the answer.",
                next_step="It is tried again by itself.",
            )
        for change in changes:
            question = {} if change.document is None else {"json": dict(change.document)}
            within = {"X-F5-REST-Coordination-Id": str(number)}
            await self.send(change.method, change.path, headers=within, **question)
        path = f"{TRANSACTIONS}/{number}"
        ended = await self.send("PATCH", path, json={"state": "VALIDATING"})
        if ended.get("state") != "COMPLETED":
            said = str(ended.get("failureReason") or ended.get("state"))
            raise_said(said, what=path)
            raise ChangeRefused(f"{path}: {said[:300]}", next_step=_LOOK)

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
_CONTROL = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
"""With which statuses the words of the control process (MCPD) come."""
_LOOK = "Look at the objects on the device."


def _refuse_change(answer: Answer, path: str) -> None:
    """Raise what the control process says of a change, by the number that its words begin with: `01071349:3: …`."""
    if answer.status not in _CONTROL:
        return
    try:
        told = answer.json()
    except Unavailable:
        return
    said = str(told.get("message") or "") if isinstance(told, dict) else ""
    raise_said(said, what=path)


def raise_said(said: str, *, what: str) -> None:
    """Raise what a message of the control process means; nothing where it is none of its messages."""
    number = re.search(r"\b(01[0-9a-f]{6}):\d", said)
    plain = " ".join("".join(each if each.isprintable() else " " for each in said).split())[:300]
    text = f"{what}: {plain.removesuffix('.')}."
    if "no space left" in plain.lower():
        raise NoSpace(text, next_step="Free some space on the device.")
    if number is None:
        return
    if number[1] == "01020036":
        raise NotFound(text, next_step=_LOOK)
    if number[1] == "01020066":
        raise Exists(text, next_step=_LOOK)
    if number[1] in ("01071349", "01070265"):
        raise InUse(text, next_step="See which profiles name it.")
    if "do not match" in plain:
        raise Mismatch(text, next_step="Renew again.")
    raise ChangeRefused(text, next_step="Look at the profile and the virtual server on the device.")


ROLE = "Give the user a role that may read it, in all partitions."


def _is_forbidden(answer: Answer) -> bool:
    return b"Authorization failed" in answer.body


@asynccontextmanager
async def session(api: WebApi, login: BigIpLogin) -> AsyncIterator[Session]:
    """Log in for one piece of work, and log out after it."""
    opened = Session(api, login)
    await opened.log_in()
    try:
        yield opened
    finally:
        await opened.log_out()
