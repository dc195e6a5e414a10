"""A Citrix ADC as far as certificates go, by Citrix's documentation; whose policies allow no changes is refused them.

* NITRO API 13.1, "Getting started": login and logout, the cookie NITRO_AUTH_TOKEN, session time-out; "Retrieve resources":
  `pagesize` and `pageno`, `bulkbindings=yes`, `args=NAME:VALUE,…` whose values are escaped; "Exception handling": an
  `errorcode` that is not 0, with a status from 400 on.
* https://developer-docs.netscaler.com/en-us/adc-nitro-api/13-1/configuration/: ssl/sslcertkey, ssl/sslvserver, ssl/sslprofile
  and their bindings, lb/lbvserver, cs/csvserver, vpn/vpnvserver, system/systemfile, ns/nspartition.
* Errors: 354 Invalid username or password, 444 Session expired or killed, 2138 Not authorized to execute this command,
  258 No such resource.
"""

import base64
import json
import posixpath
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers.citrix_control import Control
from tests.servers.device import Interface, Question, Reply
from tests.servers.tls import Issued

USERNAME, PASSWORD = "everleaf", "adc-secret-word"
_PREFIX = "/nitro/v1/config/"
_RESOURCES = (
    "sslcertkey",
    "lbvserver",
    "csvserver",
    "vpnvserver",
    "authenticationvserver",
    "sslprofile",
    "sslvserver",
    "nspartition",
)
_BINDINGS = (
    "sslvserver_sslcertkey_binding",
    "sslvserver_sslciphersuite_binding",
    "sslservice_sslcertkey_binding",
    "sslservicegroup_sslcertkey_binding",
    "sslprofile_sslcertkey_binding",
)
_FILE_NAME, _FILE_LOCATION = 63, 127
"""The longest that systemfile takes."""


class CitrixAdc:
    """One appliance; what it holds is put in by the tests."""

    def __init__(self, directory: Path) -> None:
        self.resources: dict[str, list[dict[str, Any]]] = {name: [] for name in (*_RESOURCES, *_BINDINGS)}
        self.files: dict[str, bytes] = {}
        self.forbidden: set[str] = set()
        """Resources that the policies of the user do not allow."""
        self.may_change = False
        self.most_sessions: int | None = None
        self.control = Control(self)
        self.sessions: set[str] = set()
        self.logins = 0
        self.uses_before_expiry: int | None = None
        self._left = 0
        self.interface = Interface(self, directory)

    def pair(self, name: str, issued: Issued, *, content: bytes | None = None, **more: Any) -> None:
        """Hold a certificate-key pair and the file of its certificate."""
        file = more.setdefault("cert", f"{name}.cer")
        self.files[posixpath.join("/nsconfig/ssl", file)] = content or issued.certificate_pem
        self.files[posixpath.join("/nsconfig/ssl", more.get("key", f"{name}.key"))] = issued.key_pem
        item = {"certkey": name, "key": f"{name}.key", "inform": "PEM", "status": "Valid", **more}
        self.resources["sslcertkey"].append(item)

    def virtual(self, name: str, address: str, port: int, *, kind: str = "lbvserver", **ssl: Any) -> None:
        """Configure a virtual server that speaks TLS."""
        state = ssl.pop("curstate", "UP")
        self.resources[kind].append(
            {"name": name, "ipv46": address, "port": port, "servicetype": "SSL", "curstate": state}
        )
        versions = {"ssl3": "DISABLED", "tls1": "DISABLED", "tls12": "ENABLED", "tls13": "ENABLED"}
        own = {"vservername": name, "clientauth": "DISABLED", "snienable": "ENABLED", **versions, **ssl}
        self.resources["sslvserver"].append(own)

    def bind(self, virtual: str, pair: str, *, sni: bool = False, ca: bool = False) -> None:
        """Bind a pair to a virtual server."""
        item = {"vservername": virtual, "certkeyname": pair, "snicert": sni, "ca": ca, "cleartextport": 0}
        self.resources["sslvserver_sslcertkey_binding"].append(item)

    def answer(self, question: Question) -> Reply:
        """Answer as the appliance does."""
        name = question.path.removeprefix(_PREFIX)
        body = json.loads(question.body) if question.body else {}
        is_json = question.headers.get("content-type", "").startswith("application/json")
        if question.method == "POST" and name == "login" and is_json:
            return self._login(body)
        if not self._is_in_session(question):
            return _error(401, 444, "Session expired or killed. Please login again")
        if question.method == "POST" and name == "logout" and body == {"logout": {}}:
            self.sessions.clear()
            return Reply(status=201)
        if question.method != "GET" and self.may_change and name.partition("/")[0] not in self.forbidden:
            return self.control.answer(name, question)
        return self._show(name, question)

    def _show(self, name: str, question: Question) -> Reply:
        if question.method != "GET" or name in self.forbidden:
            return _error(403, 2138, f"Not authorized to execute this command [{question.method} {name}]")
        if name == "systemfile":
            return self._file(question.query)
        resource, _, one = name.partition("/")
        return self._one(resource, one) if one else self._list(name, question.params)

    def _one(self, resource: str, name: str) -> Reply:
        key = (
            "vservername"
            if resource.startswith("sslvserver")
            else "certkey"
            if resource == "sslcertkey"
            else "name"
        )
        items = [item for item in self.resources.get(resource, ()) if item.get(key) == name]
        if not items and resource in _BINDINGS:
            return _done(resource, [])
        if not items:
            code, message = (
                (1540, "Certificate does not exist")
                if resource == "sslcertkey"
                else (258, "No such resource")
            )
            return _error(404, code, f"{message} [{key}, {name}]")
        return _done(resource, items)

    def _login(self, body: Mapping[str, Any]) -> Reply:
        if body.get("login") != {"username": USERNAME, "password": PASSWORD}:
            return _error(401, 354, "Invalid username or password")
        if self.most_sessions is not None and len(self.sessions) >= self.most_sessions:
            return _error(503, 446, "Connection limit to CFE exceeded")
        token = "##" + secrets.token_hex(20).upper()
        self.sessions.add(token)
        self.logins += 1
        self._left = self.uses_before_expiry or 0
        cookie = f"NITRO_AUTH_TOKEN={token.replace('#', '%23')}; path=/nitro/v1; HttpOnly; Secure"
        document = {"errorcode": 0, "message": "Done", "severity": "NONE", "sessionid": token}
        return Reply(
            status=201,
            body=json.dumps(document).encode(),
            headers={"Content-Type": "application/json; charset=utf-8", "Set-Cookie": cookie},
        )

    def _is_in_session(self, question: Question) -> bool:
        if self.uses_before_expiry is not None:
            self._left -= 1
            if self._left < 0:
                self.sessions.clear()
        cookies = dict(
            part.strip().partition("=")[::2] for part in question.headers.get("cookie", "").split(";")
        )
        return unquote(cookies.get("NITRO_AUTH_TOKEN", "")) in self.sessions

    def _file(self, query: str) -> Reply:
        name, _, arguments = query.partition("=")
        given = {
            key: unquote(value) for key, _, value in (each.partition(":") for each in arguments.split(","))
        }
        if name == "args" and given.keys() == {"filelocation"}:
            folder = given["filelocation"] + "/"
            listed = sorted(path.removeprefix(folder) for path in self.files if path.startswith(folder))
            return _done("systemfile", [{"filename": each, **given} for each in listed])
        if name != "args" or given.keys() != {"filename", "filelocation"}:
            return _error(400, 1095, "Required argument missing [filelocation]")
        if len(given["filename"]) > _FILE_NAME or len(given["filelocation"]) > _FILE_LOCATION:
            return _error(400, 1104, "Argument too long")
        content = self.files.get(posixpath.join(given["filelocation"], given["filename"]))
        if content is None:
            return _error(404, 258, f"No such resource [fileName, {given['filename']}]")
        text = base64.b64encode(content).decode()
        return _done("systemfile", [{**given, "filecontent": text, "fileencoding": "BASE64"}])

    def _list(self, name: str, params: Mapping[str, str]) -> Reply:
        items = self.resources.get(name)
        if items is None:
            return _error(400, 1090, "Invalid object name")
        if name in _BINDINGS:
            if params != {"bulkbindings": "yes"}:
                return _error(400, 1095, "Required argument missing [name]")
            return _done(name, items)
        if params.keys() != {"pagesize", "pageno"}:
            return _error(400, 1092, "Invalid argument")
        size, number = int(params["pagesize"]), int(params["pageno"])
        return _done(name, items[size * (number - 1) : size * number])


def _done(name: str, items: list[dict[str, Any]]) -> Reply:
    document: dict[str, Any] = {"errorcode": 0, "message": "Done", "severity": "NONE"}
    if items:  # without any, the name is left out
        document[name] = items
    return Reply(
        body=json.dumps(document).encode(), headers={"Content-Type": "application/json; charset=utf-8"}
    )


def _error(status: int, code: int, message: str) -> Reply:
    document = {"errorcode": code, "message": message, "severity": "ERROR"}
    return Reply(
        status=status,
        body=json.dumps(document).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
