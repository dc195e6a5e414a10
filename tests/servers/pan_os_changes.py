"""How a simulated PAN-OS firewall is changed: candidate and running configuration, imports, locks, commits and their jobs.

After Palo Alto Networks, "PAN-OS and Panorama API Usage Guide": "Import Files" (`category=certificate|private-key`, with
`certificate-name`, `format`, `passphrase` and, as multipart, the file), "Edit Configuration" and "Delete Configuration",
"Commit" (admin-level changes), "Get job status", "PAN-OS XML API Error Codes" (7 object not present, 10 reference count not
zero, 12 invalid object); and "Manage Locks for Restricting Configuration Changes".
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tests.servers.appliance import Asked
from tests.servers.presenting import Pair

if TYPE_CHECKING:
    from tests.servers.pan_os import PanOsSimulator

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Refusal(Exception):
    """PAN-OS says no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Job:
    """A commit that ends after it was asked for so often."""

    asked_before_end: int
    failure: str | None = None


class Changes:
    """The candidate configuration is the device's `root`; this has the running one beside it."""

    def __init__(self, device: "PanOsSimulator", *, administrator: str) -> None:
        self._device = device
        self._administrator = administrator
        self.running = copy.deepcopy(device.root)
        self.keys: dict[str, bytes] = {}
        """PEM by the name of the certificate."""
        self._running_keys: dict[str, bytes] = {}
        self.changed: dict[str, str] = {}
        """The XPaths that are changed and not committed, with who has changed them."""
        self.locks: dict[str, str] = {}
        """Who has the configuration of a scope (`shared`, `vsys1`) locked."""
        self.jobs: list[Job] = []
        self.fails_commits: str | None = None
        self.ignores_commits = False
        """Says that a commit is done, and goes on serving what was in force."""
        self._still: tuple[Element, dict[str, bytes]] | None = None
        self.is_full = False
        self.slow = 1

    def settle(self) -> None:
        """Have all that is configured in force."""
        self.running, self._running_keys = copy.deepcopy(self._device.root), dict(self.keys)
        self.changed.clear()

    def answer(self, asked: Asked, given: Mapping[str, str]) -> str:
        """Carry out one request; return what is in the answer."""
        match given.get("type"), given.get("action"):
            case "import", _:
                return self._import(asked)
            case "config", "edit" | "delete":
                said = self._edit(given)
                self._forget_what_is_as_before()
                return said
            case "op", _:
                return self._operate(given)
            case "commit", "partial":
                return self._commit(given["cmd"])
        raise Refusal("17", "Invalid command")

    def _mine(self, scope: str, xpath: str) -> None:
        """Refuse where somebody else has the lock; else remember the change as ours."""
        holder = self.locks.get(scope) or self.locks.get("shared")
        if holder is not None and holder != self._administrator:
            raise Refusal("13", f"Config for scope {scope} is currently locked by {holder}")
        self.changed[xpath] = self._administrator

    def _forget_what_is_as_before(self) -> None:
        for xpath in list(self.changed):
            both = (self._device.found(xpath), self._device.found(xpath, root=self.running))
            written = [None if each is None else tostring(each).strip() for each in both]
            if written[0] == written[1]:
                del self.changed[xpath]

    def _import(self, asked: Asked) -> str:
        kind = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
        message = message_from_bytes(kind + asked.body, policy=HTTP)
        parts: dict[str, bytes] = {}
        for part in message.iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            parts[str(part.get_param("name", header="content-disposition"))] = content
        given = {name: value.decode() for name, value in parts.items() if name != "file"}
        if given.get("format") != "pem" or "file" not in parts:
            raise Refusal("12", "format and file are required")
        scope, name = given.get("vsys", "shared"), given["certificate-name"]
        root = self._device.scope(given.get("vsys"))
        self._mine(scope, f"{root}/certificate/entry[@name='{name}']")
        if self.is_full:
            raise Refusal("13", "Failed to write file: No space left on device")
        if given["category"] == "certificate":
            self._hold(root, name, parts["file"])
        else:
            self._hold_key(root, name, parts["file"], passphrase=given["passphrase"])
        return f"<result>Successfully imported {name} into candidate configuration</result>"

    def _hold(self, root: str, name: str, content: bytes) -> None:
        x509.load_pem_x509_certificates(content)
        entries = self._device.at(f"{root}/certificate")
        for entry in [each for each in entries if each.get("name") == name]:
            entries.remove(entry)
        self._device.hold(root, name, content.decode(), with_key=False)
        self.keys.pop(name, None)

    def _hold_key(self, root: str, name: str, content: bytes, *, passphrase: str) -> None:
        entry = next(
            (each for each in self._device.at(f"{root}/certificate") if each.get("name") == name), None
        )
        if entry is None:
            raise Refusal("7", f"No such certificate {name}")
        key = load_pem_private_key(content, passphrase.encode())
        certificate = x509.load_pem_x509_certificate((entry.findtext("public-key") or "").encode())
        if key.public_key().public_bytes(*_PUBLIC) != certificate.public_key().public_bytes(*_PUBLIC):
            raise Refusal("12", "Import of private key failed. Private key and certificate mismatch.")
        if entry.find("private-key") is None:
            SubElement(entry, "private-key").text = self._device.mastered
        self.keys[name] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _edit(self, given: Mapping[str, str]) -> str:
        xpath = given["xpath"]
        parent, _, _ = xpath.rpartition("/")
        element = self._device.found(xpath)
        self._mine(self._device.scope_of(xpath), xpath)
        if given["action"] == "edit":
            if self._device.found(parent) is None or element is None:
                raise Refusal("7", "Object not present")
            new = fromstring(given["element"])
            if new.tag == "certificate" and not self._device.has_certificate(xpath, new.text or ""):
                raise Refusal("12", f"certificate '{new.text}' is not a valid reference")
            element.text = new.text
            return "<msg>command succeeded</msg>"
        if element is None:
            raise Refusal("7", "Object not present")
        name = element.get("name")
        users = [each for each in self._device.root.iter("certificate") if each.text == name]
        if users:
            raise Refusal(
                "10", f"{name} cannot be deleted because of references from: ssl-tls-service-profile"
            )
        owner = self._device.found(parent)
        assert owner is not None
        owner.remove(element)
        return "<msg>command succeeded</msg>"

    def _operate(self, given: Mapping[str, str]) -> str:
        command, scope = fromstring(given["cmd"]), given.get("vsys", "shared")
        if command.find("config-lock/add") is not None:
            holder = self.locks.get(scope)
            if holder == self._administrator:
                raise Refusal("13", f"You already own a config lock for scope {scope}")
            if holder is not None:
                raise Refusal("13", f"Config for scope {scope} is currently locked by {holder}")
            self.locks[scope] = self._administrator
            return f"<result>Successfully acquired lock for scope {scope}</result>"
        if command.find("config-lock/remove") is not None:
            if self.locks.get(scope) != self._administrator:
                raise Refusal("12", f"Config is not currently locked for scope {scope}")
            del self.locks[scope]
            return f"<result>Config lock released for scope {scope}</result>"
        if command.find("config-locks") is not None:
            held = "".join(
                f'<entry name="{who}"><name>{scope}</name></entry>' for scope, who in self.locks.items()
            )
            return f"<result><config-locks>{held}</config-locks></result>"
        number = command.findtext("jobs/id")
        if number is not None:
            return self._job(int(number))
        raise Refusal("17", "Invalid command")

    def _commit(self, command: str) -> str:
        members = [each.text for each in fromstring(command).iterfind("partial/admin/member")]
        if members != [self._administrator]:
            raise Refusal("12", "admin is not valid")
        mine = [xpath for xpath, who in self.changed.items() if who == self._administrator]
        if not mine:
            return "<msg>There are no changes to commit.</msg>"
        failure = self.fails_commits if any(map(self._differs, mine)) else None
        self.jobs.append(Job(asked_before_end=self.slow, failure=failure))
        number = len(self.jobs)
        if failure is None:
            for xpath in mine:
                del self.changed[xpath]
            if self.ignores_commits and self._still is None:
                self._still = (copy.deepcopy(self.running), self._running_keys)
            for xpath in mine:
                self._enforce(xpath)
        return f"<result><msg><line>Commit job enqueued with jobid {number}</line></msg><job>{number}</job></result>"

    def _differs(self, xpath: str) -> bool:
        """Return whether a profile is to name another certificate: what a validation may find fault with."""
        candidate, running = self._device.found(xpath), self._device.found(xpath, root=self.running)
        return xpath.endswith("/certificate") and getattr(candidate, "text", None) != getattr(
            running, "text", None
        )

    def _enforce(self, xpath: str) -> None:
        """Take one changed element over from the candidate, with the keys of its certificates."""
        element = self._device.found(xpath)
        parent, _, _ = xpath.rpartition("/")
        there = self._device.found(xpath, root=self.running)
        owner = self._device.at(parent, root=self.running)
        if there is not None:
            owner.remove(there)
        if element is not None:
            owner.append(copy.deepcopy(element))
        self._running_keys = dict(self.keys)

    def _job(self, number: int) -> str:
        if number > len(self.jobs):
            raise Refusal("7", f"job {number} not found")
        job = self.jobs[number - 1]
        job.asked_before_end -= 1
        state = "ACT" if job.asked_before_end >= 0 else "FIN"
        result = "PEND" if state == "ACT" else "OK" if job.failure is None else "FAIL"
        lines = f"<line>{job.failure or 'Configuration committed successfully'}</line>"
        return (
            f"<result><job><id>{number}</id><type>Commit</type><status>{state}</status><result>{result}</result>"
            f"<details>{lines}</details></job></result>"
        )

    def served(self, root: str, profile: str) -> Pair | None:
        """Return what is served with a profile of the running configuration."""
        xpath = f"{root}/ssl-tls-service-profile/entry[@name='{profile}']/certificate"
        still = self._still if self.ignores_commits else None
        running, keys = still or (self.running, self._running_keys)
        named: Any = self._device.found(xpath, root=running)
        entry: Element | None = None
        if named is not None:
            entry = self._device.found(f"{root}/certificate/entry[@name='{named.text}']", root=running)
        key = keys.get(named.text or "") if named is not None else None
        if entry is None or key is None:
            return None
        return Pair(chain=(entry.findtext("public-key") or "").encode(), key=key)
