"""A BIG-IP as far as certificates go, by F5's documentation; a role that only reads is refused every change.

* iControl REST API User Guide 14.1: "About iControl REST authentication" (tokens: login, life, deletion), "About paging"
  (`$top`, `$skip`, `totalItems`, `nextLink`), "About selecting properties" (`$select`), `expandSubcollections`.
* https://clouddocs.f5.com/api/icontrol-rest/: sys/file/ssl-cert, sys/file/ssl-key, ltm/profile/client-ssl, ltm/virtual,
  ltm/virtual-address, ltm/monitor/https, auth/user, auth/partition.
* https://clouddocs.f5.com/api/icontrol-soap/: Management.KeyCertificate.certificate_export_to_pem.
* BIG-IP User Account Administration, "User Roles": a user sees the partitions in which it has a role, and /Common.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.servers.bigip_control import CERTIFICATES, MAY_CHANGE, Control
from tests.servers.device import Interface, Question, Reply
from tests.servers.tls import Issued

USERNAME, PASSWORD = "everleaf", "bigip-secret-word"
SOAP = "/iControl/iControlPortal.cgi"
SOAP_INTERFACE = "urn:iControl:Management/KeyCertificate"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
Items = dict[str, dict[str, Any]]


class BigIp:
    """One device; what it holds is put in by the tests."""

    def __init__(self, directory: Path) -> None:
        self.certificates: dict[str, bytes] = {}
        """PEM by full path."""
        self.bundles: set[str] = set()
        self.collections: dict[str, Items] = {
            "sys/file/ssl-key": {},
            "ltm/profile/client-ssl": {},
            "ltm/profile/server-ssl": {},
            "ltm/virtual": {},
            "ltm/virtual-address": {},
            "ltm/monitor/https": {},
        }
        self.profiles_of: dict[str, tuple[str, ...]] = {}
        self.partitions = ["Common", "Sales"]
        self.roles: dict[str, str] | None = {"all-partitions": "guest"}
        """None for a user of a remote directory, whom the device does not know."""
        self.forbidden: set[str] = set()
        """Collections that the role may not read, and `soap`."""
        self.tokens: set[str] = set()
        self.logins = 0
        self.uses_before_expiry: int | None = None
        self.tells_fingerprints = True
        self.keys: dict[str, bytes] = {}
        """PEM by full path."""
        self.most_tokens: int | None = None
        self.control = Control(self)
        self.interface = Interface(self, directory)
        self._left = 0

    def keep(self, path: str, issued: Issued, *, key: str | None = None) -> None:
        """Hold a certificate, and its key."""
        self.certificates[path] = issued.certificate_pem
        name = key or path.removesuffix(".crt") + ".key"
        self.collections["sys/file/ssl-key"][name] = {"keyType": "ec-private", "securityType": "normal"}
        self.keys[name] = issued.key_pem

    def profile(self, path: str, *pairs: Mapping[str, str], kind: str = "client-ssl", **more: Any) -> None:
        """Configure an SSL profile."""
        self.collections[f"ltm/profile/{kind}"][path] = {
            "certKeyChain": [
                {"name": f"pair{n}", "passphrase": "$M$ab$cd==", **each} for n, each in enumerate(pairs)
            ],
            "defaultsFrom": "/Common/clientssl",
            "inheritCertkeychain": "false",
            "mode": "enabled",
            "sniDefault": "false",
            "peerCertMode": "ignore",
            "ciphers": "DEFAULT",
            "tmOptions": ["dont-insert-empty-fragments", "no-tlsv1"],
            **more,
        }

    def virtual(self, path: str, destination: str, *profiles: str, **more: Any) -> None:
        """Configure a virtual server."""
        self.collections["ltm/virtual"][path] = {
            "destination": destination,
            "mask": "255.255.255.255",
            "ipProtocol": "tcp",
            **({} if "disabled" in more else {"enabled": True}),
            **more,
        }
        self.profiles_of[path] = profiles

    def answer(self, question: Question) -> Reply:
        """Answer as the device does."""
        if question.path == SOAP:
            return self._soap(question)
        if question.path == "/mgmt/shared/authn/login":
            return self._login(question)
        token = question.headers.get("x-f5-auth-token")
        refused = self._authenticated(question, token)
        if refused is not None:
            return refused
        if question.method == "DELETE" and question.path == f"/mgmt/shared/authz/tokens/{token}":
            self.tokens.discard(token or "")
            return _json({"token": token})
        if question.method != "GET":
            return self._change(question)
        return self._get(question.path.removeprefix("/mgmt/tm/"), question.params)

    def _change(self, question: Question) -> Reply:
        role = (self.roles or {}).get("all-partitions")
        if role not in MAY_CHANGE or "changes" in self.forbidden:
            return self._unauthorised(question.path.removeprefix("/mgmt/tm/"), question.method)
        return self.control.answer(question)

    def _login(self, question: Question) -> Reply:
        asked = json.loads(question.body) if question.body else {}
        if question.method != "POST" or question.headers.get("content-type") != "application/json":
            return _error(400, "Content-Type must be application/json")
        if asked != {"username": USERNAME, "password": PASSWORD, "loginProviderName": "tmos"}:
            return _error(401, "Authentication failed.")
        if self.most_tokens is not None and len(self.tokens) >= self.most_tokens:
            return _error(400, f"user {USERNAME} has reached maximum active login tokens")
        token = secrets.token_hex(13).upper()
        self.tokens.add(token)
        self.logins += 1
        self._left = self.uses_before_expiry or 0
        return _json({"username": USERNAME, "token": {"token": token, "timeout": 1200, "name": token}})

    def _authenticated(self, question: Question, token: str | None) -> Reply | None:
        if token is None:
            return (
                None
                if _is_basic(question)
                else Reply(status=401, body=b"<html>Authorization Required</html>")
            )
        if self.uses_before_expiry is not None:
            self._left -= 1
            if self._left < 0:
                self.tokens.clear()
        if token not in self.tokens:
            return _error(401, "X-F5-Auth-Token does not exist.")
        return None

    def _get(self, name: str, params: Mapping[str, str]) -> Reply:
        if name in self.forbidden:
            return self._unauthorised(name, "GET")
        if "/~" in name:
            return self._one(name, params)
        if name.startswith("auth/user/"):
            return self._user(name.removeprefix("auth/user/"))
        if name == "auth/partition":
            return _page([{"name": each, "fullPath": each} for each in self.partitions], name, params)
        items = self._certificates() if name == "sys/file/ssl-cert" else self.collections.get(name)
        if items is None:
            return _error(404, f"Public URI path not registered: /tm/{name}")
        seen = [self._item(path, item, params) for path, item in sorted(items.items()) if self._sees(path)]
        return _page(seen, name, params)

    def _one(self, name: str, params: Mapping[str, str]) -> Reply:
        """Show one object, `collection/~Common~name`, or the profiles of a virtual server."""
        collection, _, rest = name.partition("/~")
        path, _, below = f"~{rest}".partition("/")
        path = path.replace("~", "/")
        items = self._certificates() if collection == CERTIFICATES else self.collections.get(collection, {})
        if path not in items or not self._sees(path):
            return _error(404, f"01020036:3: The requested object ({path}) was not found.")
        if below == "profiles":
            found = [{"fullPath": each, "context": "clientside"} for each in self.profiles_of.get(path, ())]
            return _page(found, name, params)
        item = self._item(path, items[path], params)
        wanted = params["$select"].split(",") if "$select" in params else list(item)
        return _json({field: value for field, value in item.items() if field in wanted})

    def _unauthorised(self, name: str, verb: str) -> Reply:
        where = f"resource=/mgmt/tm/{name} verb={verb} uri:http://localhost:8100/mgmt/tm/{name}"
        return _error(
            401, f"Authorization failed: user=https://localhost/mgmt/shared/authz/users/{USERNAME} {where}"
        )

    def _item(self, path: str, item: Mapping[str, Any], params: Mapping[str, str]) -> dict[str, Any]:
        partition, _, name = path[1:].partition("/")
        whole = {"name": name, "partition": partition, "fullPath": path, "generation": 1, **item}
        if path in self.profiles_of and path in self.collections["ltm/virtual"]:
            link = f"https://localhost/mgmt/tm/ltm/virtual/{path.replace('/', '~')}/profiles?ver=17.1.0"
            items = [
                {"name": each.rpartition("/")[2], "fullPath": each, "context": "clientside"}
                for each in self.profiles_of[path]
            ]
            expanded = {"items": items} if params.get("expandSubcollections") == "true" else {}
            whole["profilesReference"] = {"link": link, "isSubcollection": True, **expanded}
        return whole

    def _certificates(self) -> Items:
        return {path: self._certificate(path, pem) for path, pem in self.certificates.items()}

    def _certificate(self, path: str, pem: bytes) -> dict[str, Any]:
        partition, name = path.split("/")[1], path.replace("/", ":")
        facts = {
            "checksum": f"SHA1:{len(pem)}:{hashlib.sha1(pem).hexdigest()}",
            "isBundle": "true" if path in self.bundles else "false",
            "systemPath": f"/config/filestore/files_d/{partition}_d/certificate_d/{name}_1_1",
            "mode": 33188,
        }
        if self.tells_fingerprints and b"BEGIN CERTIFICATE" in pem:
            digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
            facts["fingerprint"] = "SHA256/" + digest.hex(":").upper()
        return facts

    def _user(self, name: str) -> Reply:
        if name != USERNAME or self.roles is None:
            return _error(404, f"01020036:3: The requested user ({name}) was not found.")
        access = [{"name": partition, "role": role} for partition, role in self.roles.items()]
        return _json({"name": name, "fullPath": name, "partitionAccess": access})

    def _sees(self, path: str) -> bool:
        roles = self.roles or {"all-partitions": "guest"}
        partition = path.split("/")[1]
        return partition == "Common" or "all-partitions" in roles or partition in roles

    def _soap(self, question: Question) -> Reply:
        if not _is_basic(question):
            return Reply(status=401, body=b"<html>Authorization Required</html>")
        if question.method != "POST" or not question.headers.get("content-type", "").startswith("text/xml"):
            return _fault("SOAP-ENV:Client", "No SOAP message")
        body = ET.fromstring(question.body).find("{http://schemas.xmlsoap.org/soap/envelope/}Body")
        assert body is not None
        call = body[0]
        if call.tag != f"{{{SOAP_INTERFACE}}}certificate_export_to_pem":
            return _fault("SOAP-ENV:Server", "This simulator exports certificates and does nothing else")
        names = [item.text or "" for item in call.iterfind("cert_ids/item")]
        assert call.findtext("mode") == "MANAGEMENT_MODE_DEFAULT"
        assert {item.get(f"{_XSI}type") for item in call.iterfind("cert_ids/item")} <= {"xsd:string"}
        return self._exported(names)

    def _exported(self, names: Iterable[str]) -> Reply:
        caught = f"Exception caught in Management::{SOAP_INTERFACE}::certificate_export_to_pem()\nException: Common::"
        names = list(names)
        if "soap" in self.forbidden:
            return _fault("SOAP-ENV:Server", caught + "AccessDenied")
        for name in names:
            if name not in self.certificates or not self._sees(name):
                missing = f"01020036:3: The requested certificate ({name}) was not found."
                return _fault("SOAP-ENV:Server", f"{caught}OperationFailed\n\terror_string : {missing}")
        items = "".join(f"<item>{escape(self.certificates[name].decode())}</item>" for name in names)
        inner = f'<return s:type="A:Array" A:arrayType="y:string[{len(names)}]">{items}</return>'
        return _soap(
            f'<m:certificate_export_to_pemResponse xmlns:m="{SOAP_INTERFACE}">{inner}</m:certificate_export_to_pemResponse>'
        )


def _page(items: list[dict[str, Any]], name: str, params: Mapping[str, str]) -> Reply:
    known = {"$top", "$skip", "$select", "expandSubcollections"}
    if not params.keys() <= known:
        return _error(400, f"Query parameter {min(params.keys() - known)} is invalid.")
    top, skip = int(params.get("$top", len(items) or 1)), int(params.get("$skip", 0))
    chosen = items[skip : skip + top]
    if "$select" in params:
        wanted = params["$select"].split(",")
        chosen = [{field: value for field, value in item.items() if field in wanted} for item in chosen]
    link = f"https://localhost/mgmt/tm/{name}?ver=17.1.0"
    document: dict[str, Any] = {"kind": f"tm:{name.replace('/', ':')}collectionstate", "selfLink": link}
    if chosen:  # an empty collection has no items at all
        document["items"] = chosen
    if "$top" in params:
        pages = -(-len(items) // top)
        document |= {"currentItemCount": len(chosen), "itemsPerPage": top, "pageIndex": skip // top + 1}
        document |= {"startIndex": skip + 1, "totalItems": len(items), "totalPages": pages}
        if skip + top < len(items):
            document["nextLink"] = f"{link}&$top={top}&$skip={skip + top}"
    return _json(document)


def _is_basic(question: Question) -> bool:
    wanted = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    return question.headers.get("authorization") == f"Basic {wanted}"


def _json(document: object, *, status: int = 200) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json; charset=UTF-8"})


def _error(status: int, message: str) -> Reply:
    return _json({"code": status, "message": message, "errorStack": [], "apiError": 1}, status=status)


def _soap(inner: str, *, status: int = 200) -> Reply:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:A="http://schemas.xmlsoap.org/soap/encoding/" xmlns:s="http://www.w3.org/2001/XMLSchema-instance"'
        f' xmlns:y="http://www.w3.org/2001/XMLSchema"><E:Body>{inner}</E:Body></E:Envelope>'
    )
    return Reply(status=status, body=text.encode(), headers={"Content-Type": "text/xml"})


def _fault(code: str, text: str) -> Reply:
    return _soap(
        f"<E:Fault><faultcode>{code}</faultcode><faultstring>{escape(text)}</faultstring></E:Fault>",
        status=500,
    )
