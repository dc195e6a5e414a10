"""AWS: certificates in ACM and IAM, the load balancers and distributions that use them, and Secrets Manager."""

from services.provisioner.connectors.aws.acm import AwsAcm
from services.provisioner.connectors.aws.cloudfront import AwsCloudFront
from services.provisioner.connectors.aws.listeners import AwsListener
from services.provisioner.connectors.aws.secrets import AwsSecretsManager

__all__ = ["AwsAcm", "AwsCloudFront", "AwsListener", "AwsSecretsManager"]
