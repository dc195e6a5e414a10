"""How a simulated FortiGate is changed: certificates that are imported and deleted, and objects that name them.

After Fortinet's "FortiOS REST API": "Monitor API" (`POST vpn-certificate/local/import` with `type`, `certname`, `scope`,
`file_content` and `key_file_content` in base64), "CMDB API" (`PUT` and `DELETE` of an object), "Error codes"; and the errors of
the CLI that come with HTTP 500 and a negative number: -3 entry not found, -4 the table is full, -5 there is one of this name, -23
an entry that is used, or a certificate that is there already, -651 an invalid value.
"""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.servers.appliance import Asked
from tests.servers.presenting import Pair

if TYPE_CHECKING:
    from tests.servers.fortigate import FortiGateSimulator

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_FIELDS = {
    "firewall/vip": "ssl-certificate",
    "firewall/vip6": "ssl-certificate",
    "vpn.ssl/settings": "servercert",
    "system/global": "admin-server-cert",
    "firewall/ssl-ssh-profile": "server-cert",
    "user/setting": "auth-cert",
}


class Refusal(Exception):
    """FortiOS says no."""

    def __init__(self, code: int, said: str, *, status: int = 500) -> None:
        super().__init__(said)
        self.code, self.status = code, status


class Changes:
    """Changes what a FortiGate holds."""

    def __init__(self, device: "FortiGateSimulator") -> None:
        self._device = device
        self.keys: dict[tuple[str, str], bytes] = {}
        """PEM by scope and name of the certificate."""
        self.most_certificates: int | None = None
        self.refuses_bindings: str | None = None
        self.ignores_bindings = False
        """Says that it has changed an object, and goes on serving what that named before."""
        self._still: dict[tuple[str, str, str | None], str] = {}

    def answer(self, asked: Asked, scope: str) -> dict[str, Any]:
        """Carry out one request."""
        document = json.loads(asked.body) if asked.body else {}
        api, _, path = asked.path.removeprefix("/api/v2/").partition("/")
        if (asked.method, api, path) == ("POST", "monitor", "vpn-certificate/local/import"):
            self._import(scope, document)
        elif api == "cmdb" and asked.method == "DELETE" and path.startswith("vpn.certificate/local/"):
            self._delete(scope, path.rpartition("/")[2])
        elif api == "cmdb" and asked.method == "PUT":
            self._put(scope, path, document)
        else:
            raise Refusal(-1, "", status=405)
        return {"status": "success"}

    def _import(self, scope: str, asked: Mapping[str, str]) -> None:
        if (
            asked.get("scope") != ("global" if scope == "global" else "vdom")
            or asked.get("type") != "regular"
        ):
            raise Refusal(-651, "invalid scope or type", status=400)
        held = self._device.certificates[scope]
        pem = base64.b64decode(asked["file_content"], validate=True)
        key = base64.b64decode(asked["key_file_content"], validate=True)
        leaf = x509.load_pem_x509_certificates(pem)[0]
        if any(row["name"] == asked["certname"] for row in held):
            raise Refusal(-5, "A duplicate entry already exists")
        if any(x509.load_pem_x509_certificates(row["pem"].encode())[0] == leaf for row in held):
            raise Refusal(-23, "The certificate is there already")
        if self.most_certificates is not None and len(held) >= self.most_certificates:
            raise Refusal(-4, "The maximum number of entries has been reached")
        if load_pem_private_key(key, None).public_key().public_bytes(
            *_PUBLIC
        ) != leaf.public_key().public_bytes(*_PUBLIC):
            raise Refusal(-145, "The private key does not match the certificate")
        self._device.add(scope, asked["certname"], pem.decode())
        self.keys[scope, asked["certname"]] = key

    def _delete(self, scope: str, name: str) -> None:
        held = self._device.certificates[scope]
        row = next((each for each in held if each["name"] == name), None)
        if row is None:
            raise Refusal(-3, "Entry not found", status=404)
        if any(
            name in _names(each.get(_FIELDS[table]))
            for (at, table), rows in self._device.tables.items()
            if table in _FIELDS and scope in (at, "global")
            for each in rows
        ):
            raise Refusal(-23, "The entry is used by other 1 entries")
        held.remove(row)
        self.keys.pop((scope, name), None)

    def _put(self, scope: str, path: str, document: Mapping[str, Any]) -> None:
        table = next((each for each in _FIELDS if path == each or path.startswith(f"{each}/")), None)
        if table is None:
            raise Refusal(-1, "", status=404)
        name = path.removeprefix(table).removeprefix("/") or None
        row = self.row(scope, table, name)
        field = _FIELDS[table]
        if isinstance(document[field], list) != isinstance(row[field], list):
            raise Refusal(-651, f"{field} has another type")
        wanted = _names(document[field])
        known = {each["name"] for at in (scope, "global") for each in self._device.certificates[at]}
        if self.refuses_bindings is not None or not set(wanted) <= known:
            raise Refusal(-651, self.refuses_bindings or f"input value {wanted} is invalid")
        if self.ignores_bindings:
            self._still.setdefault((scope, table, name), next(iter(_names(row[field])), ""))
        row[field] = document[field]

    def row(self, scope: str, table: str, name: str | None) -> dict[str, Any]:
        """Return an object of a table."""
        rows = self._device.tables.get((scope, table), [])
        found = next((each for each in rows if name is None or each.get("name") == name), None)
        if found is None:
            raise Refusal(-3, "Entry not found", status=404)
        return found

    def served(self, scope: str, table: str, name: str | None) -> Pair | None:
        """Return what an object shakes hands with."""
        still = self._still.get((scope, table, name)) if self.ignores_bindings else None
        named = still or next(iter(_names(self.row(scope, table, name)[_FIELDS[table]])), "")
        for at in (scope, "global"):
            for row in self._device.certificates[at]:
                if row["name"] == named and (at, named) in self.keys:
                    return Pair(chain=row["pem"].encode(), key=self.keys[at, named])
        return None


def _names(value: Any) -> list[str]:
    each = value if isinstance(value, list) else [value]
    return [str(one["name"] if isinstance(one, dict) else one) for one in each if one]
