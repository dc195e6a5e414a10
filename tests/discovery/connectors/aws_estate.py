"""What tests build in an AWS account: certificates, and everything that may use one."""

import json
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.aws import ACCOUNT, Aws
from tests.servers.tls import CertificateAuthority, Issued, new_key

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


class Estate:
    """One account, built while everybody may do anything."""

    def __init__(self, aws: Aws, *, account: str = ACCOUNT) -> None:
        self._aws = aws
        self._account = account
        self.authority = CertificateAuthority("estate")

    def client(self, service: str, region: str = "eu-west-1") -> Any:
        """Return a client in this account."""
        return self._aws.client(service, region, account=self._account)

    def acm(self, *names: str, region: str = "eu-west-1", issued: Issued | None = None) -> str:
        """Import a certificate into ACM; return its ARN."""
        issued = issued or self.authority.issue(*names)
        answer = self.client("acm", region).import_certificate(
            Certificate=issued.certificate_pem,
            PrivateKey=issued.key_pem,
            CertificateChain=self.authority.pem,
        )
        return str(answer["CertificateArn"])

    def iam(self, name: str) -> str:
        """Upload a server certificate; return its ARN."""
        issued = self.authority.issue(name)
        answer = self.client("iam").upload_server_certificate(
            ServerCertificateName=name,
            CertificateBody=issued.certificate_pem.decode(),
            PrivateKey=issued.key_pem.decode(),
            CertificateChain=self.authority.pem.decode(),
        )
        return str(answer["ServerCertificateMetadata"]["Arn"])

    def listener(self, default: str, *more: str, name: str = "web", region: str = "eu-west-1") -> str:
        """Make an application load balancer with one HTTPS listener; return the listener's ARN."""
        elbv2 = self.client("elbv2", region)
        balancer = elbv2.create_load_balancer(Name=name, Subnets=self._subnets(region))["LoadBalancers"][0]
        listener = elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTPS",
            Port=8443,
            Certificates=[{"CertificateArn": default}],
            SslPolicy=POLICY,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )["Listeners"][0]
        if more:
            elbv2.add_listener_certificates(
                ListenerArn=listener["ListenerArn"],
                Certificates=[{"CertificateArn": arn} for arn in more],
            )
        return str(listener["ListenerArn"])

    def _subnets(self, region: str) -> list[str]:
        ec2 = self.client("ec2", region)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        return [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{region}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for number, zone in enumerate("ab")
        ]

    def classic(self, certificate: str, *, name: str = "old", region: str = "eu-west-1") -> None:
        """Make a classic load balancer whose HTTPS listener has a policy of its own."""
        elb = self.client("elb", region)
        elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=[
                {
                    "Protocol": "HTTPS",
                    "LoadBalancerPort": 443,
                    "InstancePort": 80,
                    "SSLCertificateId": certificate,
                },
                {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80},
            ],
            AvailabilityZones=[f"{region}a"],
        )
        elb.create_load_balancer_policy(
            LoadBalancerName=name,
            PolicyName="ours",
            PolicyTypeName="SSLNegotiationPolicyType",
            PolicyAttributes=[
                {"AttributeName": "Protocol-TLSv1.2", "AttributeValue": "true"},
                {"AttributeName": "Protocol-TLSv1", "AttributeValue": "false"},
                {"AttributeName": "ECDHE-RSA-AES128-GCM-SHA256", "AttributeValue": "true"},
            ],
        )
        elb.set_load_balancer_policies_of_listener(
            LoadBalancerName=name, LoadBalancerPort=443, PolicyNames=["ours"]
        )

    def distribution(self, aliases: Sequence[str], *, is_enabled: bool = True, **certificate: str) -> Any:
        """Make a distribution of CloudFront; return what CloudFront says of it."""
        config = {
            "CallerReference": aliases[0],
            "Comment": "",
            "Enabled": is_enabled,
            "Aliases": {"Quantity": len(aliases), "Items": list(aliases)},
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "o",
                        "DomainName": "o.example.test",
                        "CustomOriginConfig": {
                            "HTTPPort": 80,
                            "HTTPSPort": 443,
                            "OriginProtocolPolicy": "https-only",
                        },
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "o",
                "ViewerProtocolPolicy": "https-only",
                "MinTTL": 0,
                "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
            },
            "ViewerCertificate": {
                **certificate,
                "SSLSupportMethod": "sni-only",
                "MinimumProtocolVersion": "TLSv1.2_2021",
            },
        }
        return self.client("cloudfront").create_distribution(DistributionConfig=config)["Distribution"]

    def rest_domain(self, name: str, certificate: str) -> Any:
        """Make a custom domain name of a REST API."""
        return self.client("apigateway").create_domain_name(
            domainName=name,
            regionalCertificateArn=certificate,
            securityPolicy="TLS_1_2",
            endpointConfiguration={"types": ["REGIONAL"]},
        )

    def http_domain(self, name: str, certificate: str) -> Any:
        """Make a custom domain name of an HTTP API."""
        return self.client("apigatewayv2").create_domain_name(
            DomainName=name,
            DomainNameConfigurations=[
                {"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
            ],
            MutualTlsAuthentication={"TruststoreUri": "s3://trusted/clients.pem"},
        )

    def private_ca(self, name: str) -> str:
        """Make a root CA; return its ARN."""
        pca = self.client("acm-pca")
        authority = pca.create_certificate_authority(
            CertificateAuthorityConfiguration={
                "KeyAlgorithm": "RSA_2048",
                "SigningAlgorithm": "SHA256WITHRSA",
                "Subject": {"CommonName": name},
            },
            CertificateAuthorityType="ROOT",
        )["CertificateAuthorityArn"]
        request = pca.get_certificate_authority_csr(CertificateAuthorityArn=authority)["Csr"]
        root = pca.issue_certificate(
            CertificateAuthorityArn=authority,
            Csr=request.encode(),
            SigningAlgorithm="SHA256WITHRSA",
            TemplateArn="arn:aws:acm-pca:::template/RootCACertificate/V1",
            Validity={"Type": "YEARS", "Value": 10},
        )["CertificateArn"]
        body = pca.get_certificate(CertificateAuthorityArn=authority, CertificateArn=root)["Certificate"]
        pca.import_certificate_authority_certificate(
            CertificateAuthorityArn=authority, Certificate=body.encode()
        )
        return str(authority)

    def issue(self, authority: str, name: str) -> str:
        """Let a private CA issue; return the ARN of the certificate."""
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .sign(new_key(), hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )
        return str(
            self.client("acm-pca").issue_certificate(
                CertificateAuthorityArn=authority,
                Csr=request,
                SigningAlgorithm="SHA256WITHRSA",
                Validity={"Type": "DAYS", "Value": 30},
            )["CertificateArn"]
        )

    def bucket(self, name: str) -> None:
        """Make a bucket in eu-west-1."""
        self.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def report(self, bucket: str, authority: str, name: str, *rows: dict[str, str]) -> None:
        """Put an audit report where a private CA writes them, in the form of its user guide."""
        key = f"audit-report/{authority.rpartition('/')[2]}/{name}.json"
        body = [
            {"awsAccountId": self._account, "notAfter": "2999-01-01T00:00:00+0000", "subject": "CN=x"} | row
            for row in rows
        ]
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())
