"""What moto lacks of AWS and one who puts certificates there depends on; used by `tests.servers.aws`.

From the API references and guides of AWS: ACM refuses a key that is not the certificate's, re-importing with another key
type (ImportCertificate, ValidationException) and deleting what is used (DeleteCertificate, ResourceInUseException);
ModifyListener changes the default certificate and nothing of the list for SNI, which knows each certificate once
(Elastic Load Balancing); UpdateDistribution wants the present ETag (PreconditionFailed) and DescribeListeners tells the default
alone; IAM lists by `PathPrefix` and refuses a name twice, a pair that does not fit (KeyPairMismatch) and deleting what is used.
"""

from hashlib import sha256
from importlib import import_module
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def complete() -> None:
    """Give moto what it lacks."""
    _complete_acm()
    _complete_listeners()
    _complete_cloudfront()
    _complete_iam()


def pair_of(arn: str) -> list[str] | None:
    """Return chain and key of a certificate, as what serves it has them; None where there is none."""
    _, _, service, region, account, _ = arn.split(":", 5)
    if service == "iam":
        backends = import_module("moto.iam.models").iam_backends[account]
        for each in (each for backend in backends.values() for each in backend.certificates.values()):
            if each.arn == arn:
                return [f"{each.cert_body}\n{each.cert_chain or ''}", each.private_key]
        return None
    bundle = import_module("moto.acm.models").acm_backends[account][region]._certificates.get(arn)
    if bundle is None:
        return None
    return [_text(bundle.cert) + "\n" + _text(bundle.sent_chain), _text(bundle.key)]


def listener_of(arn: str) -> list[str]:
    """Return the certificates of a listener, the default first."""
    _, _, _, region, account, _ = arn.split(":", 5)
    backend = import_module("moto.elbv2.models").elbv2_backends[account][region]
    [listener] = backend.describe_listeners(load_balancer_arn=None, listener_arns=[arn])
    return [listener.certificate, *_others(listener)]


def certificate_id(name: str) -> str:
    """Return the id of a server certificate of IAM, which moto does not make."""
    return f"ASCA{sha256(name.encode()).hexdigest().upper()[:17]}"


def distribution_of(identifier: str, account: str) -> str | None:
    """Return the ARN of the certificate that a distribution uses."""
    backend = import_module("moto.cloudfront.models").cloudfront_backends[account]["aws"]
    return _viewed(backend.distributions[identifier], account)


def _viewed(distribution: Any, account: str) -> str | None:
    viewer = distribution.distribution_config.ViewerCertificate
    kept = import_module("moto.iam.models").iam_backends[account]["aws"].certificates.values()
    of_iam = (each.arn for each in kept if certificate_id(each.cert_name) == viewer.iam_certificate_id)
    found: str | None = viewer.acm_certificate_arn or next(of_iam, None)
    return found


def _complete_acm() -> None:
    models = import_module("moto.acm.models")
    errors = import_module("moto.acm.exceptions")
    backend = models.AWSCertificateManagerBackend
    take, drop = backend.import_certificate, backend.delete_certificate

    class InUse(errors.AWSError):  # type: ignore[misc, name-defined] # moto's own class, found at run time
        TYPE = "ResourceInUseException"

    def import_certificate(
        self: Any, certificate: Any, private_key: Any, chain: Any, arn: Any, tags: Any
    ) -> Any:
        if not _fit(certificate, private_key):
            raise errors.AWSValidationException("The certificate and private key do not match.")
        present = self._certificates.get(arn)
        if present is not None and _kind(present.cert) != _kind(certificate):
            raise errors.AWSValidationException("Key algorithm can't be changed when re-importing.")
        tags_before = present.tags if present is not None else None
        found = take(self, certificate, private_key, chain, arn, tags)
        bundle = self._certificates[found]
        bundle.sent_chain = chain or b""
        if tags_before is not None:
            bundle.tags = tags_before
        return found

    def delete_certificate(self: Any, arn: str) -> None:
        bundle = self._certificates.get(arn)
        if bundle is not None and bundle.in_use_by:
            raise InUse(f"Certificate {arn} is in use.")
        drop(self, arn)

    backend.import_certificate = import_certificate
    backend.delete_certificate = delete_certificate


def _complete_listeners() -> None:
    backend = import_module("moto.elbv2.models").ELBv2Backend
    responses = import_module("moto.elbv2.responses").ELBV2Response
    answer = import_module("moto.core.responses").ActionResult
    modify, describe = backend.modify_listener, backend.describe_listeners
    add = backend.add_listener_certificates

    def modify_listener(self: Any, arn: str, *changes: Any) -> Any:
        [listener] = describe(self, None, [arn])
        others = _others(listener)
        changed = modify(self, arn, *changes)
        changed.certificates = [
            changed.certificate,
            *(each for each in others if each != changed.certificate),
        ]
        return changed

    def add_listener_certificates(self: Any, arn: str, certificates: list[dict[str, Any]]) -> Any:
        [listener] = describe(self, None, [arn])
        new = [each for each in certificates if each["CertificateArn"] not in listener.certificates]
        return add(self, arn, new)

    def describe_listeners(self: Any) -> Any:
        found = describe(
            self.elbv2_backend, self._get_param("LoadBalancerArn"), self._get_param("ListenerArns", [])
        )
        told = [
            {
                "ListenerArn": each.arn,
                "LoadBalancerArn": each.load_balancer_arn,
                "Port": each.port,
                "Protocol": each.protocol,
                "SslPolicy": each.ssl_policy,
                "Certificates": [each.certificate] if each.certificate else [],  # moto makes objects of them
            }
            for each in found
        ]
        return answer(result={"Listeners": told})

    backend.modify_listener = modify_listener
    backend.add_listener_certificates = add_listener_certificates
    responses.describe_listeners = describe_listeners


def _others(listener: Any) -> list[str]:
    return [each for each in listener.certificates or [] if each != listener.certificate]


def _complete_cloudfront() -> None:
    backend = import_module("moto.cloudfront.models").CloudFrontBackend
    exceptions = import_module("moto.cloudfront.exceptions")
    update = backend.update_distribution

    class Stale(exceptions.CloudFrontException):  # type: ignore[misc, name-defined] # moto's own class, found at run time
        code = "PreconditionFailed"

        def __init__(self) -> None:
            super().__init__("PreconditionFailed", "The request did not meet the preconditions.")

    def update_distribution(self: Any, dist_config: Any, _id: str, if_match: Any) -> Any:
        present = self.distributions.get(_id)
        if present is not None and if_match != present.etag:
            raise Stale
        return update(self, dist_config, _id, if_match)

    backend.update_distribution = update_distribution


def _complete_iam() -> None:
    backend = import_module("moto.iam.models").IAMBackend
    exceptions = import_module("moto.iam.exceptions")
    upload, drop = backend.upload_server_certificate, backend.delete_server_certificate

    def upload_server_certificate(
        self: Any, cert_name: str, cert_body: str, private_key: str, **more: Any
    ) -> Any:
        if any(each.cert_name == cert_name for each in self.certificates.values()):
            raise exceptions.EntityAlreadyExists(
                f"The Server Certificate with name {cert_name} already exists."
            )
        if not _fit(cert_body, private_key):
            raise exceptions.IAMException("KeyPairMismatch", "Private key does not match the certificate.")
        return upload(self, cert_name, cert_body, private_key, **more)

    def delete_server_certificate(self: Any, name: str) -> None:
        for each in self.certificates.values():
            if each.cert_name == name and _uses(each.arn):
                raise exceptions.IAMException("DeleteConflict", f"{name} is in use.")
        drop(self, name)

    backend.upload_server_certificate = upload_server_certificate
    backend.delete_server_certificate = delete_server_certificate


def _uses(arn: str) -> bool:
    account = arn.split(":")[4]
    regions = import_module("moto.elbv2.models").elbv2_backends[account]
    distributions = import_module("moto.cloudfront.models").cloudfront_backends[account]["aws"].distributions
    return any(_viewed(each, account) == arn for each in distributions.values()) or any(
        arn in (listener.certificates or [])
        for backend in list(regions.values())
        for balancer in backend.load_balancers.values()
        for listener in balancer.listeners.values()
    )


def _fit(certificate: Any, private_key: Any) -> bool:
    public = x509.load_pem_x509_certificate(_text(certificate).encode()).public_key()
    return bool(load_pem_private_key(_text(private_key).encode(), None).public_key() == public)


def _kind(certificate: Any) -> str:
    key = x509.load_pem_x509_certificate(_text(certificate).encode()).public_key()
    return f"{type(key).__name__} {getattr(key, 'key_size', '')}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
