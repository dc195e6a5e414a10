"""The bench of AWS Private CA, over moto."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cryptography import x509

from services.renewal.connectors.aws_private_ca import AwsPrivateCa
from shared.x509 import load
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback
from tests.servers.aws import Aws, shared_aws
from tests.servers.tls import names_of

GET = "acm-pca:GetCertificate"
SECRETS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "of no importance"}


def private_ca(aws: Aws) -> tuple[str, str]:
    """Make a root CA; return its ARN and its certificate in PEM."""
    client = aws.client("acm-pca")
    configuration = {
        "KeyAlgorithm": "RSA_2048",
        "SigningAlgorithm": "SHA256WITHRSA",
        "Subject": {"CommonName": "Example Root"},
    }
    arn = client.create_certificate_authority(
        CertificateAuthorityConfiguration=configuration, CertificateAuthorityType="ROOT"
    )["CertificateAuthorityArn"]
    made = client.issue_certificate(
        CertificateAuthorityArn=arn,
        Csr=client.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode(),
        SigningAlgorithm="SHA256WITHRSA",
        TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
        Validity={"Type": "YEARS", "Value": 10},
    )["CertificateArn"]
    pem = client.get_certificate(CertificateAuthorityArn=arn, CertificateArn=made)["Certificate"]
    client.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=pem.encode())
    return str(arn), str(pem)


@asynccontextmanager
async def aws_bench() -> AsyncIterator[Bench]:
    """Take the AWS of this test run, emptied, with one private CA."""
    aws = shared_aws()
    aws.reset()
    arn, root = private_ca(aws)

    def issued() -> list[Any]:
        return [x509.load_pem_x509_certificate(pem.encode()) for pem in aws.private_cas()["issued"]]

    async def count(name: str) -> int:
        return sum(one.issuer != one.subject and name in names_of(one) for one in issued())

    async def is_revoked(der: bytes) -> bool:
        serials = [int(serial, 16) for serial in aws.private_cas()["revoked"]]
        return load(der).serial_number in serials

    def expire() -> None:
        for call in ("DescribeCertificateAuthority", "IssueCertificate"):
            aws.fail(f"acm-pca:{call}", code="ExpiredTokenException", times=1000)

    yield Bench(
        kind=AwsPrivateCa,
        options={"authority_arn": arn, "endpoint_url": aws.url, "root_pem": root},
        secrets=SECRETS,
        network=on_loopback(),
        longest_wait=NO_WAIT,
        count=count,
        is_revoked=is_revoked,
        hold=lambda: aws.fail(GET, code="RequestInProgressException", times=1000),
        release=lambda: aws.fail(GET, code="RequestInProgressException", times=0),
        expire=expire,
        stop=lambda: aws.fail("acm-pca:IssueCertificate", code="ServiceUnavailable", status=503, times=1000),
    )


@asynccontextmanager
async def _opened(_fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with aws_bench() as bench:
        yield bench


_POWERS = frozenset(Power) - {Power.REFUSED, Power.TLS}
ROWS = {"aws-private-ca": Row(kind=AwsPrivateCa, open=_opened, powers=_POWERS)}
