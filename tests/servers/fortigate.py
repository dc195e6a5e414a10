"""A FortiGate, as far as reading certificates goes, after Fortinet's documents.

"FortiOS REST API", sections "Token-based authentication" (`Authorization: Bearer`; 401 without a right one), "Error codes"
(403 outside of the access profile or VDOM, 404 for what there is not, 405), "CMDB API" (`scope`, `vdom`, `format`, the envelope
with `results`, `http_status` and `status`) and "File download" (`monitor/system/certificate/download` with `mkey`, `type` and
`scope`, answered with the file and not with JSON); the tables are those of the "FortiOS CLI Reference". A single object comes
bare. The list of local certificates carries certificates or leaves them empty (`lists_bodies`): versions differ.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.appliance import Appliance, Asked, Said
from tests.servers.fortigate_changes import Changes, Refusal
from tests.servers.tls import CertificateAuthority, Issued

TOKEN = "f9s8d7f6g5h4j3k2l1m0n9b8v7c6x5"
SECRET = "ENC Zm9ydGlnYXRlLWtleQ=="
"""A private key as a table has it; it is never to be asked for."""
SINGLE = {"system/global", "system/ftm-push", "system/csf", "vpn.ssl/settings", "user/setting"}
LISTS = {
    "firewall/vip",
    "firewall/vip6",
    "vpn.ipsec/phase1-interface",
    "vpn.ipsec/phase1",
    "firewall/ssl-ssh-profile",
    "user/saml",
}
GLOBAL = {"system/global", "system/ftm-push", "system/csf"}
Row = dict[str, Any]


class FortiGateSimulator(Appliance):
    """One FortiGate with VDOMs; `tables` holds rows by scope ("global" or a VDOM) and table."""

    def __init__(self, directory: Path, *, vdoms: tuple[str, ...] = ("root", "dmz")) -> None:
        super().__init__(directory)
        self.vdoms = vdoms
        self.lists_bodies = False
        self.missing_tables: set[str] = set()
        self.forbidden: set[str] = set()
        """Scopes, or `scope table`, that the token's access profile leaves out."""
        self.certificates: dict[str, list[Row]] = {scope: [] for scope in ("global", *vdoms)}
        self.tables: dict[tuple[str, str], list[Row]] = {}
        self.token = TOKEN
        self.may_change = False
        self.is_read_only = False
        """The access profile of the token lets it read, and no more."""
        self.changes = Changes(self)
        self.authority = CertificateAuthority("Fortinet-like CA")

    def add(self, scope: str, name: str, pem: str, **changes: Any) -> None:
        """Hold a certificate, as an import of it does."""
        row = {
            "name": name,
            "source": "user",
            "range": "global" if scope == "global" else "vdom",
            "exists": True,
            "type": "local-cer",
            "status": "valid",
            "has_valid_cert_key": True,
            "q_ref": 0,
            "pem": pem,
            **changes,
        }
        self.certificates[scope].append(row)

    def issue(self, scope: str, name: str, **changes: Any) -> Issued:
        """Make a certificate, and hold it."""
        issued = self.authority.issue(f"{name.lower()}.test")
        self.hold(scope, name, issued, **changes)
        return issued

    def hold(self, scope: str, name: str, issued: Issued, **changes: Any) -> None:
        """Hold a certificate with its key."""
        self.add(scope, name, issued.chain_pem.decode(), **changes)
        self.changes.keys[scope, name] = issued.key_pem

    def answer(self, asked: Asked) -> Said:
        """Answer as FortiOS does."""
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return _failed(401, asked)
        if asked.method != "GET" and not self.may_change:
            self.writes += 1
            return _failed(405, asked)
        if not set(asked.query) <= {"scope", "vdom", "format", "mkey", "type"}:
            return _failed(400, asked)
        scope = asked.query.get("vdom", "global")
        if scope not in self.certificates:
            return _failed(424, asked)
        return self._answer(asked, scope)

    def _answer(self, asked: Asked, scope: str) -> Said:
        api, _, path = asked.path.removeprefix("/api/v2/").partition("/")
        if scope in self.forbidden or f"{scope} {path}" in self.forbidden:
            return _failed(403, asked)
        if asked.method != "GET":
            return _failed(403, asked) if self.is_read_only else self._change(asked, scope)
        if (api, path) == ("monitor", "system/available-certificates"):
            return _results(asked, [_without(row, "pem") for row in self._visible(scope)], vdom=scope)
        if (api, path) == ("monitor", "system/certificate/download"):
            return self._download(asked, scope)
        if api == "cmdb":
            return self._table(asked, scope, path)
        return _failed(404, asked)

    def _change(self, asked: Asked, scope: str) -> Said:
        try:
            return _said(200, asked, **self.changes.answer(asked, scope))
        except Refusal as refusal:
            said = {"status": "error", "error": refusal.code, "cli_error": str(refusal)}
            return _said(refusal.status, asked, **said)

    def _visible(self, scope: str) -> list[Row]:
        own = self.certificates[scope]
        return own if scope == "global" else [*self.certificates["global"], *own]

    def _local(self, row: Row) -> Row:
        carried = row["pem"] if self.lists_bodies else ""
        return {
            "name": row["name"],
            "password": SECRET,
            "private-key": SECRET,
            "certificate": carried,
            "source": row["source"],
        }

    def _table(self, asked: Asked, scope: str, table: str) -> Said:
        rows = self.tables.get((scope, table), [])
        if table == "system/vdom":
            rows = [{"name": name, "short-name": name} for name in self.vdoms]
        elif table == "vpn.certificate/local":
            rows = [self._local(row) for row in self.certificates[scope]]
        elif table.rpartition("/")[0] in LISTS:
            table, _, name = table.rpartition("/")
            rows = [row for row in self.tables.get((scope, table), []) if row.get("name") == name]
            if not rows:
                return _failed(404, asked)
        elif table not in SINGLE | LISTS or table in self.missing_tables:
            return _failed(404, asked)
        elif (table in GLOBAL) != (scope == "global"):
            return _failed(400, asked)
        is_single = table in SINGLE
        return _results(asked, (rows[0] if rows else {}) if is_single else rows, vdom=scope)

    def _download(self, asked: Asked, scope: str) -> Said:
        wanted = {"mkey": asked.query.get("mkey"), "type": asked.query.get("type")}
        if asked.query.get("scope") != ("global" if scope == "global" else "vdom"):
            return _failed(400, asked)
        for row in self.certificates[scope]:
            if (row["name"], row["type"]) == (wanted["mkey"], wanted["type"]):
                attached = {"Content-Disposition": f'attachment; filename="{row["name"]}.cer"'}
                return Said(body=row["pem"].encode(), type="application/octet-stream", headers=attached)
        return _failed(404, asked)


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _results(asked: Asked, results: Any, *, vdom: str) -> Said:
    wanted = asked.query.get("format", "").split("|") if "format" in asked.query else None

    def chosen(row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row if wanted is None else {name: row[name] for name in wanted if name in row}

    told = chosen(results) if isinstance(results, dict) else [chosen(row) for row in results]
    return _said(200, asked, status="success", results=told, vdom="root" if vdom == "global" else vdom)


def _failed(status: int, asked: Asked) -> Said:
    return _said(status, asked, status="error", error=-status)


def _said(http_status: int, asked: Asked, **beside: Any) -> Said:
    envelope = {
        "http_method": asked.method,
        "http_status": http_status,
        "serial": "FGVMEVTESTSIMULA",
        "version": "v7.4.4",
        "build": 2662,
        **beside,
    }
    return Said(status=http_status, body=json.dumps(envelope).encode())
