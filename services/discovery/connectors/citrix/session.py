"""A session at a Citrix ADC: logged in once, again where it has expired, and logged out at the end.

Rules from Citrix's NITRO API documentation ("Connecting to the appliance", "Retrieve resources": `pagesize`, `pageno`,
`bulkbindings`; "Error codes"). What went wrong is in `errorcode`, whatever the HTTP status is.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import anyio

from services.discovery.connectors import Access
from services.discovery.connectors.citrix.settings import CitrixAdcCredential, CitrixAdcSettings
from services.discovery.connectors.web import (
    Answer,
    NotPermitted,
    WebApi,
    refuse_other_than_success,
    web_api,
)
from shared.errors import EverleafError, NotFound, Refused, Unavailable

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
_ABSENT = (258,)
"""No such resource."""
_FAREWELL_SECONDS = 5
_TELL = "Check that it is a Citrix ADC."
POLICY = "Add the command to the policy of the user."


class Session:
    """Asks one question after the other; raises what `WebApi` does."""

    def __init__(self, api: WebApi, *, settings: CitrixAdcSettings, credential: CitrixAdcCredential) -> None:
        self._api = api
        self._settings = settings
        self._password = credential.password

    async def log_in(self) -> None:
        """Open a session, which the client keeps as a cookie. Raises `Refused`."""
        login = {"username": self._settings.username, "password": self._password.get_secret_value()}
        answer = await self._api.ask("POST", f"{_CONFIG}/login", json={"login": login}, accepted=_ERRORS)
        code, _ = _error(answer)
        if code in _WRONG_PASSWORD or answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Refused(
                f"{self._settings.host} refused the login.",
                next_step="Store a new credential, and check the user of the source.",
            )
        _raise(answer, f"{_CONFIG}/login")

    async def log_out(self) -> None:
        """Close the session; where that fails, it expires by itself."""
        with anyio.move_on_after(_FAREWELL_SECONDS, shield=True), suppress(EverleafError):
            await self._api.ask("POST", f"{_CONFIG}/logout", json={"logout": {}}, accepted=_ERRORS)

    async def get(self, resource: str, query: str) -> list[dict[str, Any]]:
        """Return the resources of a kind. Raises `NotPermitted` where the policies of the user forbid it."""
        path = f"{_CONFIG}/{resource}?{query}"
        answer = await self._api.ask("GET", path, accepted=_ERRORS)
        if _error(answer)[0] in _NO_SESSION:
            await self.log_in()
            answer = await self._api.ask("GET", path, accepted=_ERRORS)
        _raise(answer, path)
        document = answer.json()
        found = document.get(resource, []) if isinstance(document, dict) else None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise Unavailable(f"{path}: the answer holds no resources.", next_step=_TELL)
        return found

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
    refuse_other_than_success(answer, path)
    if code:
        raise Unavailable(what, next_step="It is tried again by itself.")


@asynccontextmanager
async def session(access: Access) -> AsyncIterator[Session]:
    """Log in for one piece of work, and log out after it."""
    settings = cast("CitrixAdcSettings", access.settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    async with web_api(access, f"https://{host}:{settings.port}", trusted_ca=settings.trusted_ca) as api:
        opened = Session(api, settings=settings, credential=cast("CitrixAdcCredential", access.credential))
        await opened.log_in()
        try:
            yield opened
        finally:
            await opened.log_out()
