"""The REST API of FortiOS: tables, objects in them, and the files of certificates.

Rules from Fortinet's "FortiOS REST API" ("CMDB API": `scope`, `vdom`, `format`; "Monitor API"; "Error codes") and the names of
the CLI's own errors, which come with HTTP 500 or 424 and a negative number in `error`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from shared.appliances.refusals import ChangeRefused, Exists, InUse, Mismatch, NoSpace
from shared.errors import NotFound, Unavailable
from shared.web import Answer, WebApi, refuse_other_than_success

CMDB, MONITOR = "/api/v2/cmdb/", "/api/v2/monitor/"
IMPORT = f"{MONITOR}vpn-certificate/local/import"
GLOBAL = "global"
LOCAL = "vpn.certificate/local"
Row = Mapping[str, Any]
_ABSENT, _EXISTS, _IN_USE, _TOO_MANY = (-3,), (-5, -15), (-23,), (-4,)
"""Entry not found; entry with this name exists; entry is used by others; the table is full."""
_CLI = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.FAILED_DEPENDENCY, HTTPStatus.BAD_REQUEST)
"""With which statuses the words of the CLI come."""
_LOOK = "Look at the configuration of the device."


@dataclass(frozen=True, kw_only=True)
class Scope:
    """All of the device, or one VDOM: whose objects are asked for in the same way."""

    vdom: str | None = None

    @property
    def params(self) -> dict[str, str]:
        """Return what every question about it has."""
        return {"scope": GLOBAL} if self.vdom is None else {"vdom": self.vdom}

    @property
    def kind(self) -> str:
        """Return what its certificates are said to be of."""
        return GLOBAL if self.vdom is None else "vdom"


def object_path(table: str, name: str | None) -> str:
    """Return where an object of a table is; without a name, the only one that it has."""
    return f"{CMDB}{table}" if name is None else f"{CMDB}{table}/{quote(name, safe='')}"


class FortiOs:
    """The API of one device, with a token in the client's headers. Raises what `WebApi` does, and the refusals of devices."""

    def __init__(self, api: WebApi) -> None:
        self._api = api

    async def rows(self, path: str, params: Mapping[str, str]) -> list[Row]:
        """Return the objects of a table, of which a single one comes bare."""
        told = await self._api.get(path, params=dict(params))
        if not isinstance(told, dict) or told.get("status") not in ("success", None) or "results" not in told:
            raise Unavailable(
                f"{path}: FortiOS did not answer with results.", next_step="It is tried again by itself."
            )
        results = told["results"]
        rows = results if isinstance(results, list) else [results]
        return [row for row in rows if isinstance(row, dict)]

    async def one(self, table: str, name: str | None, *, scope: Scope, fields: str) -> Row:
        """Return an object of a table by its name, or the only one that there is. Raises `NotFound`."""
        rows = await self.rows(object_path(table, name), {**scope.params, "format": fields})
        if not rows:
            raise NotFound(f"{table}: there is no {name}.", next_step=_LOOK)
        return rows[0]

    async def change(self, table: str, name: str | None, document: Row, *, scope: Scope) -> None:
        """Set fields of an object."""
        await self._do("PUT", object_path(table, name), params=scope.params, json=dict(document))

    async def delete(self, table: str, name: str, *, scope: Scope) -> None:
        """Delete an object. Raises `NotFound` where there is none, and `InUse`."""
        await self._do("DELETE", object_path(table, name), params=scope.params)

    async def import_pair(self, document: Row, *, scope: Scope) -> None:
        """Import a certificate and its key. Raises `Exists` where there is one of this name, or the same certificate."""
        await self._do("POST", IMPORT, params=scope.params, json={**document, "scope": scope.kind})

    async def certificate(self, name: str, *, scope: Scope, kind: str = "local-cer") -> str:
        """Return a certificate and its chain as text. Raises `NotFound`."""
        params = {**scope.params, "mkey": name, "type": kind, "scope": scope.kind}
        answer = await self._api.ask("GET", f"{MONITOR}system/certificate/download", params=params)
        return answer.body.decode(errors="replace")

    async def _do(self, method: str, path: str, **question: Any) -> None:
        answer = await self._api.answer(method, path, **question)
        if answer.status in _CLI:
            _refuse(answer, path)
        refuse_other_than_success(answer, path)


def _refuse(answer: Answer, path: str) -> None:
    """Raise what the CLI says of a change."""
    try:
        told = answer.json()
    except Unavailable:
        return
    code = told.get("error") if isinstance(told, dict) else None
    said = str(told.get("cli_error") or "") if isinstance(told, dict) else ""
    plain = " ".join("".join(each if each.isprintable() else " " for each in said).split())[:200]
    what = f"{path}: {plain or 'refused'} (error {code})."
    if code in _ABSENT:
        raise NotFound(what, next_step=_LOOK)
    if code in _EXISTS:
        raise Exists(what, next_step=_LOOK)
    if code in _IN_USE:
        raise InUse(what, next_step=_LOOK)
    if code in _TOO_MANY or "space" in plain.lower():
        raise NoSpace(what, next_step="Delete certificates that nothing uses.")
    if "key" in plain.lower() and "match" in plain.lower():
        raise Mismatch(what, next_step="Renew again.")
    if isinstance(code, int):
        raise ChangeRefused(what, next_step=_LOOK)
