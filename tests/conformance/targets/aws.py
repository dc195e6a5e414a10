"""The benches of AWS: moto, with what it lacks of AWS, and a listener that serves what a load balancer or distribution would."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from services.provisioner.connectors.aws.session import CALLS
from services.provisioner.connectors.registry import target_kind
from tests.conformance.targets import apis
from tests.conformance.targets.bench import NAME, Bench, Break, Fault, Fixtures, Opens, Row
from tests.discovery.connectors.aws_estate import Estate
from tests.servers.aws import ACCOUNT, Aws, shared_aws
from tests.servers.aws_writes import certificate_id
from tests.servers.tls import CertificateAuthority, Issued

REGION = "eu-west-1"
_PLAIN = "The AWS that it is tried on is asked without TLS; how one is verified that has it, is seen at the other APIs."
ACTIONS = [action for calls in CALLS.values() for action in calls.values()]
Served = Callable[[], tuple[bytes, bytes] | None]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a certificate is replaced in the account."""

    slot: dict[str, Any]
    served: Served
    denied: str
    """The IAM action that is taken from the login where it shall not be permitted."""
    refused: str
    """The call that AWS shall refuse, as moto's front calls it."""
    code: str
    ours_before: Issued | None = None
    litter: Callable[[], int] = field(default=lambda: 0)


def policy(*without: str) -> str:
    """Return what the login may do."""
    actions = [action for action in ACTIONS if action not in without]
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    )


def _allow(aws: Aws, *without: str) -> None:
    with aws.unlocked():
        aws.client("iam").put_user_policy(
            UserName="everleaf", PolicyName="write", PolicyDocument=policy(*without)
        )


def _login(aws: Aws) -> dict[str, str]:
    iam = aws.client("iam")
    iam.create_user(UserName="everleaf")
    iam.put_user_policy(UserName="everleaf", PolicyName="write", PolicyDocument=policy())
    key = iam.create_access_key(UserName="everleaf")["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def _bench(kind: str, build: Callable[[Aws, Estate, Issued], Place]) -> Opens:
    @asynccontextmanager
    async def opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
        aws = shared_aws()
        aws.reset()
        lab: CertificateAuthority = fixtures("lab_ca")
        old = lab.issue(NAME)
        with aws.unlocked():
            estate = Estate(aws)
            place = build(aws, estate, old)
            credential = _login(aws)
        with apis.front(place.served) as front:

            def held() -> str:
                assert place.litter() == 0
                return front.held()

            yield Bench(
                target={
                    "kind": kind,
                    "credential": credential,
                    "options": {"region": REGION, "endpoint_url": aws.url},
                },
                slot=place.slot,
                endpoint=front.endpoint,
                present=held,
                breaks=_breaks(aws, place, credential, stuck=front.stuck),
                upstream=("127.0.0.1", aws.port),
                through=apis.through("endpoint_url", "http://127.0.0.1:{}".format),
                ours_before=place.ours_before,
            )

    return opened


def _breaks(aws: Aws, place: Place, credential: dict[str, str], *, stuck: Break) -> dict[Fault, Break]:
    return {
        Fault.CREDENTIAL: apis.credential({**credential, "secret_access_key": "x" * 40}),
        Fault.PERMISSION: apis.between(lambda: _allow(aws, place.denied), lambda: _allow(aws)),
        Fault.REFUSED: apis.between(lambda: aws.fail(place.refused, code=place.code), lambda: None),
        Fault.NO_EFFECT: stuck,
    }


def _acm(aws: Aws, estate: Estate, old: Issued) -> Place:
    arn = estate.acm(issued=old)
    return Place(
        slot={"arn": arn},
        served=lambda: next(iter(aws.served(arn)), None),
        denied="acm:DescribeCertificate",
        refused="acm:ImportCertificate",
        code="ValidationException",
        ours_before=old,
    )


def _listener(aws: Aws, estate: Estate, old: Issued) -> Place:
    arn = estate.acm(issued=old)
    listener = estate.listener(arn)
    return Place(
        slot={"listener": listener},
        served=lambda: next(iter(aws.served(listener)), None),
        denied="acm:ImportCertificate",
        refused="elasticloadbalancing:ModifyListener",
        code="InvalidConfigurationRequest",
        litter=lambda: _kept(aws, REGION) - 2 + (aws.served(listener) == aws.served(arn)),
    )


def _by_name(aws: Aws, estate: Estate, old: Issued) -> Place:
    """Build a listener that chooses the certificate by SNI; ours is kept in IAM."""
    arn, other = estate.acm(issued=old), estate.acm("other.test")
    listener = estate.listener(other, arn)

    def served() -> tuple[bytes, bytes] | None:
        default, *more = aws.served(listener)
        named = [pair for pair in more if _is_for(pair[0], NAME)]
        return named[-1] if named else default

    return Place(
        slot={"listener": listener, "use": "sni", "name": NAME, "keep_in": "iam"},
        served=served,
        litter=lambda: sum(_is_for(pair[0], NAME) for pair in aws.served(listener)) - 1,
        denied="iam:UploadServerCertificate",
        refused="elasticloadbalancing:AddListenerCertificates",
        code="InvalidConfigurationRequest",
    )


def _distribution_in_acm(aws: Aws, estate: Estate, old: Issued) -> Place:
    arn = estate.acm(issued=old, region="us-east-1")
    identifier = str(estate.distribution([NAME], ACMCertificateArn=arn)["Id"])
    return Place(
        slot={"distribution": identifier},
        served=lambda: next(iter(aws.served(identifier)), None),
        denied="acm:ImportCertificate",
        refused=f"cloudfront:PUT /2020-05-31/distribution/{identifier}/config",
        code="InvalidViewerCertificate",
        litter=lambda: _kept(aws, "us-east-1") - 2 + (aws.served(identifier) == aws.served(arn)),
    )


def _distribution_in_iam(aws: Aws, estate: Estate, old: Issued) -> Place:
    """Build a distribution whose certificate is kept in IAM, and was put there by hand."""
    iam = aws.client("iam")
    iam.upload_server_certificate(
        Path="/cloudfront/",
        ServerCertificateName="by-hand",
        CertificateBody=old.certificate_pem.decode(),
        PrivateKey=old.key_pem.decode(),
    )
    identifier = str(estate.distribution([NAME], IAMCertificateId=certificate_id("by-hand"))["Id"])

    def litter() -> int:
        with aws.unlocked():
            kept = iam.list_server_certificates()["ServerCertificateMetadataList"]
        names = {each["ServerCertificateName"] for each in kept} - {"by-hand"}
        [(chain, _)] = aws.served(identifier)
        is_ours = x509.load_pem_x509_certificates(chain)[0] != old.certificate
        return len(names) - is_ours

    return Place(
        slot={"distribution": identifier, "keep_in": "iam"},
        served=lambda: next(iter(aws.served(identifier)), None),
        denied="iam:UploadServerCertificate",
        refused=f"cloudfront:PUT /2020-05-31/distribution/{identifier}/config",
        code="InvalidViewerCertificate",
        litter=litter,
    )


def _secret(aws: Aws, _: Estate, old: Issued) -> Place:
    client = aws.client("secretsmanager")
    members = {"certificate": old.chain_pem.decode(), "private_key": old.key_pem.decode(), "note": "stays"}
    client.create_secret(Name="shop/tls", SecretString=json.dumps(members))

    def served() -> tuple[bytes, bytes] | None:
        with aws.unlocked():
            held = json.loads(
                client.get_secret_value(SecretId="shop/tls", VersionStage="AWSCURRENT")["SecretString"]
            )
        assert held["note"] == "stays"
        return held["certificate"].encode(), held["private_key"].encode()

    def staged() -> int:
        with aws.unlocked():
            versions = client.describe_secret(SecretId="shop/tls")["VersionIdsToStages"]
        return sum("EVERLEAF_STAGED" in stages for stages in versions.values())

    return Place(
        slot={"secret_id": "shop/tls"},
        served=served,
        litter=staged,
        denied="secretsmanager:PutSecretValue",
        refused="secretsmanager:UpdateSecretVersionStage",
        code="InvalidRequestException",
    )


def _kept(aws: Aws, region: str) -> int:
    with aws.unlocked():
        kinds = {"keyTypes": ["EC_prime256v1"]}
        found = aws.client("acm", region, account=ACCOUNT).list_certificates(Includes=kinds)
        return len(found["CertificateSummaryList"])


def _is_for(chain: bytes, name: str) -> bool:
    leaf = x509.load_pem_x509_certificates(chain)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return name in names.get_values_for_type(x509.DNSName)


def _row(kind: str, build: Callable[[Aws, Estate, Issued], Place]) -> Row:
    return Row(
        kind=target_kind(kind),
        server="moto, with what it lacks of AWS",
        open=_bench(kind, build),
        senseless={**apis.SENSELESS, Fault.IMPOSTOR: _PLAIN},
        otherwise={Fault.REFUSED: apis.REJECTED},
        cuts=(2, 6),
    )


ROWS: dict[str, Row] = {
    "aws-acm": _row("aws-acm", _acm),
    "aws-elbv2": _row("aws-elbv2", _listener),
    "aws-elbv2 (SNI, in IAM)": _row("aws-elbv2", _by_name),
    "aws-cloudfront": _row("aws-cloudfront", _distribution_in_acm),
    "aws-cloudfront (in IAM)": _row("aws-cloudfront", _distribution_in_iam),
    "aws-secrets-manager": _row("aws-secrets-manager", _secret),
}
