"""The control process of a simulated BIG-IP: uploads, transactions, what it refuses, and what survives a restart.

* iControl REST API User Guide 14.1: "About the iControl REST transaction model" (`POST /mgmt/tm/transaction`, the header
  `X-F5-REST-Coordination-Id`, `PATCH` with `VALIDATING`; commands are carried out in their order, all or none).
* https://clouddocs.f5.com/api/icontrol-rest/: sys/file/ssl-cert and ssl-key (`sourcePath`), ltm/profile/client-ssl
  (`certKeyChain`, `inheritCertkeychain`), ltm/virtual (profiles), sys/config (`save`), cm (`config-sync`), util/unix-rm.
* Messages of the control process: 01020036 not found, 01020066 already exists, 01071349 a file object is in use, 01070317
  key and certificate do not match, 0107149c several client SSL profiles and none the default for SNI.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.servers.device import Question, Reply
from tests.servers.presenting import Pair

if TYPE_CHECKING:
    from tests.servers.bigip import BigIp

CERTIFICATES, KEYS = "sys/file/ssl-cert", "sys/file/ssl-key"
PROFILES, VIRTUALS = "ltm/profile/client-ssl", "ltm/virtual"
MAY_CHANGE = ("admin", "resource-admin")
FOLDER = "/var/config/rest/downloads/"
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Refusal(Exception):
    """The control process says no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Command:
    """One request, at once or within a transaction."""

    method: str
    path: str
    document: dict[str, Any] = field(default_factory=dict)


class Control:
    """Changes what a device holds."""

    def __init__(self, device: "BigIp") -> None:
        self._device = device
        self.uploads: dict[str, bytes] = {}
        self.transactions: dict[int, list[Command]] = {}
        self.committed = 0
        self.is_full = False
        """There is no space left for uploads."""
        self.refuses_commits: str | None = None
        """What every transaction is refused with."""
        self.refuses_profiles: str | None = None
        """What every change of a profile is refused with."""
        self.may_remove_files = True
        self.ignores_profiles = False
        """Says that it has changed profiles, and goes on serving what they named before."""
        self.synchronised: list[str] = []
        self._saved: Any = None
        self._in_force: Any = None

    def answer(self, question: Question) -> Reply:
        """Carry out one request."""
        try:
            return _json(self._answer(question))
        except Refusal as refusal:
            return _json(
                {"code": refusal.status, "message": str(refusal), "errorStack": [], "apiError": 3},
                status=refusal.status,
            )

    def _answer(self, question: Question) -> Mapping[str, Any]:
        if question.path.startswith("/mgmt/shared/file-transfer/uploads/"):
            return self._upload(question)
        name = question.path.removeprefix("/mgmt/tm/")
        document = json.loads(question.body) if question.body else {}
        if name == "transaction":
            number = 1_700_000_000 + self.committed + len(self.transactions)
            self.transactions[number] = []
            return {"transId": number, "state": "STARTED", "timeoutSeconds": 120}
        if name.startswith("transaction/"):
            return self._commit(int(name.removeprefix("transaction/")), document)
        command = Command(question.method, name, document)
        within = question.headers.get("x-f5-rest-coordination-id")
        if within is not None:
            self._transaction(int(within)).append(command)
            return {"transId": int(within), "method": question.method}
        if name in ("sys/config", "cm", "util/unix-rm"):
            return self._run(name, document)
        return self._carry_out([command])

    def _upload(self, question: Question) -> Mapping[str, Any]:
        if self.is_full:
            raise Refusal(500, "java.io.IOException: No space left on device")
        size = len(question.body)
        if question.headers.get("content-range") != f"0-{max(size - 1, 0)}/{size}":
            raise Refusal(400, "Content-Range header is not valid")
        name = question.path.rpartition("/")[2]
        self.uploads[name] = question.body
        return {"remainingByteCount": 0, "totalByteCount": size, "localFilePath": FOLDER + name}

    def _transaction(self, number: int) -> list[Command]:
        if number not in self.transactions:
            raise Refusal(404, f"Transaction {number} does not exist")
        return self.transactions[number]

    def _commit(self, number: int, document: Mapping[str, Any]) -> Mapping[str, Any]:
        commands = self._transaction(number)
        if document != {"state": "VALIDATING"}:
            raise Refusal(400, "Only the state of a transaction can be changed")
        del self.transactions[number]
        if self.refuses_commits is not None:
            raise Refusal(400, f"transaction failed:{self.refuses_commits}")
        try:
            self._carry_out(commands)
        except Refusal as refusal:
            raise Refusal(refusal.status, f"transaction failed:{refusal}") from None
        self.committed += 1
        return {"transId": number, "state": "COMPLETED"}

    def _run(self, name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        if name == "sys/config" and document == {"command": "save"}:
            self._saved = self._state()
        elif name == "cm" and document.get("command") == "run":
            self.synchronised.append(document["utilCmdArgs"])
        elif name == "util/unix-rm" and self.may_remove_files:
            self.uploads.pop(document["utilCmdArgs"].removeprefix(FOLDER), None)
        elif name == "util/unix-rm":
            raise Refusal(401, "Authorization failed: user= resource=/mgmt/tm/util/unix-rm verb=POST")
        else:
            raise Refusal(400, f"Found invalid content-body: {document}")
        return document

    def restart(self) -> None:
        """Come up again with what was saved last; a configuration that names files that are gone is not loaded."""
        certificates, keys, collections, profiles_of = copy.deepcopy(self._saved)
        files = {**self._device.certificates, **self._device.keys}
        missing = (certificates.keys() | keys.keys()) - files.keys()
        assert not missing, f"the saved configuration names files that are gone: {missing}"
        device = self._device
        device.certificates, device.keys = certificates, keys
        device.collections, device.profiles_of = collections, profiles_of
        self._in_force = None

    def _state(self) -> Any:
        device = self._device
        return copy.deepcopy((device.certificates, device.keys, device.collections, device.profiles_of))

    def _carry_out(self, commands: list[Command]) -> Mapping[str, Any]:
        before = self._state()
        try:
            for command in commands:
                self._do(command)
            self._validate()
        except Refusal:
            device = self._device
            device.certificates, device.keys, device.collections, device.profiles_of = before
            raise
        self._in_force = (self._in_force or before) if self.ignores_profiles else None
        return commands[-1].document if commands else {}

    def _do(self, command: Command) -> None:
        if command.method == "POST" and command.path in (CERTIFICATES, KEYS):
            self._make_file(command)
            return
        collection, _, rest = command.path.partition("/~")
        path, _, below = f"~{rest}".partition("/")
        path = path.replace("~", "/")
        if collection == VIRTUALS and below.startswith("profiles"):
            self._attach(path, command, below)
        elif command.method == "DELETE" and collection in (CERTIFICATES, KEYS):
            self._delete_file(collection, path)
        elif command.method == "PATCH" and collection == PROFILES:
            if self.refuses_profiles is not None:
                raise Refusal(400, self.refuses_profiles)
            profile = self._known(self._device.collections[PROFILES], path)
            profile.update(command.document)
            if profile["inheritCertkeychain"] == "true":
                profile["certKeyChain"] = []  # its parent's, which has none here
        else:
            raise Refusal(400, f"This simulator does not know {command.method} {command.path}")

    def _make_file(self, command: Command) -> None:
        document = command.document
        path = f"/{document['partition']}/{document['name']}"
        content = self.uploads.get(document["sourcePath"].removeprefix(f"file:{FOLDER}"))
        if content is None:
            raise Refusal(
                400, f"01070712:3: Caught configuration exception: {document['sourcePath']}: no such file"
            )
        files = self._device.certificates if command.path == CERTIFICATES else self._device.keys
        if path in files:
            raise Refusal(
                409, f"01020066:3: The requested file object ({path}) already exists in partition Common."
            )
        if command.path == KEYS:
            load_pem_private_key(content, None)
            self._device.collections[KEYS][path] = {"keyType": "ec-private", "securityType": "normal"}
        else:
            x509.load_pem_x509_certificates(content)
        files[path] = content

    def _delete_file(self, collection: str, path: str) -> None:
        files = self._device.certificates if collection == CERTIFICATES else self._device.keys
        self._known(files, path)
        named = {
            str(entry.get(name))
            for profile in self._device.collections[PROFILES].values()
            for entry in profile.get("certKeyChain", ())
            for name in ("cert", "key", "chain")
        }
        if path in named:
            raise Refusal(400, f"01071349:3: File object by name ({path}) is in use.")
        del files[path]
        if collection == KEYS:
            del self._device.collections[KEYS][path]

    def _attach(self, path: str, command: Command, below: str) -> None:
        self._known(self._device.collections[VIRTUALS], path)
        attached = self._device.profiles_of[path]
        if command.method == "POST":
            self._known(self._device.collections[PROFILES], command.document["name"])
            self._device.profiles_of[path] = (*attached, command.document["name"])
        elif command.method == "DELETE":
            gone = below.removeprefix("profiles/").replace("~", "/")
            self._known(dict.fromkeys(attached), gone)
            self._device.profiles_of[path] = tuple(each for each in attached if each != gone)

    @staticmethod
    def _known(items: Mapping[str, Any], path: str) -> Any:
        if path not in items:
            raise Refusal(404, f"01020036:3: The requested object ({path}) was not found.")
        return items[path]

    def _validate(self) -> None:
        device = self._device
        for path, profile in device.collections[PROFILES].items():
            for entry in profile.get("certKeyChain", ()):
                cert = self._known(device.certificates, entry["cert"])
                key = self._known(device.keys, entry["key"])
                if entry.get("chain", "none") != "none":
                    self._known(device.certificates, entry["chain"])
                public = x509.load_pem_x509_certificate(cert).public_key().public_bytes(*_PUBLIC)
                if load_pem_private_key(key, None).public_key().public_bytes(*_PUBLIC) != public:
                    named = f"key({entry['key']}) and certificate({entry['cert']})"
                    raise Refusal(400, f"01070317:3: profile {path}'s {named} do not match.")
        for path, attached in device.profiles_of.items():
            client = [
                device.collections[PROFILES][each]
                for each in attached
                if each in device.collections[PROFILES]
            ]
            if len(client) > 1 and not any(each.get("sniDefault") == "true" for each in client):
                raise Refusal(
                    400,
                    f"0107149c:3: Virtual server {path} has more than one clientssl profile and no default for SNI.",
                )

    def served(self, virtual: str, name: str | None) -> Pair | None:
        """Return what a virtual server shakes hands with."""
        certificates, keys, collections, profiles_of = self._in_force or self._state()
        client = [
            collections[PROFILES][each] for each in profiles_of[virtual] if each in collections[PROFILES]
        ]
        chosen = [each for each in client if name is not None and each.get("serverName") == name]
        chosen = chosen or [each for each in client if each.get("sniDefault") == "true"] or client
        if not chosen:
            return None
        entry = chosen[0]["certKeyChain"][0]
        chain = entry.get("chain", "none")
        below = b"" if chain == "none" else certificates[chain]
        return Pair(chain=certificates[entry["cert"]] + below, key=keys[entry["key"]])


def _json(document: Mapping[str, Any], *, status: int = 200) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status=status, body=body, headers={"Content-Type": "application/json; charset=UTF-8"})
