"""The one question that iControl REST has no answer to: the certificates themselves, by iControl SOAP.

`Management::KeyCertificate::certificate_export_to_pem` reads; it takes many names at once and runs no command. See
https://clouddocs.f5.com/api/icontrol-soap/Management__KeyCertificate__certificate_export_to_pem.html.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from shared.errors import Unavailable

PATH = "/iControl/iControlPortal.cgi"
INTERFACE = "urn:iControl:Management/KeyCertificate"
_ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
_QUESTION = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:key="{interface}">
<soapenv:Body soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<key:certificate_export_to_pem>
<mode xsi:type="xsd:string">MANAGEMENT_MODE_DEFAULT</mode>
<cert_ids soapenc:arrayType="xsd:string[{count}]">{items}</cert_ids>
</key:certificate_export_to_pem></soapenv:Body></soapenv:Envelope>
"""


class Fault(Exception):
    """The device would not answer; the text is its own."""


def question(names: Sequence[str]) -> bytes:
    """Return what asks for certificates by their full paths."""
    items = "".join(f'<item xsi:type="xsd:string">{escape(name)}</item>' for name in names)
    return _QUESTION.format(interface=INTERFACE, count=len(names), items=items).encode()


def texts(answer: bytes, *, count: int) -> list[str]:
    """Return the PEM texts of an answer, in the order of the question. Raises `Fault` and `Unavailable`."""
    try:
        envelope = fromstring(answer, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Unavailable(
            f"{PATH}: the answer is not SOAP.", next_step="Check that it is a BIG-IP."
        ) from error
    fault = envelope.find(f"{_ENVELOPE}Body/{_ENVELOPE}Fault")
    if fault is not None:
        raise Fault(" ".join((fault.findtext("faultstring") or "").split())[:300])
    items = [item.text or "" for item in envelope.iterfind(f"{_ENVELOPE}Body/*/return/item")]
    if len(items) != count:
        raise Unavailable(
            f"{PATH}: {len(items)} certificates came for {count}.", next_step="It is tried again by itself."
        )
    return items
