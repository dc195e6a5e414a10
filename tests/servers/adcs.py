"""The web enrolment pages of Microsoft AD CS, in memory: NTLM or Basic over TLS, forms in, pages out.

NTLM is real ([MS-NLMP], by pyspnego's acceptor): a connection is logged in, the hash of the password is checked, and so
are the channel bindings, as with "Extended Protection: Required" in IIS.

Written from what the pages of the role service "Certification Authority Web Enrollment" answer, as clients of it show:
https://github.com/magnuswatn/certsrv (`certfnsh.asp`, `certnew.cer`, `certnew.p7b`; the words of the pages; the media
type that depends on the user agent), and from the error codes of [MS-WCCE] and `winerror.h`
(https://learn.microsoft.com/openspecs/windows_protocols/ms-wcce): CERTSRV_E_UNSUPPORTED_CERT_TYPE 0x80094800 for a
template that is not there, CERTSRV_E_TEMPLATE_DENIED 0x80094012 for one that the account may not enrol by.
"""

import os
import ssl
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from tempfile import NamedTemporaryFile
from unittest.mock import patch

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from tests.servers.api import Api, Asked, Told
from tests.servers.tls import CertificateAuthority, names_of

PENDING, ISSUED, DENIED = "pending", "issued", "denied"


@dataclass(kw_only=True)
class Template:
    """A certificate template."""

    may_enrol: bool = True
    needs_manager: bool = False
    """CA certificate manager approval."""
    lifetime: timedelta = timedelta(days=730)


@dataclass(kw_only=True)
class Submitted:
    """A request in the CA's database."""

    csr: x509.CertificateSigningRequest
    template: Template
    disposition: str
    certificate: x509.Certificate | None = None


@dataclass
class Adcs:
    """A CA with web enrolment at `url`."""

    context: ssl.SSLContext
    username: str = "EXAMPLE\\everleaf"
    by_basic: bool = False
    password: str = "correct horse"
    certificate: x509.Certificate | None = None
    """That of its TLS, which NTLM is bound to."""
    templates: dict[str, Template] = field(default_factory=dict)
    submitted: dict[int, Submitted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)
        self._contexts: dict[tuple[str, int], spnego.ContextProxy] = {}
        self._logged_in: set[tuple[str, int]] = set()
        self.root = CertificateAuthority("Example Root")
        self.authority = self.root.intermediate("Example Issuing CA")

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"{self.api.url}/certsrv"

    def start(self) -> None:
        """Listen."""
        self.api.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.api.stop()

    def decide(self, disposition: str) -> None:
        """Let the manager issue or deny all that waits."""
        for one in self.submitted.values():
            if one.disposition == PENDING:
                self._decide(one, disposition)

    def _decide(self, one: Submitted, disposition: str) -> None:
        one.disposition = disposition
        if disposition == ISSUED:
            backdated = timedelta(minutes=10)  # `ClockSkewMinutes`
            one.certificate = self.authority.sign(
                one.csr, lifetime=one.template.lifetime, backdated=backdated
            )

    def _answer(self, asked: Asked) -> Told:
        if (refusal := self._refusal(asked)) is not None:
            return refusal
        match asked.method, asked.path.removeprefix("/certsrv").lower():
            case "POST", "/certfnsh.asp":
                return self._submit(asked)
            case "GET", "/certnew.cer":
                return self._certificate(asked)
            case "GET", "/certnew.p7b":
                return self._chain(asked)
        return Told(
            status=404, body=b"404 - File or directory not found.", headers={"Content-Type": "text/html"}
        )

    def _refusal(self, asked: Asked) -> Told | None:
        scheme, _, told = asked.headers.get("authorization", "").partition(" ")
        if self.by_basic:
            is_known = scheme == "Basic" and b64decode(told).decode() == f"{self.username}:{self.password}"
            return None if is_known else _unauthorized('Basic realm="localhost"')
        if scheme != "NTLM":
            return None if asked.peer in self._logged_in else _unauthorized("NTLM")
        self._logged_in.discard(asked.peer)
        try:
            answer = self._answered(asked.peer, b64decode(told))
        except SpnegoError:
            del self._contexts[asked.peer]
            return _unauthorized("NTLM")
        if answer:
            return _unauthorized(f"NTLM {b64encode(answer).decode()}")
        del self._contexts[asked.peer]
        self._logged_in.add(asked.peer)
        return None

    def _answered(self, peer: tuple[str, int], token: bytes) -> bytes | None:
        """Go on with the NTLM conversation of a connection; pyspnego's acceptor reads its users from a file."""
        domain, _, name = self.username.partition("\\")
        with NamedTemporaryFile("w") as users:
            users.write(f"{domain}:{name}:{self.password}\n")
            users.flush()
            with patch.dict(os.environ, {"NTLM_USER_FILE": users.name}):
                if peer not in self._contexts:
                    self._contexts[peer] = self._context()
                return self._contexts[peer].step(token)

    def _context(self) -> spnego.ContextProxy:
        assert self.certificate is not None
        bound = b"tls-server-end-point:" + self.certificate.fingerprint(hashes.SHA256())
        bindings = GssChannelBindings(application_data=bound)
        return spnego.server(hostname="localhost", service="HTTP", protocol="ntlm", channel_bindings=bindings)

    def _submit(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        form = asked.form
        if (
            form.get("Mode") != "newreq"
            or form.get("TargetStoreFlags") != "0"
            or form.get("SaveCert") != "yes"
        ):
            return _page("Error", "The request contains invalid data.")
        attributes = dict(
            line.split(":", 1) for line in form.get("CertAttrib", "").split("\r\n") if ":" in line
        )
        try:
            csr = x509.load_pem_x509_csr(form.get("CertRequest", "").encode())
        except ValueError:
            return _denied("Error Parsing Request  ASN1 bad tag value met. 0x8009310b (ASN: 267)")
        name = attributes.get("CertificateTemplate", "")
        template = self.templates.get(name)
        if template is None:
            return _denied(
                "Denied by Policy Module  0x80094800, The request was for a certificate template that is not "
                f"supported by the Active Directory Certificate Services policy: {name}."
            )
        if not template.may_enrol:
            return _denied(
                "Denied by Policy Module  0x80094012, The permissions on the certificate template do not allow the "
                "current user to enroll for this type of certificate."
            )
        if not list(csr.subject) and not names_of(csr):
            return _denied("Error Verifying Request  The subject name is missing. 0x80094001")
        number = len(self.submitted) + 1
        one = self.submitted[number] = Submitted(csr=csr, template=template, disposition=PENDING)
        if template.needs_manager:
            return _page(
                "Certificate Pending",
                "Your certificate request has been received. However, you must wait for an administrator to issue the "
                f"certificate you requested.</P><P> Your Request Id is {number}.",
            )
        self._decide(one, ISSUED)
        return _page(
            "Certificate Issued",
            f'<A Href="certnew.cer?ReqID={number}&amp;Enc=b64">Download</A>'.replace("&amp;", "&"),
        )

    def _certificate(self, asked: Asked) -> Told:
        one = self.submitted.get(int(asked.query.get("ReqID", "0")))
        if one is None or one.certificate is None:
            said = (
                "Taken Under Submission"
                if one and one.disposition == PENDING
                else "Denied by EXAMPLE\\manager"
            )
            body = (
                f"<html>Certificate Request Denied<pre>Disposition message:&nbsp;\t\t{said}\r\n</pre></html>"
            )
            return Told(body=body.encode(), headers={"Content-Type": "text/html"})
        # Who is no browser gets the certificate as a page.
        is_browser = asked.headers.get("user-agent", "").startswith("Mozilla")
        media_type = "application/pkix-cert" if is_browser else "text/html"
        return Told(body=one.certificate.public_bytes(Encoding.DER), headers={"Content-Type": media_type})

    def _chain(self, asked: Asked) -> Told:
        one = self.submitted.get(int(asked.query.get("ReqID", "0")))
        if one is None or one.certificate is None:
            return _page("Error", "The certificate is not issued.")
        # The order of a bag means nothing (RFC 2315 §9.1).
        bag = pkcs7.serialize_certificates(
            [self.root.certificate, one.certificate, self.authority.certificate], Encoding.DER
        )
        return Told(body=bag, headers={"Content-Type": "application/x-pkcs7-certificates"})


def _unauthorized(challenge: str) -> Told:
    body = b"401 - Unauthorized: Access is denied due to invalid credentials."
    return Told(status=401, body=body, headers={"WWW-Authenticate": challenge, "Content-Type": "text/html"})


def _denied(said: str) -> Told:
    return _page(
        "Certificate Request Denied",
        f'Your certificate request was denied.</P><P>The disposition message is "{said}".',
    )


def _page(title: str, text: str) -> Told:
    page = f"<HTML><BODY><P ID=locPageTitle> <B> {title} </B></P><P>{text}</P></BODY></HTML>"
    return Told(body=page.encode(), headers={"Content-Type": "text/html"})
