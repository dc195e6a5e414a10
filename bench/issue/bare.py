"""The baseline: a key, a request, and a certificate for it, with `cryptography` and nothing else.

The certificate has what ours has: `bare COUNT` prints the seconds of CPU and of wall that they took.
"""

import sys
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from bench.issue.clock import timed

URL = "http://pki.example.test/renewal/v1/authorities/019aa0b2-7e8f-7c3b-9d5e-1f2a3b4c5d6e"
NOW = datetime.now(UTC)


def main() -> None:
    """Issue, and print what it took."""
    count = int(sys.argv[1])
    issuer = ec.generate_private_key(ec.SECP256R1())
    with timed(count):
        for number in range(count):
            issue(f"host{number}.example.test", issuer)


def issue(name: str, issuer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName(name)])
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(san, critical=False)
    csr = x509.load_der_x509_csr(request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    if not csr.is_signature_valid:
        raise ValueError
    public, wanted = (
        csr.public_key(),
        csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value,
    )
    builder = (
        x509.CertificateBuilder()
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bare")]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(wanted, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
        .add_extension(ACCESS, critical=False)
        .add_extension(POINTS, critical=False)
    )
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.DER)


def _access() -> x509.AuthorityInformationAccess:
    ocsp, issuers = AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(ocsp, x509.UniformResourceIdentifier(f"{URL}/ocsp")),
            x509.AccessDescription(issuers, x509.UniformResourceIdentifier(f"{URL}/certificate")),
        ]
    )


def _points() -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(f"{URL}/crl")
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=False,
    key_cert_sign=False,
    crl_sign=False,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)

ACCESS, POINTS = _access(), _points()

if __name__ == "__main__":
    main()
