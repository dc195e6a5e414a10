"""What moto lacks of AWS Private CA and one who orders there depends on; used by `tests.servers.aws`.

From the API reference of AWS Private CA (https://docs.aws.amazon.com/privateca/latest/APIReference): IssueCertificate
honours `Validity`, knows a request again by its `IdempotencyToken`, and refuses a `SigningAlgorithm` of another family
than the CA's key and a template that is not there (InvalidArgsException); GetCertificate gives what is revoked, too;
RevokeCertificate says ResourceNotFoundException of a serial number that is not the CA's, and
RequestAlreadyProcessedException of one that is revoked.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

_TEMPLATE = "arn:aws:acm-pca:::template/"
_END_ENTITY = (f"{_TEMPLATE}EndEntityCertificate/V1", f"{_TEMPLATE}EndEntityServerAuthCertificate/V1")
_BY_TOKEN: dict[tuple[str, str], str] = {}


def complete() -> None:
    """Give moto what it lacks."""
    responses = import_module("moto.acmpca.responses").ACMPCAResponse
    issue = responses.issue_certificate

    def issue_certificate(self: Any) -> str:
        asked = json.loads(self.body)
        template = asked.get("TemplateArn", _END_ENTITY[0])
        if template not in _END_ENTITY:
            if not template.endswith("CACertificate/V1"):
                raise _error("InvalidArgsException", f"The template {template} is not found.")
            return str(issue(self))
        authority = _authority(self, asked)
        if not asked["SigningAlgorithm"].endswith("RSA"):  # moto's keys are
            raise _error(
                "InvalidArgsException", "The signing algorithm does not match the CA's key algorithm."
            )
        token = (authority.arn, asked.get("IdempotencyToken") or str(len(_BY_TOKEN)))
        if token not in _BY_TOKEN:
            _BY_TOKEN[token] = _issued(authority, asked)
        return json.dumps({"CertificateArn": _BY_TOKEN[token]})

    def get_certificate(self: Any) -> str:
        asked = json.loads(self.body)
        authority, arn = _authority(self, asked), asked["CertificateArn"]
        if arn not in authority.issued_certificates:
            raise _error("ResourceNotFoundException", f"Could not find the certificate {arn}.")
        body, chain = authority.get_certificate(arn)
        more = {"CertificateChain": chain.decode().strip()} if chain else {}
        return json.dumps({"Certificate": body.decode().strip(), **more})

    def revoke_certificate(self: Any) -> str:
        asked = json.loads(self.body)
        authority, serial = _authority(self, asked), asked["CertificateSerial"].replace(":", "").lower()
        if int(serial, 16) not in {each.serial_number for each in _certificates(authority)}:
            raise _error("ResourceNotFoundException", f"Could not find a certificate with serial {serial}.")
        if serial in authority.revoked_certificates:
            raise _error("RequestAlreadyProcessedException", "The certificate is already revoked.")
        authority.revoked_certificates[serial] = {"revocation_reason": asked["RevocationReason"]}
        return "{}"

    responses.issue_certificate = issue_certificate
    responses.get_certificate = get_certificate
    responses.revoke_certificate = revoke_certificate


def told() -> dict[str, Any]:
    """Return what all private CAs have issued, in PEM, and the serial numbers they revoked."""
    backends = import_module("moto.acmpca.models").acmpca_backends
    authorities = [
        authority
        for regions in backends.values()
        for backend in regions.values()
        for authority in backend.certificate_authorities.values()
    ]
    issued = [each for one in authorities for each in _certificates(one)]
    revoked = [serial for one in authorities for serial in one.revoked_certificates]
    return {"issued": [each.public_bytes(Encoding.PEM).decode() for each in issued], "revoked": revoked}


def _authority(response: Any, asked: dict[str, Any]) -> Any:
    return response.acmpca_backend.describe_certificate_authority(asked["CertificateAuthorityArn"])


def _certificates(authority: Any) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem) for pem in authority.issued_certificates.values()]


def _issued(authority: Any, asked: dict[str, Any]) -> str:
    csr = x509.load_pem_x509_csr(base64.b64decode(asked["Csr"]))
    now = datetime.now(UTC)
    key = csr.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(authority.issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(_end(asked["Validity"], now=now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    for extension in csr.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(authority.key, hashes.SHA256())
    arn = f"{authority.arn}/certificate/{made.serial_number:032x}"
    authority.issued_certificates[arn] = made.public_bytes(Encoding.PEM)
    authority.issued_certificates_certificate_chains[arn] = authority.certificate_bytes
    return arn


def _end(validity: dict[str, Any], *, now: datetime) -> datetime:
    if validity["Type"] == "DAYS":
        return now + timedelta(days=validity["Value"])
    if validity["Type"] == "ABSOLUTE":
        return datetime.fromtimestamp(validity["Value"], UTC)
    return now + timedelta(days=365)


def _error(code: str, message: str) -> Exception:
    made: Exception = import_module("moto.core.exceptions").JsonRESTError(code, message)
    return made
