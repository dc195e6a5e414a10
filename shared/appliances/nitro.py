"""A session at a Citrix ADC: logged in once, again where it has expired, and logged out at the end.

Rules from Citrix's NITRO API documentation ("Connecting to the appliance", "Retrieve resources": `pagesize`, `pageno`,
`bulkbindings`; "Error messages": base and SSL errors). What went wrong is in `errorcode`, whatever the HTTP status is.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import anyio

from shared.appliances.refusals import ChangeRefused, Exists, InUse, Mismatch, NoSpace
from shared.errors import EverleafError, NotFound, Refused, Unavailable
from shared.web import Answer, LoginRefused, NotPermitted, WebApi, refuse_other_than_success

ITEMS_PER_QUESTION = 200
MOST_ITEMS = 50_000
"""Of one kind of resource."""
_CONFIG = "/nitro/v1/config"
_ERRORS = range(400, 600)
_WRONG_PASSWORD = (354,)
_NO_SESSION = (444,)
"""Expired or killed."""
_FORBIDDEN = (2138, 4001)
"""The command policies of the user do not allow the command."""
_ABSENT = (258, 1540, 1542, 1545)
"""No such resource; no such certificate, binding or link."""
_EXISTS = (273, 1642)
"""A resource, or a file, of this name is there already."""
_IN_USE = (1541, 315)
"""A certificate that something is bound to, or linked to."""
_FULL = (268, 284, 325)
"""No memory, no space left on the device, or the quota is exceeded."""
_BUSY = (272, 291, 366, 412)
"""It is at something else, in a pair that synchronises, say."""
_MISMATCH = (1538,)
"""Certificate and private key do not match."""
_WARNINGS = (1546, 1587, 1588, 1589, 1590, 1591, 3637, 3638)
"""What was done, and what else came of it: another binding was replaced, a link was broken."""
_SSL = (*range(1536, 1601), *range(3584, 3800))
_FAREWELL_SECONDS = 5
_TELL = "Check that it is a Citrix ADC."
POLICY = "Add the command to the policy of the user."


@dataclass(frozen=True, kw_only=True)
class NitroLogin:
    """Who logs in."""

    host: str
    """What the appliance is called in errors."""
    username: str
    password: str = field(repr=False)


class Session:
    """Asks one question after the other; raises what `WebApi` does."""

    def __init__(self, api: WebApi, login: NitroLogin) -> None:
        self._api = api
        self._login = login

    async def log_in(self) -> None:
        """Open a session, which the client keeps as a cookie. Raises `Refused`."""
        login = {"username": self._login.username, "password": self._login.password}
        answer = await self._api.ask("POST", f"{_CONFIG}/login", json={"login": login}, accepted=_ERRORS)
        code, _ = _error(answer)
        if code in _WRONG_PASSWORD or answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise LoginRefused(
                f"{self._login.host} refused the login.",
                next_step="Store a new credential, and check the user.",
            )
        _raise(answer, f"{_CONFIG}/login")

    async def log_out(self) -> None:
        """Close the session; where that fails, it expires by itself."""
        with anyio.move_on_after(_FAREWELL_SECONDS, shield=True), suppress(EverleafError):
            await self._api.ask("POST", f"{_CONFIG}/logout", json={"logout": {}}, accepted=_ERRORS)

    async def get(self, where: str, query: str, *, resource: str | None = None) -> list[dict[str, Any]]:
        """Return the resources of a kind, which is what is asked for if it is not named. Raises `NotPermitted` where the policies of the user forbid it."""
        path = f"{_CONFIG}/{where}?{query}" if query else f"{_CONFIG}/{where}"
        document = (await self._ask("GET", path)).json()
        found = document.get(resource or where, []) if isinstance(document, dict) else None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise Unavailable(f"{path}: the answer holds no resources.", next_step=_TELL)
        return found

    async def one(self, resource: str, name: str) -> dict[str, Any]:
        """Return the resource of this name. Raises `NotFound`."""
        path = f"{_CONFIG}/{resource}/{quote(name, safe='')}"
        document = (await self._ask("GET", path)).json()
        found = document.get(resource) if isinstance(document, dict) else None
        if not isinstance(found, list) or not found or not isinstance(found[0], dict):
            raise NotFound(f"{path} is not there.", next_step="Check the configuration of the appliance.")
        return found[0]

    async def change(self, method: str, where: str, document: dict[str, Any] | None = None) -> None:
        """Change something below `config/`. Raises `Conflict` where it is there already, or is in use."""
        question = {} if document is None else {"json": document}
        await self._ask(method, f"{_CONFIG}/{where}", **question)

    async def _ask(self, method: str, path: str, **question: Any) -> Answer:
        answer = await self._api.ask(method, path, accepted=_ERRORS, **question)
        if _error(answer)[0] in _NO_SESSION:
            await self.log_in()
            answer = await self._api.ask(method, path, accepted=_ERRORS, **question)
        _raise(answer, path)
        return answer

    async def all(self, resource: str) -> list[dict[str, Any]]:
        """Return all resources of a kind, page by page."""
        items: list[dict[str, Any]] = []
        for number in range(1, MOST_ITEMS // ITEMS_PER_QUESTION + 2):
            found = await self.get(resource, f"pagesize={ITEMS_PER_QUESTION}&pageno={number}")
            items += found
            if len(found) != ITEMS_PER_QUESTION:  # none, the rest, or all at once where it knows no pages
                return items
        raise Unavailable(f"There are more than {MOST_ITEMS} {resource}.", next_step=_TELL)

    async def bindings(self, resource: str) -> list[dict[str, Any]]:
        """Return the bindings of all resources of a kind at once."""
        found = await self.get(resource, "bulkbindings=yes")
        if len(found) > MOST_ITEMS:
            raise Unavailable(f"There are more than {MOST_ITEMS} {resource}.", next_step=_TELL)
        return found

    async def file(self, path: str) -> bytes:
        """Return the content of a file. Raises `NotFound` where there is none."""
        folder, _, name = path.rpartition("/")
        # Only what stands between colons and commas is escaped: they are what NITRO reads the arguments by.
        query = f"args=filename:{quote(name, safe='')},filelocation:{quote(folder, safe='')}"
        for item in await self.get("systemfile", query):
            content = item.get("filecontent")
            if item.get("filename") == name and isinstance(content, str):
                try:
                    return base64.b64decode("".join(content.split()), validate=True)
                except ValueError as error:
                    raise Unavailable(f"{path} does not come in base64.", next_step=_TELL) from error
        raise NotFound(f"{path} is not there.", next_step="Check the certificate-key pair that names it.")


def _error(answer: Answer) -> tuple[int, str]:
    """Return the code and the words of an error; 0 where there is none."""
    try:
        document = answer.json()
    except Unavailable:
        return 0, ""
    found = document if isinstance(document, dict) else {}
    code, message = found.get("errorcode", 0), found.get("message", "")
    plain = " ".join(message.split())[:200] if isinstance(message, str) and message.isprintable() else ""
    return (code if isinstance(code, int) else -1), plain


def _raise(answer: Answer, path: str) -> None:
    code, message = _error(answer)
    what = f"{path}: {message or 'an error without words'} ({code})."
    if code in _FORBIDDEN:
        raise NotPermitted(what, next_step=POLICY)
    if code in _ABSENT:
        raise NotFound(what, next_step="Check the configuration of the appliance.")
    if code in _NO_SESSION:
        raise Refused(what, next_step="Allow the user more than one session, and a longer time-out.")
    _refuse_change(code, what)
    refuse_other_than_success(answer, path)
    if code and code not in _WARNINGS:
        raise Unavailable(what, next_step="It is tried again by itself.")


def _refuse_change(code: int, what: str) -> None:
    if code in _EXISTS:
        raise Exists(what, next_step="Look at it on the appliance.")
    if code in _IN_USE:
        raise InUse(what, next_step="See what is bound or linked to it.")
    if code in _FULL:
        raise NoSpace(what, next_step="Free some space on the appliance.")
    if code in _MISMATCH:
        raise Mismatch(what, next_step="Renew again.")
    if code in _BUSY:
        raise Unavailable(what, next_step="It is tried again by itself.")
    if code in _SSL and code not in _WARNINGS:
        raise ChangeRefused(what, next_step="Look at the configuration of the appliance.")


@asynccontextmanager
async def session(api: WebApi, login: NitroLogin) -> AsyncIterator[Session]:
    """Log in for one piece of work, and log out after it."""
    opened = Session(api, login)
    await opened.log_in()
    try:
        yield opened
    finally:
        await opened.log_out()
