"""Apache Tomcat: which connector presents which certificates, for which host names.

Rules from https://tomcat.apache.org/tomcat-10.1-doc/config/http.html ("SSL Support", SSLHostConfig and Certificate; up
to Tomcat 9 their attributes may stand on the Connector) and systemprops.html (`${…}` and catalina.properties).
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml import DefusedXmlException
from defusedxml.sax import parseString

from services.discovery.configuration.files import LONGEST_VALUE, Files
from services.discovery.configuration.reader import Reader, absolute, listened, port_number
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = (
    "/var/lib/tomcat*/conf/server.xml",
    "/usr/share/tomcat*/conf/server.xml",
    "/usr/local/tomcat*/conf/server.xml",
    "/opt/tomcat*/conf/server.xml",
    "/opt/apache-tomcat*/conf/server.xml",
)
_VARIABLE = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
_PROPERTY = re.compile(r"\s*(?P<name>[^\s#!=:][^\s=:]*)\s*[=:]\s*(?P<value>.*?)\s*")
_ANY_HOST = "_default_"
_VERIFICATION = {"required": "required", "true": "required", "optional": "optional", "want": "optional"}
_OLD = {
    "certificateFile": "SSLCertificateFile",
    "certificateKeyFile": "SSLCertificateKeyFile",
    "certificateChainFile": "SSLCertificateChainFile",
    "certificateKeystoreFile": "keystoreFile",
    "certificateKeystoreType": "keystoreType",
    "certificateKeyAlias": "keyAlias",
    "caCertificateFile": "SSLCACertificateFile",
    "certificateVerification": "clientAuth",
    "protocols": "sslEnabledProtocols",
}
"""What stands on a Connector, up to Tomcat 9, for the host of its default name."""
_IN_NO_FILE = {"PKCS11", "WINDOWS-MY", "KEYCHAINSTORE"}


@dataclass(kw_only=True)
class _Element:
    """One element, with those in it that matter here."""

    name: str
    line: int
    attributes: Mapping[str, str]
    inner: "list[_Element]" = field(default_factory=list)


async def read(files: Files, start: str) -> Reading:
    """Read `server.xml`, and the properties beside it where it names any."""
    reader = Reader(files)
    connectors = _connectors(reader, start, await reader.text(start) or "")
    server = _Server(reader, start=start, properties=await _properties(reader, start, connectors))
    return reader.reading([use for connector in connectors for use in server.uses(connector)])


def _connectors(reader: Reader, start: str, text: str) -> Sequence[_Element]:
    handler = _Connectors()
    try:
        parseString(text.encode(), handler)
    except DefusedXmlException:
        step = "Write what they stand for in the file itself."
        reader.gap(start, "It declares XML entities, which are not followed.", next_step=step)
    except SAXException as error:
        reader.gap(start, f"It is not XML: {str(error)[:200]}.", next_step="Correct the file.")
    return handler.found


class _Connectors(ContentHandler):
    """Gathers the connectors that speak TLS, with what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Element] = []
        self._open: list[_Element] = []

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX calls it so
        line = self._locator.getLineNumber() if self._locator else 0  # type: ignore[attr-defined]  # typeshed does not know it
        element = _Element(name=name, line=line or 0, attributes=dict(attrs.items()))
        if name == "Connector" and element.attributes.get("SSLEnabled", "").lower() == "true":
            self.found.append(element)
            self._open = [element]
        elif self._open and name in ("SSLHostConfig", "Certificate"):
            self._open[-1].inner.append(element)
            self._open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX calls it so
        if self._open and self._open[-1].name == name:
            self._open.pop()


async def _properties(reader: Reader, start: str, connectors: Sequence[_Element]) -> dict[str, str]:
    """Return what `${…}` may stand for."""
    folder = posixpath.dirname(start)
    home = posixpath.dirname(folder) if posixpath.basename(folder) == "conf" else folder
    known = {"catalina.base": home, "catalina.home": home}
    if not any(name not in known for name in _names_in(connectors)):
        return known
    text = await reader.text(f"{folder}/catalina.properties") or ""
    lines = filter(None, map(_PROPERTY.fullmatch, text.splitlines()))
    return {line["name"]: line["value"] for line in lines} | known


def _names_in(elements: Sequence[_Element]) -> Iterator[str]:
    for element in elements:
        for value in element.attributes.values():
            yield from (found["name"] for found in _VARIABLE.finditer(value))
        yield from _names_in(element.inner)


class _Server:
    """One `server.xml`, whose values may name properties."""

    def __init__(self, reader: Reader, *, start: str, properties: Mapping[str, str]) -> None:
        self._reader = reader
        self._start = start
        self._properties = properties

    def uses(self, connector: _Element) -> Iterator[Use]:
        """Yield what a connector presents: for each of its hosts, each of the host's certificates."""
        own = self._values(connector)
        port = port_number(own.get("port", ""))
        if port is None:  # 0 is any free port, and -1 none
            return
        listener = Listener(address=listened(own.get("address", "")), port=port)
        default = own.get("defaultSSLHostConfigName", _ANY_HOST).lower()
        hosts = [inner for inner in connector.inner if inner.name == "SSLHostConfig"]
        for host in hosts or [_old_host(connector)]:
            values = {"hostName": _ANY_HOST, **self._values(host)}
            name = values["hostName"].lower()
            certificates = [inner for inner in host.inner if inner.name == "Certificate"] or [host]
            for certificate in certificates:
                given = values | self._values(certificate)
                use = self._use(given, certificate.line, listener, name=name, is_default=name == default)
                if use is not None:
                    yield use

    def _use(
        self, given: Mapping[str, str], line: int, listener: Listener, *, name: str, is_default: bool
    ) -> Use | None:
        certificate, key = self._files(given)
        if certificate is None:
            return None
        trusted = given.get("caCertificateFile") or given.get("truststoreFile")
        return Use(
            product="tomcat",
            file=self._start,
            line=line,
            listeners=(listener,),
            server_names=() if name == _ANY_HOST else (name,),
            certificate=certificate,
            key=key,
            chain=self._path(given.get("certificateChainFile")),
            trusted_ca=self._path(trusted),
            client_verification=_VERIFICATION.get(given.get("certificateVerification", "").lower()),
            protocols=tuple(re.findall(r"[+-]?\w[\w.]*", given.get("protocols", ""))),
            ciphers=given.get("ciphers"),
            is_default=is_default,
        )

    def _files(self, given: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return the paths of the certificate and of its key; of a keystore's entry, `PATH#ALIAS` where one is named."""
        if "certificateFile" in given:
            certificate = self._path(given["certificateFile"])
            return certificate, self._path(given.get("certificateKeyFile")) or certificate
        kind = given.get("certificateKeystoreType", "").upper()
        if kind in _IN_NO_FILE or "certificateKeystoreFile" not in given:
            where = (
                f"a keystore of type {kind}" if kind in _IN_NO_FILE else "the keystore of Tomcat's account"
            )
            step = "See by a network scan what is served, or name a file in certificateKeystoreFile."
            self._reader.gap(self._start, f"A certificate is in {where}.", next_step=step)
            return None, None
        keystore, alias = self._path(given["certificateKeystoreFile"]), given.get("certificateKeyAlias")
        return f"{keystore}#{alias}" if keystore and alias else keystore, keystore

    def _path(self, text: str | None) -> str | None:
        if not text:
            return None
        url = urlsplit(text)
        if url.scheme == "file":
            return posixpath.normpath(unquote(url.path))
        if "${" in text or url.scheme:
            step = "Write a path; what an environment or a URL holds cannot be read."
            self._reader.gap(self._start, f"It names a file as {text[:200]!r}.", next_step=step)
            return None
        return absolute(text, under=self._properties["catalina.base"])

    def _values(self, element: _Element) -> dict[str, str]:
        return {name: self._replaced(value) for name, value in element.attributes.items()}

    def _replaced(self, text: str) -> str:
        def value(found: re.Match[str]) -> str:
            return self._properties.get(found["name"], found["default"] or found[0])

        return _VARIABLE.sub(value, text)[:LONGEST_VALUE]


def _old_host(connector: _Element) -> _Element:
    """Return the host that the attributes of a connector describe, as up to Tomcat 9."""
    given = connector.attributes
    old = {new: given[name] for new, name in _OLD.items() if name in given}
    same = {name: given[name] for name in ("ciphers", "truststoreFile") if name in given}
    return _Element(name="SSLHostConfig", line=connector.line, attributes=same | old)
