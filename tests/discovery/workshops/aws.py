"""Two AWS accounts of two regions in moto, which checks signatures and policies: those that the how-to names."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.aws import ACCOUNT, OTHER, REPOSITORY, Aws, shared_aws
from tests.servers.fault_proxy import FaultProxy
from tests.servers.tls import CertificateAuthority

REGIONS = ("eu-west-1", "us-east-1")
ROLE = f"arn:aws:iam::{OTHER}:role/everleaf"
EXTERNAL_ID = "our-external-id"


def documented_policy() -> dict[str, Any]:
    """Return the policy of the how-to."""
    text = (REPOSITORY / "docs" / "how-to" / "read-aws.md").read_text()
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found
    policy: dict[str, Any] = json.loads(found[1])
    return policy


def policy_without(*actions: str) -> str:
    """Return the policy of the how-to without some actions, as moto reads it.

    moto calls the actions of API Gateway by its operations, and AWS by HTTP methods; it knows no resources of them.
    """
    policy = documented_policy()
    for statement in policy["Statement"]:
        named = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [
            "apigateway:GetDomainNames" if name == "apigateway:GET" else name
            for name in named
            if name not in actions
        ]
        if "apigateway:GetDomainNames" in statement["Action"]:
            statement["Resource"] = "*"
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
    return json.dumps(policy)


class Accounts:
    """The login's account, and another with a role that it may assume."""

    kind = "aws"

    def __init__(self, aws: Aws, proxy: FaultProxy) -> None:
        self.aws = aws
        self._proxy = proxy
        self.authority = CertificateAuthority("cloud")
        self._put = 0
        with aws.unlocked():
            self.credential: Mapping[str, Any] = _user(aws)
            _role(aws)
        self.wrong_credential: Mapping[str, Any] = {
            **self.credential,
            "secret_access_key": "x" * 20 + "/of/no/key/at/all/XX",
        }
        self.settings: Mapping[str, Any] = {
            "regions": list(REGIONS),
            "accounts": [{"role_arn": ROLE, "external_id": EXTERNAL_ID}],
            "endpoint_url": f"http://127.0.0.1:{proxy.port}",
        }

    def put(self, count: int) -> Mapping[str, str]:
        """Import so many more, into each region of each account in turn, and one in five into IAM."""
        held = {}
        with self.aws.unlocked():
            clients = [
                self.aws.client("acm", region, account=account)
                for account in (ACCOUNT, OTHER)
                for region in REGIONS
            ]
            iam = self.aws.client("iam")
            for _ in range(count):
                issued = self.authority.issue(f"c{self._put}.test")
                turn = self._put % (len(clients) + 1)
                if turn < len(clients):
                    answer = clients[turn].import_certificate(
                        Certificate=issued.certificate_pem,
                        PrivateKey=issued.key_pem,
                        CertificateChain=self.authority.pem,
                    )
                    arn = answer["CertificateArn"]
                else:
                    answer = iam.upload_server_certificate(
                        ServerCertificateName=f"c{self._put}",
                        CertificateBody=issued.certificate_pem.decode(),
                        PrivateKey=issued.key_pem.decode(),
                    )
                    arn = answer["ServerCertificateMetadata"]["Arn"]
                held[arn] = issued.fingerprint
                self._put += 1
        return held

    def forbid(self) -> frozenset[str]:
        """Take from the role the right to list certificates of ACM."""
        with self.aws.unlocked():
            hidden = frozenset(
                each["CertificateArn"]
                for region in REGIONS
                for each in self.aws.client("acm", region, account=OTHER).list_certificates(
                    Includes={"keyTypes": ["EC_prime256v1"]}
                )["CertificateSummaryList"]
            )
            self.allow(policy_without("acm:ListCertificates"))
        return hidden

    def allow(self, policy: str) -> None:
        """Give the role these rights."""
        self.aws.client("iam", account=OTHER).put_role_policy(
            RoleName="everleaf", PolicyName="read", PolicyDocument=policy
        )

    def state(self) -> object:
        """Return what is in both accounts."""
        return self.aws.state()

    def stall(self) -> None:
        """Say nothing any more."""
        self._proxy.silent = True

    def stop(self) -> None:
        """Refuse connections."""
        self._proxy.refuse = True


def _user(aws: Aws) -> dict[str, str]:
    iam = aws.client("iam")
    iam.create_user(UserName="everleaf")
    iam.put_user_policy(UserName="everleaf", PolicyName="read", PolicyDocument=policy_without())
    key = iam.create_access_key(UserName="everleaf")["AccessKey"]
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def _role(aws: Aws) -> None:
    iam = aws.client("iam", account=OTHER)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/everleaf"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
            }
        ],
    }
    iam.create_role(RoleName="everleaf", AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName="everleaf", PolicyName="read", PolicyDocument=policy_without())


@asynccontextmanager
async def accounts() -> AsyncIterator[Accounts]:
    """Give two fresh accounts, which may be cut off."""
    aws = shared_aws()
    aws.reset()
    aws.pages_of(20)
    proxy = FaultProxy(("127.0.0.1", aws.port))
    await proxy.start()
    try:
        yield Accounts(aws, proxy)
    finally:
        proxy.silent = False
        await proxy.stop()


@asynccontextmanager
async def workshop(_directory: Path) -> AsyncIterator[Workshop]:
    """Give two fresh accounts, in which moto checks who may do what."""
    async with accounts() as opened:
        yield opened
