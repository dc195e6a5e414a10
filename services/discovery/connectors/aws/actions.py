"""Every call to AWS that there is, and the IAM action that permits it: nothing else can be asked.

A source of certificates asks `CALLS`, and a secret store `STORE_CALLS`: neither can ask what is the other's.
"""

from shared.aws.transport import Calls

__all__ = ["CALLS", "STORE_CALLS", "Calls"]

CALLS: Calls = {
    "sts": {
        "get_caller_identity": "sts:GetCallerIdentity",
        "assume_role": "sts:AssumeRole",
    },
    "acm": {
        "list_certificates": "acm:ListCertificates",
        "get_certificate": "acm:GetCertificate",
        "describe_certificate": "acm:DescribeCertificate",
    },
    "iam": {
        "list_server_certificates": "iam:ListServerCertificates",
        "get_server_certificate": "iam:GetServerCertificate",
    },
    "elbv2": {
        "describe_load_balancers": "elasticloadbalancing:DescribeLoadBalancers",
        "describe_listeners": "elasticloadbalancing:DescribeListeners",
        "describe_listener_certificates": "elasticloadbalancing:DescribeListenerCertificates",
        "describe_ssl_policies": "elasticloadbalancing:DescribeSSLPolicies",
    },
    "elb": {
        "describe_load_balancers": "elasticloadbalancing:DescribeLoadBalancers",
        "describe_load_balancer_policies": "elasticloadbalancing:DescribeLoadBalancerPolicies",
    },
    "cloudfront": {"list_distributions": "cloudfront:ListDistributions"},
    "apigateway": {"get_domain_names": "apigateway:GET"},
    "apigatewayv2": {"get_domain_names": "apigateway:GET"},
    "acm-pca": {
        "list_certificate_authorities": "acm-pca:ListCertificateAuthorities",
        "get_certificate_authority_certificate": "acm-pca:GetCertificateAuthorityCertificate",
        "get_certificate": "acm-pca:GetCertificate",
    },
    "s3": {
        "list_objects_v2": "s3:ListBucket",
        "get_object": "s3:GetObject",
    },
}
STORE_CALLS: Calls = {
    "sts": CALLS["sts"],
    "secretsmanager": {"get_secret_value": "secretsmanager:GetSecretValue"},
}
ALWAYS_PERMITTED = frozenset({"sts:GetCallerIdentity"})
"""Whoever has a key may ask who it is, whatever the policies say (STS API reference, GetCallerIdentity)."""
