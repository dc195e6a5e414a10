"""A Palo Alto Networks firewall or Panorama, as far as its XML API reads configuration.

After Palo Alto Networks, "PAN-OS and Panorama API Usage Guide": "Get Your API Key" (keygen by POST with `user` and `password`),
"Authenticate Your API Requests" (`X-PAN-KEY`), "Get Configuration" (`type=config&action=get` with an XPath), "XPath Node
Selection" (`entry/@name` brings entries with nothing but their names), "PAN-OS XML API Error Codes" (403 with status `error`
and HTTP 403 for a wrong key, `Type [config] not authorized for user role`, 16 with status `unauth`, 7 for nothing there, 6 for
an XPath that it does not know, 22 for a session that timed out). Configuration has the elements of the PAN-OS configuration
schema, private keys among them as the device keeps them: encrypted under its master key.
"""

import re
import secrets
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring
from xml.sax.saxutils import escape

from tests.servers.appliance import Appliance, Asked, Said
from tests.servers.pan_os_changes import Changes, Refusal
from tests.servers.tls import CertificateAuthority, Issued

USER, PASSWORD = "reader", "Panorama-Pass-1"
MASTERED = "-AQ==bWFzdGVyZWQta2V5LW1hdGVyaWFs"
"""What a private key looks like in a configuration."""
DEVICE = "/config/devices/entry[@name='localhost.localdomain']"
_STEP = re.compile(r"/(?P<tag>[\w-]+)(\[@name=(?P<quote>['\"])(?P<name>.*?)(?P=quote)\])?")


class PanOsSimulator(Appliance):
    """One device; `put` adds XML at a path of its configuration."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.key = secrets.token_urlsafe(60)
        self.root = Element("config")
        self.forbidden: set[str] = set()
        """XPaths that the account is outside of, with all below them."""
        self.refuses_type = False
        self.may_change = False
        self.mastered = MASTERED
        self.is_timed_out = False
        self.authority = CertificateAuthority("Firewalls")
        for vsys in ("vsys1", "vsys2"):
            self.at(f"{DEVICE}/vsys/entry[@name='{vsys}']")
        self.changes = Changes(self, administrator=USER)

    def at(self, xpath: str, *, root: Element | None = None) -> Element:
        """Return the element at a path; what is missing on the way is made."""
        element = self.root if root is None else root
        for tag, name in _steps(xpath.removeprefix("/config")):
            found = _child(element, tag, name)
            if found is None:
                found = SubElement(element, tag, {} if name is None else {"name": name})
            element = found
        return element

    def found(self, xpath: str, *, root: Element | None = None) -> Element | None:
        """Return the element at a path, where there is one."""
        element: Element | None = self.root if root is None else root
        for tag, name in _steps(xpath.removeprefix("/config")):
            element = _child(element, tag, name) if element is not None else None
        return element

    @staticmethod
    def scope(vsys: str | None) -> str:
        """Return the path of what has certificates: a virtual system, or what all share."""
        return "/config/shared" if vsys is None else f"{DEVICE}/vsys/entry[@name='{vsys}']"

    @staticmethod
    def scope_of(xpath: str) -> str:
        """Return the virtual system that a path is in, or `shared`."""
        inside = re.search(r"/vsys/entry\[@name='(vsys\d+)'\]", xpath)
        return inside[1] if inside else "shared"

    def has_certificate(self, xpath: str, name: str) -> bool:
        """Return whether a profile at this path may name a certificate: its own scope's, or a shared one."""
        scope = self.scope_of(xpath)
        roots = {self.scope(None), self.scope(None if scope == "shared" else scope)}
        return any(self.found(f"{root}/certificate/entry[@name='{name}']") is not None for root in roots)

    def put(self, xpath: str, xml: str) -> None:
        """Add elements at a path."""
        self.at(xpath).extend(fromstring(f"<x>{xml}</x>"))

    def hold(self, xpath: str, name: str, pem: str, *, with_key: bool = True) -> None:
        """Add a certificate to those at `xpath`/certificate."""
        key = f"<private-key>{MASTERED}</private-key>" if with_key else ""
        self.put(
            f"{xpath}/certificate",
            f'<entry name="{escape(name)}"><subject-hash>2a3b4c5d</subject-hash><common-name>{escape(name)}</common-name>'
            f"<ca>no</ca><algorithm>EC</algorithm><public-key>{escape(pem)}</public-key>{key}</entry>",
        )

    def issue(self, xpath: str, name: str) -> Issued:
        """Make a certificate, and hold it."""
        issued = self.authority.issue(f"{name.lower()}.test")
        self.hold(xpath, name, issued.certificate_pem.decode())
        return issued

    def answer(self, asked: Asked) -> Said:
        """Answer as PAN-OS does."""
        given = {**asked.query, **asked.form}
        if asked.path != "/api/" or asked.method not in ("GET", "POST"):
            return Said(status=404, type="text/html")
        if given.get("type") == "keygen":
            return self._keygen(given)
        if asked.headers.get("x-pan-key") != self.key:
            return _failed("403", "Invalid Credential", http=403)
        return self._answer(asked, given)

    def _answer(self, asked: Asked, given: dict[str, str]) -> Said:
        if self.is_timed_out:
            return _failed("22", "Session timed out")
        if self.may_change and (given.get("type") != "config" or given.get("action") not in ("get", "show")):
            return self._change(asked, given)
        if given.get("type") != "config" or given.get("action") not in ("get", "show"):
            self.writes += 1
            return _failed("16", "Unauthorized request", status="unauth")
        if self.refuses_type:
            return _failed("403", "Type [config] not authorized for user role.", http=403)
        root = self.root if given["action"] == "get" else self.changes.running
        return self._get(given.get("xpath", ""), root)

    def _change(self, asked: Asked, given: dict[str, str]) -> Said:
        if any(given.get("xpath", "").startswith(each) for each in self.forbidden):
            return _failed("16", "Unauthorized request", status="unauth")
        try:
            return _response(self.changes.answer(asked, given), code="19")
        except Refusal as refusal:
            return _failed(refusal.code, str(refusal))

    def _keygen(self, given: dict[str, str]) -> Said:
        if (given.get("user"), given.get("password")) != (USER, PASSWORD):
            return _failed("403", "Invalid Credential", http=403)
        return _response(f"<result><key>{self.key}</key></result>")

    def _get(self, xpath: str, root: Element) -> Said:
        if any(xpath.startswith(each) for each in self.forbidden):
            return _failed("16", "Unauthorized request", status="unauth")
        path, names_only = xpath.removesuffix("/entry/@name"), xpath.endswith("/entry/@name")
        if not path.startswith("/config/"):
            return _failed("6", "Bad xpath")
        element = self.found(path, root=root)
        found = [] if element is None else [element]
        if names_only and element is not None:
            found = [Element("entry", {"name": entry.get("name", "")}) for entry in element.findall("entry")]
        if not found:
            return _response("<result/>", code="7")
        told = "".join(tostring(each, encoding="unicode") for each in found)
        return _response(
            f'<result total-count="{len(found)}" count="{len(found)}">{told}</result>', code="19"
        )


def _steps(path: str) -> list[tuple[str, str | None]]:
    assert _STEP.sub("", path) == "", path
    return [(step["tag"], step["name"]) for step in _STEP.finditer(path)]


def _child(element: Element, tag: str, name: str | None) -> Element | None:
    return next((each for each in element if each.tag == tag and name in (None, each.get("name"))), None)


def _response(inner: str, *, code: str | None = None) -> Said:
    attribute = f' code="{code}"' if code else ""
    return Said(
        body=f'<response status="success"{attribute}>{inner}</response>'.encode(), type="application/xml"
    )


def _failed(code: str, text: str, *, status: str = "error", http: int = 200) -> Said:
    body = f"<response status = '{status}' code = '{code}'><result><msg>{text}</msg></result></response>"
    return Said(status=http, body=body.encode(), type="application/xml")
