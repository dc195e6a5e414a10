"""moto's server, with what it lacks of AWS and a reader depends on; and the ends of AWS that tests hold.

As a program (`python -m tests.servers.aws PORT`) it is moto's own application with these added:

* ListCertificates of ACM and ListServerCertificates of IAM come in pages, as do the certificates of a listener and the
  domain names of API Gateway (API references of these calls); page sizes beyond AWS's own are refused.
* ACM lists RSA keys up to 2048 bits only, unless other key types are asked for, and nothing of the N2 roots (Filters,
  and ListCertificates, in the ACM API reference).
* `InUse` and `InUseBy` of ACM are told from what uses a certificate (CertificateDetail in the ACM API reference).
* Every server certificate of IAM has an id of its own.
* Who puts certificates there is refused what AWS refuses (`tests.servers.aws_writes`), and `/everleaf/served` tells what a
  listener or distribution presents.
* Private CAs honour what is asked of them (`tests.servers.aws_pca`), and `/everleaf/pca` tells what they did.
* `/everleaf/calls` tells every call that came, `/everleaf/pages` sets how many objects a page has at most,
  and `/everleaf/failures` sets what calls are answered with instead.
"""

import atexit
import io
import json
import os
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import boto3
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from tests.servers import aws_pca, aws_writes
from tests.servers.aws_writes import certificate_id
from tests.servers.processes import Process, free_port

ACCOUNT = "123456789012"
"""That of the login."""
OTHER = "210987654321"
REPOSITORY = Path(__file__).parents[2]
_FAR = "inf"
_OF_ITSELF = ("Account", "AccountSummary", "AccessKey", "AccessKeyLastUsed", "FakeGrantee")
"""What moto makes where an account is looked at for the first time, and what says when a key was used."""


class Aws:
    """A private AWS at `url`: accounts are there as soon as somebody asks for one."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = directory / "moto.log"
        self._process: Process | None = None
        self._unlocking = RLock()

    def start(self) -> None:
        """Start it, empty."""
        env = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}
        self._process = Process(
            [sys.executable, "-m", "tests.servers.aws", str(self.port)],
            log=self._log,
            env=env,
            cwd=REPOSITORY,
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def reset(self) -> None:
        """Forget everything, and let everybody do anything."""
        self._post("/moto-api/reset-auth", _FAR)
        self._post("/moto-api/reset", "")
        self._post("/everleaf/reset", "")

    def client(self, service: str, region: str = "eu-west-1", *, account: str = ACCOUNT) -> Any:
        """Return a client that acts in an account, as long as everybody may do anything."""
        client = boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="of no importance",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

        def into(request: Any, **_: Any) -> None:
            request.headers["x-moto-account-id"] = account

        client.meta.events.register("before-send", into)
        return client

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let everybody do anything for a while; after it, policies and signatures are checked.

        One thread at a time, or the first to leave would lock out the others.
        """
        with self._unlocking:
            self._post("/moto-api/reset-auth", _FAR)
            try:
                yield
            finally:
                self._post("/moto-api/reset-auth", "0")

    def private_cas(self) -> dict[str, list[str]]:
        """Return what private CAs have `issued`, in PEM, and the serial numbers that they `revoked`."""
        told: dict[str, list[str]] = json.loads(self._get("/everleaf/pca"))
        return told

    def served(self, what: str) -> list[tuple[bytes, bytes]]:
        """Return chain and key of what a listener, distribution or certificate presents, the default first."""
        found: list[list[str]] = json.loads(self._get(f"/everleaf/served?{quote(what)}"))
        return [(chain.encode(), key.encode()) for chain, key in found]

    def pages_of(self, count: int) -> None:
        """Let no page have more objects."""
        self._post("/everleaf/pages", str(count))

    def fail(self, call: str, *, code: str, status: int = 400, times: int = 1) -> None:
        """Answer a call, `acm:ListCertificates`, with an error so many times."""
        self._post("/everleaf/failures", json.dumps([call, code, status, times]))

    def calls(self) -> list[str]:
        """Return every call that came: `acm:ListCertificates`."""
        calls: list[str] = json.loads(self._get("/everleaf/calls"))
        return calls

    def sessions(self) -> list[dict[str, Any]]:
        """Return how roles were assumed: `external_id`, `session_name` and more of each."""
        sessions: list[dict[str, Any]] = json.loads(self._get("/moto-api/data.json"))["sts"]["AssumedRole"]
        return sessions

    def state(self) -> Any:
        """Return all that can be said of what there is, but for who logged in when."""
        services = json.loads(self._get("/moto-api/data.json"))
        return {
            (service, kind): [
                {name: value for name, value in each.items() if "last_used" not in name} for each in objects
            ]
            for service, kinds in services.items()
            for kind, objects in kinds.items()
            if objects and service != "sts" and kind not in _OF_ITSELF
        }

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path) as answer:
            body: bytes = answer.read()
            return body

    def _post(self, path: str, body: str) -> None:
        request = urllib.request.Request(self.url + path, body.encode(), {"Content-Type": "text/plain"})
        with urllib.request.urlopen(request) as answer:
            answer.read()


@cache
def shared_aws() -> Aws:
    """Return the one of this test run, which starts but once; whoever takes it resets it."""
    directory = tempfile.TemporaryDirectory(prefix="everleaf-aws-")
    aws = Aws(Path(directory.name))
    aws.start()

    def end() -> None:
        aws.stop()
        directory.cleanup()

    atexit.register(end)
    return aws


class _Front:
    """What stands before moto: counts, and fails where it is told to."""

    def __init__(self, application: Any, *, pages: "_Pages") -> None:
        self._application = application
        self._pages = pages
        self._calls: list[str] = []
        self._failures: dict[str, list[Any]] = {}

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/everleaf/"):
            return self._said(path.rpartition("/")[2], environ, start)
        if not path.startswith("/moto-api"):
            call = _call(environ)
            self._calls.append(call)
            failure = self._failures.get(call)
            if failure and failure[2] > 0:
                failure[2] -= 1
                is_json = "HTTP_X_AMZ_TARGET" in environ
                return _error(start, code=failure[0], status=failure[1], is_json=is_json)
        return self._application(environ, start)

    def _said(self, word: str, environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
        if word == "pages":
            self._pages.most = int(body)
        elif word == "failures":
            call, *failure = json.loads(body)
            self._failures[call] = failure
        elif word == "reset":
            self._pages.most = sys.maxsize
            self._calls.clear()
            self._failures.clear()
        start("200 OK", [("Content-Type", "application/json")])
        if word == "served":
            return [json.dumps(_served(unquote(environ["QUERY_STRING"]))).encode()]
        return [json.dumps(aws_pca.told() if word == "pca" else self._calls).encode()]


def _served(what: str) -> list[list[str]]:
    if ":listener/" in what:
        arns = aws_writes.listener_of(what)
    elif what.startswith("arn:"):
        arns = [what]
    else:
        arns = [aws_writes.distribution_of(what, ACCOUNT) or ""]
    return [pair for arn in arns if arn and (pair := aws_writes.pair_of(arn)) is not None]


def _call(environ: dict[str, Any]) -> str:
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
    service = scope[3] if len(scope) > 3 else "?"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return f"{service}:{target.rpartition('.')[2]}"
    if "form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return f"{service}:{parse_qs(body.decode())['Action'][0]}"
    return f"{service}:{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _error(start: Any, *, code: str, status: int, is_json: bool) -> list[bytes]:
    """Answer as the protocols of AWS do: JSON 1.1, or query and its XML."""
    words = "as the test wants it"
    kind = "application/x-amz-json-1.1" if is_json else "text/xml"
    start(f"{status} Failed", [("Content-Type", kind)])
    if is_json:
        return [json.dumps({"__type": code, "message": words}).encode()]
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
    return [f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>".encode()]


class _Pages:
    """Cuts lists as AWS does."""

    def __init__(self) -> None:
        self.most = sys.maxsize

    def cut(
        self, found: Sequence[Any], *, token: str | None, size: Any, most: int
    ) -> tuple[Sequence[Any], str | None]:
        """Return a page, and the token of the next; AWS's own limit of a page is `most`."""
        if size is not None and not 1 <= int(size) <= most:
            raise ValueError(f"a page of {size}")
        start, count = int(token or 0), min(int(size or most), most, self.most)
        return found[start : start + count], str(start + count) if start + count < len(found) else None


def _complete(pages: _Pages) -> None:
    """Give moto what it lacks."""
    acm_responses = import_module("moto.acm.responses").AWSCertificateManagerResponse
    api_responses = import_module("moto.apigateway.responses").APIGatewayResponse
    elb_responses = import_module("moto.elbv2.responses").ELBV2Response
    iam_responses = import_module("moto.iam.responses").IamResponse
    answer = import_module("moto.core.responses").ActionResult

    list_certificates = acm_responses.list_certificates
    list_server_certificates = iam_responses.list_server_certificates
    get_server_certificate = iam_responses.get_server_certificate
    describe_listener_certificates = elb_responses.describe_listener_certificates
    get_domain_names = api_responses.get_domain_names

    def acm(self: Any) -> Any:
        if self._get_param("RootHierarchyTypes"):
            return answer(result={"CertificateSummaryList": []})
        result = list_certificates(self).result
        kinds = (self._get_param("Includes") or {}).get("keyTypes", ["RSA_1024", "RSA_2048"])
        found = [each for each in result["CertificateSummaryList"] if each["KeyAlgorithm"] in kinds]
        page, token = pages.cut(
            found, token=self._get_param("NextToken"), size=self._get_param("MaxItems"), most=1000
        )
        return answer(result={"CertificateSummaryList": page} | ({"NextToken": token} if token else {}))

    def iam(self: Any) -> Any:
        result = list_server_certificates(self).result
        prefix = self._get_param("PathPrefix") or "/"
        found = [each for each in result["ServerCertificateMetadataList"] if each["Path"].startswith(prefix)]
        for each in found:
            each["ServerCertificateId"] = certificate_id(each["ServerCertificateName"])
        page, token = pages.cut(
            found, token=self._get_param("Marker"), size=self._get_param("MaxItems"), most=1000
        )
        more = {"Marker": token} if token else {}
        return answer(result={"ServerCertificateMetadataList": page, "IsTruncated": bool(token)} | more)

    def iam_one(self: Any) -> Any:
        result = get_server_certificate(self).result
        told = result["ServerCertificate"]["ServerCertificateMetadata"]
        told["ServerCertificateId"] = certificate_id(told["ServerCertificateName"])
        return answer(result=result)

    def elbv2(self: Any) -> Any:
        found = describe_listener_certificates(self).result["Certificates"]
        # AWS names the default certificate once more where it was added to the list, too.
        page, token = pages.cut(
            found, token=self._get_param("Marker"), size=self._get_param("PageSize"), most=400
        )
        return answer(result={"Certificates": page} | ({"NextMarker": token} if token else {}))

    def apigateway(self: Any) -> str:
        found = json.loads(get_domain_names(self))["item"]
        page, token = pages.cut(
            found, token=self._get_param("position"), size=self._get_param("limit"), most=500
        )
        return json.dumps({"item": page} | ({"position": token} if token else {}))

    aws_pca.complete()
    aws_writes.complete()
    acm_responses.list_certificates = acm
    iam_responses.list_server_certificates = iam
    iam_responses.get_server_certificate = iam_one
    elb_responses.describe_listener_certificates = elbv2
    api_responses.get_domain_names = apigateway
    import_module("moto.iam.access_control").IAMRequestBase._create_aws_request = _signed
    import_module("moto.acm.models").CertBundle.in_use_by = property(
        lambda self: sorted(_in_use_by(self.arn)), lambda _self, _value: None
    )


def _signed(self: Any) -> AWSRequest:
    """Return what was signed: moto takes a query of a GET for its body, and finds every signature wrong."""
    names = self._get_string_between("SignedHeaders=", ",", self._headers["Authorization"]).split(";")
    headers = self._create_headers_for_aws_request(names, self._headers)
    body = b"" if self._method == "GET" else self._body or self._data
    request = AWSRequest(method=self._method, url=self._path, data=body, headers=headers)
    request.context["timestamp"] = headers["X-Amz-Date"]
    return request


def _in_use_by(arn: str) -> Iterator[str]:
    elbv2_backends = import_module("moto.elbv2.models").elbv2_backends
    cloudfront_backends = import_module("moto.cloudfront.models").cloudfront_backends
    _, partition, _, region, account, _ = arn.split(":", 5)
    for listener in (
        listener
        for balancer in elbv2_backends[account][region].load_balancers.values()
        for listener in balancer.listeners.values()
    ):
        if arn in listener.certificates:
            yield listener.load_balancer_arn
    for distribution in cloudfront_backends[account][partition].distributions.values():
        if distribution.distribution_config.ViewerCertificate.acm_certificate_arn == arn:
            yield distribution.arn


def main(port: int) -> None:
    """Serve on a loopback port until the process is ended."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import run_simple

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ["MOTO_PORT"] = str(port)
    pages = _Pages()
    _complete(pages)
    MotoRequestHandler.protocol_version = "HTTP/1.1"  # which keeps connections, as AWS does
    front = _Front(DomainDispatcherApplication(create_backend_app), pages=pages)
    run_simple("127.0.0.1", port, front, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]))
