"""How a cluster's API is logged into: by token, by client certificate, by a kubeconfig, or as the pod we run in."""

import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared.clouds.kubeconfig import choose, read_kubeconfig
from shared.errors import Invalid
from shared.tokens import LONGEST_TOKEN, TOKEN, Token
from shared.web import trusting

IN_CLUSTER = "https://kubernetes.default.svc"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LONGEST_KUBECONFIG = 256 * 1024
_SERVER = re.compile(r"https://[^\s/?#@]+(/[^\s?#]*)?")


class ClusterSettings(BaseModel):
    """Where the API of a cluster is, and by what it is verified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str | None = Field(
        None,
        pattern=r"^https://[^\s/?#@]+(/[^\s?#]*)?$",
        max_length=500,
        description="Address of the API; left out where a kubeconfig or the cluster itself says it.",
        examples=["https://k8s.example.com:6443"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="The cluster's CA in PEM: only it is trusted then."
    )
    context: str | None = Field(
        None,
        max_length=253,
        description="Context of the kubeconfig; left out, its current one.",
    )
    in_cluster: bool = Field(
        False,
        description="Log in as the service account of the pod that this runs in; the credential is empty then.",
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.in_cluster and (self.server or self.trusted_ca or self.context):
            msg = "in_cluster takes server and trusted_ca from the pod, and knows no context"
            raise ValueError(msg)
        return self


class KubernetesCredential(BaseModel):
    """A bearer token, or a client certificate with its key, or a kubeconfig that holds either; empty with `in_cluster`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Annotated[SecretStr | None, Field(max_length=LONGEST_TOKEN)] = None
    client_certificate: str | None = Field(None, max_length=100_000, description="PEM, the leaf first.")
    client_key: Annotated[SecretStr | None, Field(max_length=100_000)] = None
    kubeconfig: Annotated[SecretStr | None, Field(max_length=LONGEST_KUBECONFIG)] = None

    @model_validator(mode="after")
    def _is_at_most_one(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            msg = "client_certificate and client_key belong together"
            raise ValueError(msg)
        if sum(each is not None for each in (self.token, self.client_key, self.kubeconfig)) > 1:
            msg = "give one of token, client_certificate with client_key, and kubeconfig"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            if self.kubeconfig is not None:
                read_kubeconfig(self.kubeconfig.get_secret_value())
        except Invalid as error:
            raise ValueError(str(error)) from None
        if self.token is not None and not is_token(self.token.get_secret_value()):
            msg = "a token is one line of printable ASCII without spaces"
            raise ValueError(msg)
        return self


def is_token(text: str) -> bool:
    """Return whether a text can be sent as a bearer token."""
    return re.fullmatch(TOKEN, text) is not None


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where the API is, and as whom it is asked."""

    server: str
    trusted_ca: str | None
    token: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)


def login_of(settings: ClusterSettings, credential: KubernetesCredential) -> Login:
    """Return how a cluster is logged into. Raises `Invalid`."""
    if settings.in_cluster:
        return _in_cluster(credential)
    if credential.kubeconfig is not None:
        return _by_kubeconfig(settings, credential.kubeconfig.get_secret_value())
    if settings.context is not None:
        raise Invalid(
            "The setting `context` belongs to a kubeconfig.", next_step="Send one, or leave it out."
        )
    if settings.server is None:
        raise Invalid("Where the API is, is not said.", next_step="Name it in the setting `server`.")
    if credential.token is None and credential.client_key is None:
        raise Invalid(
            "There is no credential.", next_step="Store a token, a client certificate or a kubeconfig."
        )
    return Login(
        server=settings.server,
        trusted_ca=settings.trusted_ca,
        token=credential.token.get_secret_value() if credential.token else None,
        client_certificate=credential.client_certificate,
        client_key=credential.client_key.get_secret_value() if credential.client_key else None,
    )


def _by_kubeconfig(settings: ClusterSettings, text: str) -> Login:
    chosen = choose(read_kubeconfig(text), context=settings.context)
    server = settings.server or chosen.server
    if not _SERVER.fullmatch(server):
        raise Invalid("The server in the kubeconfig is no plain https address.", next_step="Correct it.")
    if chosen.token is not None and not is_token(chosen.token):
        raise Invalid(
            "The token in the kubeconfig is not one line of printable ASCII.", next_step="Correct it."
        )
    has_certificate = chosen.client_certificate is not None and chosen.client_key is not None
    if chosen.token is None and not has_certificate:
        raise Invalid(
            "The user of the kubeconfig has neither a token nor a client certificate with its key.",
            next_step="Send `kubectl config view --raw --flatten --minify`.",
        )
    return Login(
        server=server,
        trusted_ca=settings.trusted_ca or chosen.trusted_ca,
        token=chosen.token,
        client_certificate=chosen.client_certificate if has_certificate else None,
        client_key=chosen.client_key if has_certificate else None,
    )


def _in_cluster(credential: KubernetesCredential) -> Login:
    if credential.model_dump(exclude_none=True):
        raise Invalid(
            "With `in_cluster` the service account of the pod is the credential.",
            next_step="Store an empty one.",
        )
    try:
        return Login(server=IN_CLUSTER, trusted_ca=(SERVICE_ACCOUNT / "ca.crt").read_text("ascii"))
    except (OSError, ValueError) as error:
        raise _not_in_a_pod() from error


async def service_account() -> Token:
    """Read the token anew: the kubelet renews the file long before its end."""
    try:
        text = (SERVICE_ACCOUNT / "token").read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise _not_in_a_pod() from error
    if not is_token(text):
        raise _not_in_a_pod()
    return Token(value=text)


def _not_in_a_pod() -> Invalid:
    return Invalid(
        "This does not run in a pod with a service account.",
        next_step="Give the pod `automountServiceAccountToken: true`, or send a token.",
    )


def context_of(login: Login) -> ssl.SSLContext:
    """Return what the API is verified by: its own CA alone, where it is known."""
    try:
        context = ssl.create_default_context(cadata=login.trusted_ca) if login.trusted_ca else trusting(None)
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(
            "The cluster's CA is not PEM.", next_step="Send the CA's certificate as PEM."
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if login.client_certificate and login.client_key:
        _load(context, login.client_certificate, login.client_key)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give a context its client certificate; OpenSSL takes both from files only."""
    try:
        with ExitStack() as files:
            paths = [files.enter_context(_file(text)) for text in (certificate, key)]
            context.load_cert_chain(paths[0], paths[1], password=_no_password)
    except (OSError, ssl.SSLError, ValueError):
        raise Invalid(
            "The client certificate cannot be used with this key.",
            next_step="Send both as PEM, the key unencrypted and fitting the certificate.",
        ) from None


def _no_password() -> bytes:
    """Keep OpenSSL from asking at a terminal."""
    return b""


@contextmanager
def _file(text: str) -> Iterator[str]:
    """Keep a text in a file that only we can open, for a moment: in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("everleaf")
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pem"
            path.touch(mode=0o600)
            path.write_text(text)
            yield str(path)
