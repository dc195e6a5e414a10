"""How a simulated Citrix ADC is changed: files, certificate-key pairs, links and bindings, and what is there after a restart.

* NITRO API reference: ssl/sslcertkey (add; `action=update` with `nodomaincheck`; `action=link`, `action=unlink`),
  ssl/sslvserver_sslcertkey_binding (PUT, DELETE with `args`), system/systemfile (POST, DELETE), ns/nsconfig (`action=save`).
* Error messages, base and SSL: 273 exists, 284 no space, 1538 no match, 1540 no certificate, 1541 referenced, 1545 no link, 1548
  issuer mismatch, 1587 links were broken by an update (a warning), 3585 another domain, 3627 SNI is not enabled; 1642 of a file
  that is there.
* "Install, link, and update certificates": updating a pair keeps its bindings.
"""

import base64
import copy
import json
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.servers.device import Question, Reply
from tests.servers.presenting import Pair

if TYPE_CHECKING:
    from tests.servers.citrix_adc import CitrixAdc

FOLDER = "/nsconfig/ssl"
PAIRS, BINDINGS = "sslcertkey", "sslvserver_sslcertkey_binding"
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Refusal(Exception):
    """The appliance says no."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Control:
    """Changes what an appliance holds. What it serves was loaded from files, and stays when a file is removed."""

    def __init__(self, appliance: "CitrixAdc") -> None:
        self._appliance = appliance
        self.is_full = False
        self.refuses_updates: tuple[int, str] | None = None
        self.ignores_updates = False
        """Says that it has updated pairs, and goes on serving what they were."""
        self._loaded: dict[str, Pair] = {}
        self._saved: Any = None

    def answer(self, name: str, question: Question) -> Reply:
        """Carry out one request."""
        document = json.loads(question.body) if question.body else {}
        try:
            warning = self._do(question.method, name, question, document)
        except Refusal as refusal:
            return _reply(
                {"errorcode": refusal.code, "message": str(refusal), "severity": "ERROR"}, refusal.status
            )
        if warning is not None:
            return _reply({"errorcode": warning, "message": "A warning", "severity": "WARNING"}, 209)
        return _reply(
            {"errorcode": 0, "message": "Done", "severity": "NONE"}, 201 if question.method == "POST" else 200
        )

    def _do(self, method: str, name: str, question: Question, document: Mapping[str, Any]) -> int | None:
        resource, _, one = name.partition("/")
        action = question.params.get("action")
        match method, resource, action:
            case "POST", "systemfile", None:
                self._write(document["systemfile"])
            case "DELETE", "systemfile", None:
                self._remove(unquote(one), _arguments(question.query))
            case "POST", "sslcertkey", None:
                self._add(document[PAIRS])
            case "POST", "sslcertkey", "update":
                return self._update(document[PAIRS])
            case "POST", "sslcertkey", "link":
                self._link(document[PAIRS])
            case "POST", "sslcertkey", "unlink":
                self._unlink(document[PAIRS])
            case "DELETE", "sslcertkey", None:
                self._delete(unquote(one))
            case "PUT", "sslvserver_sslcertkey_binding", None:
                return self._bind(document[BINDINGS])
            case "DELETE", "sslvserver_sslcertkey_binding", None:
                self._unbind(unquote(one), _arguments(question.query))
            case "POST", "nsconfig", "save":
                self._saved = copy.deepcopy(self._appliance.resources)
            case _:
                raise Refusal(1090, f"Invalid operation [{method} {name}]")
        return None

    def _write(self, asked: Mapping[str, str]) -> None:
        path = posixpath.join(asked["filelocation"], asked["filename"])
        if self.is_full:
            raise Refusal(284, "No space left on device")
        if path in self._appliance.files:
            raise Refusal(1642, "Cannot create output file. File already exists", status=409)
        self._appliance.files[path] = base64.b64decode(asked["filecontent"], validate=True)

    def _remove(self, name: str, asked: Mapping[str, str]) -> None:
        path = posixpath.join(asked["filelocation"], name)
        if path not in self._appliance.files:
            raise Refusal(258, f"No such resource [fileName, {name}]", status=404)
        del self._appliance.files[path]

    def _pair(self, name: str) -> dict[str, Any]:
        for item in self._appliance.resources[PAIRS]:
            if item["certkey"] == name:
                return item
        raise Refusal(1540, f"Certificate does not exist [certkeyName, {name}]", status=404)

    def _read(self, name: str | None) -> bytes:
        content = self._appliance.files.get(posixpath.join(FOLDER, name or ""))
        if content is None:
            raise Refusal(1190, f"File operation failed [{name}]")
        return content

    def _load(self, asked: Mapping[str, Any]) -> x509.Certificate:
        certificate = x509.load_pem_x509_certificate(self._read(asked["cert"]))
        if asked.get("key"):
            key = load_pem_private_key(self._read(asked["key"]), None)
            if key.public_key().public_bytes(*_PUBLIC) != certificate.public_key().public_bytes(*_PUBLIC):
                raise Refusal(1538, "Certificate and private key do not match")
        for other in self._appliance.resources[PAIRS]:
            if other["certkey"] != asked["certkey"] and self._certificate(other) == certificate:
                raise Refusal(
                    273, f"Resource already exists [certkeyName Contents, {other['certkey']}]", status=409
                )
        return certificate

    def _certificate(self, item: Mapping[str, Any]) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._pem(item).chain)

    def _pem(self, item: Mapping[str, Any]) -> Pair:
        """Return what a pair was loaded with, which is in force whatever has become of the files."""
        name = item["certkey"]
        if name not in self._loaded:
            key = self._read(item["key"]) if item.get("key") else b""
            self._loaded[name] = Pair(chain=self._read(item["cert"]), key=key)
        return self._loaded[name]

    def _add(self, asked: Mapping[str, Any]) -> None:
        if any(item["certkey"] == asked["certkey"] for item in self._appliance.resources[PAIRS]):
            raise Refusal(273, f"Resource already exists [certkeyName, {asked['certkey']}]", status=409)
        self._load(asked)
        self._loaded.pop(asked["certkey"], None)
        self._appliance.resources[PAIRS].append({"inform": "PEM", "status": "Valid", **asked})

    def _update(self, asked: Mapping[str, Any]) -> int | None:
        item = self._pair(asked["certkey"])
        before = self._pem(item)
        if self.refuses_updates is not None:
            raise Refusal(*self.refuses_updates)
        certificate = self._load(asked)
        names = [x509.load_pem_x509_certificate(before.chain).subject, certificate.subject]
        if names[0] != names[1] and asked.get("nodomaincheck") is not True:
            raise Refusal(
                3585, "Certificate is registered to a different domain; use the no domain check option"
            )
        item.update({name: value for name, value in asked.items() if name != "nodomaincheck"})
        if not self.ignores_updates:
            del self._loaded[asked["certkey"]]
        linked = item.get("linkcertkeyname")
        if linked and self._certificate(self._pair(linked)).subject != certificate.issuer:
            del item["linkcertkeyname"]
            return 1587
        return None

    def _link(self, asked: Mapping[str, Any]) -> None:
        item, issuer = self._pair(asked["certkey"]), self._pair(asked["linkcertkeyname"])
        certificate = x509.load_pem_x509_certificate(self._read(item["cert"]))
        if self._certificate(issuer).subject != certificate.issuer:
            raise Refusal(1548, "Issuer certificate mismatch")
        if item.get("linkcertkeyname"):
            raise Refusal(273, "Resource already exists", status=409)
        item["linkcertkeyname"] = asked["linkcertkeyname"]

    def _unlink(self, asked: Mapping[str, Any]) -> None:
        if self._pair(asked["certkey"]).pop("linkcertkeyname", None) is None:
            raise Refusal(1545, "Certificate does not have any CA link")

    def _delete(self, name: str) -> None:
        item = self._pair(name)
        bound = any(each["certkeyname"] == name for each in self._appliance.resources[BINDINGS])
        linked = any(each.get("linkcertkeyname") == name for each in self._appliance.resources[PAIRS])
        if bound or linked:
            raise Refusal(1541, "Certificate is referenced by a vserver or another certificate")
        self._appliance.resources[PAIRS].remove(item)
        self._loaded.pop(name, None)

    def _bind(self, asked: Mapping[str, Any]) -> int | None:
        virtual, sni = asked["vservername"], asked.get("snicert", False)
        self._pair(asked["certkeyname"])
        own = [item for item in self._appliance.resources["sslvserver"] if item["vservername"] == virtual]
        if not own:
            raise Refusal(258, f"No such resource [vServerName, {virtual}]", status=404)
        if sni and own[0]["snienable"] != "ENABLED":
            raise Refusal(3627, "SNI feature not enabled on the vserver/service")
        bound = self._appliance.resources[BINDINGS]
        default = [
            item
            for item in bound
            if item["vservername"] == virtual and not item["snicert"] and not item["ca"]
        ]
        if not sni:
            for item in default:
                bound.remove(item)
        self._appliance.bind(virtual, asked["certkeyname"], sni=sni)
        return 1546 if default and not sni else None

    def _unbind(self, virtual: str, asked: Mapping[str, str]) -> None:
        bound = self._appliance.resources[BINDINGS]
        for item in bound:
            named = (item["vservername"], item["certkeyname"], str(item["snicert"]).lower())
            if named == (virtual, asked["certkeyname"], asked.get("snicert", "false")):
                bound.remove(item)
                return
        raise Refusal(1542, "Certificate binding does not exist", status=404)

    def restart(self) -> None:
        """Come up again with what was saved last, and with the files that there are."""
        self._appliance.resources = copy.deepcopy(self._saved)
        self._loaded = {}
        for item in self._appliance.resources[PAIRS]:
            self._pem(item)

    def served(self, virtual: str, name: str | None) -> Pair | None:
        """Return what a virtual server shakes hands with."""
        chosen: str | None = None
        for item in self._appliance.resources[BINDINGS]:
            if item["vservername"] == virtual and not item["ca"]:
                is_right = not item["snicert"] or (
                    name is not None and name in self._names(item["certkeyname"])
                )
                chosen = item["certkeyname"] if is_right and (item["snicert"] or chosen is None) else chosen
        if chosen is None:
            return None
        item = self._pair(chosen)
        pair, chain = self._pem(item), b""
        while item.get("linkcertkeyname"):
            item = self._pair(item["linkcertkeyname"])
            chain += self._pem(item).chain
        return Pair(chain=pair.chain + chain, key=pair.key)

    def _names(self, pair: str) -> list[str]:
        names = self._certificate(self._pair(pair)).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return names.value.get_values_for_type(x509.DNSName)


def _arguments(query: str) -> dict[str, str]:
    given = query.removeprefix("args=").split(",")
    return {name: unquote(value) for name, _, value in (each.partition(":") for each in given)}


def _reply(document: Mapping[str, Any], status: int) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8"})
