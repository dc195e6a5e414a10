"""Reads a kubeconfig: what it says itself, and nothing that would run a program or open a file here.

The shapes are those of `kubectl`'s client configuration (v1).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from shared.errors import Invalid

_RUNS = ("exec", "auth-provider")
_FILES = ("tokenFile", "client-certificate", "client-key")
_OTHERS = ("username", "password", "as", "as-uid", "as-groups", "as-user-extra")
_REFUSED_OF_CLUSTER = ("certificate-authority", "proxy-url", "tls-server-name")


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig whose outline was checked."""

    contexts: Mapping[str, Any] = field(repr=False)
    clusters: Mapping[str, Any] = field(repr=False)
    users: Mapping[str, Any] = field(repr=False)
    current: str | None


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What one context says."""

    server: str
    trusted_ca: str | None
    token: str | None = field(repr=False)
    client_certificate: str | None
    client_key: str | None = field(repr=False)


def read_kubeconfig(text: str) -> Kubeconfig:
    """Read its outline. Raises `Invalid`, and quotes nothing of it."""
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        # Without its cause, which quotes the text.
        raise _invalid(f"The kubeconfig is not YAML{where}.") from None
    if not isinstance(told, dict) or told.get("kind", "Config") != "Config":
        raise _invalid("The kubeconfig is not of kind Config.")
    current = told.get("current-context")
    return Kubeconfig(
        contexts=_named(told, "contexts", "context"),
        clusters=_named(told, "clusters", "cluster"),
        users=_named(told, "users", "user"),
        current=current if isinstance(current, str) and current else None,
    )


def choose(config: Kubeconfig, *, context: str | None) -> Chosen:
    """Return what a context says; None stands for the current one. Raises `Invalid`."""
    name = context or config.current
    if name is None:
        raise _invalid("The kubeconfig has no current context.", "Name one in the setting `context`.")
    if name not in config.contexts:
        raise _invalid(f"The kubeconfig has no context {name!r}.", "Name one of its contexts.")
    chosen = config.contexts[name]
    cluster = _of(config.clusters, chosen.get("cluster"), "cluster")
    user = _of(config.users, chosen.get("user"), "user")
    _refuse_what_is_not_in_it(cluster, user)
    server = _text(cluster, "server")
    if server is None or not server.startswith("https://"):
        raise _invalid("The cluster's server in the kubeconfig is not an https address.")
    return Chosen(
        server=server,
        trusted_ca=_decoded(cluster, "certificate-authority-data"),
        token=_text(user, "token"),
        client_certificate=_decoded(user, "client-certificate-data"),
        client_key=_decoded(user, "client-key-data"),
    )


def _refuse_what_is_not_in_it(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    for name in _RUNS:
        if user.get(name):
            raise _invalid(
                f"The user of the kubeconfig logs in by `{name}`, which runs a program: that is not done here.",
                "Make a service account with a token, and send the token.",
            )
    for name in (*_FILES, "certificate-authority"):
        if user.get(name) or cluster.get(name):
            raise _invalid(
                f"The kubeconfig names a file (`{name}`), which is not here.",
                "Write the content into it: `kubectl config view --raw --flatten --minify`.",
            )
    if cluster.get("insecure-skip-tls-verify"):
        raise _invalid(
            "The kubeconfig says that the cluster is not verified.", "Put the cluster's CA into it."
        )
    for name in (*_OTHERS, *_REFUSED_OF_CLUSTER):
        if user.get(name) or cluster.get(name):
            raise _invalid(f"The kubeconfig says `{name}`, which is not known here.", "Send a token instead.")


def _named(told: Mapping[str, Any], many: str, one: str) -> dict[str, Any]:
    entries = told.get(many) or []
    try:
        named = {entry["name"]: entry[one] or {} for entry in entries}
    except (KeyError, TypeError):
        raise _invalid(f"The `{many}` of the kubeconfig cannot be read.") from None
    if not all(isinstance(name, str) and isinstance(value, dict) for name, value in named.items()):
        raise _invalid(f"The `{many}` of the kubeconfig cannot be read.")
    return named


def _of(named: Mapping[str, Any], name: object, what: str) -> Mapping[str, Any]:
    if not isinstance(name, str) or name not in named:
        raise _invalid(f"The context of the kubeconfig names a {what} that is not in it.")
    found: Mapping[str, Any] = named[name]
    return found


def _text(of: Mapping[str, Any], name: str) -> str | None:
    value = of.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"`{name}` in the kubeconfig is not a text.")
    return value or None


def _decoded(of: Mapping[str, Any], name: str) -> str | None:
    value = _text(of, name)
    try:
        return base64.b64decode(value, validate=True).decode("ascii") if value else None
    except (binascii.Error, ValueError):
        raise _invalid(f"`{name}` in the kubeconfig is not PEM in base64.") from None


def _invalid(detail: str, next_step: str = "Send the whole text of a kubeconfig.") -> Invalid:
    return Invalid(detail, next_step=next_step)
