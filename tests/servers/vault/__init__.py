"""A Vault (or OpenBao) in memory: TLS, tokens, AppRole, policies, namespaces, mounts, seal. Engines are modules beside.

Written from HashiCorp's API documentation: "HTTP API" (error shapes, status codes, `X-Vault-Request`, LIST or
`GET ?list=true`), "Token auth method" (lookup-self, revoke-self), "AppRole auth method" (login), "Policies" (`*` at
the end, `+` for a segment, the most specific path wins, deny above all), "/sys/capabilities-self". What is there is
changed by engines alone.
"""

import asyncio
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.webhook import Answer, Request, Webhook, _bytes, _read

Operation = Literal["read", "list", "update", "delete"]
Rules = Mapping[str, tuple[str, ...]]
"""Of a policy: capabilities by path."""
DEFAULT: Rules = {"auth/token/lookup-self": ("read",), "auth/token/revoke-self": ("update",)}
DENIED = ("permission denied",)


class Fault(Exception):
    """What Vault answers where it does not do what is asked."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status, self.errors = status, errors


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to an engine; its path begins behind the mount."""

    operation: Operation
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What may be mounted."""

    unauthenticated: tuple[str, ...]
    """Paths that need no token, as policies write them."""

    def answer(self, asked: Asked) -> Mapping[str, Any] | None:
        """Return the data; None where there is nothing. Raises `Fault`."""


@dataclass(kw_only=True)
class Token:
    """A token: what it may, and how long."""

    policies: tuple[str, ...]
    expires_at: datetime


class Vault(Webhook):
    """A server at `url`; tests change its policies, tokens, roles and mounts as they like."""

    def __init__(self, *, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self.policies: dict[str, Rules] = {"default": DEFAULT}
        self.tokens: dict[str, Token] = {}
        self.roles: dict[str, tuple[str, tuple[str, ...]]] = {}
        """Secret and policies by role id."""
        self.mounts: dict[str, Engine] = {}
        """By path, the namespace in front."""
        self.is_sealed = False
        self.is_stalled = False

    def new_token(self, *policies: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a fresh token with these policies and `default`."""
        token = f"hvs.{secrets.token_urlsafe(24)}"
        self.tokens[token] = Token(policies=("default", *policies), expires_at=datetime.now(UTC) + lifetime)
        return token

    def new_role(self, *policies: str) -> tuple[str, str]:
        """Return the id and the secret of a fresh AppRole."""
        role, secret = secrets.token_hex(16), secrets.token_hex(16)
        self.roles[role] = (secret, policies)
        return role, secret

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self.requests.append(request)
        if self.is_stalled:
            await asyncio.Event().wait()
        try:
            answer = _answer(200, self._answer(request))
        except Fault as fault:
            answer = _answer(fault.status, {"errors": list(fault.errors)})
        writer.write(_bytes(answer))
        await writer.drain()
        return True

    def _answer(self, request: Request) -> Mapping[str, Any]:
        if self.is_sealed:
            raise Fault(503, "Vault is sealed")
        asked = _asked(request)
        namespace = request.headers.get("x-vault-namespace", "").strip("/")
        if asked.path == "auth/approle/login" and asked.operation == "update":
            return self._login(asked.body)
        if asked.path == "sys/capabilities-self" and asked.operation == "update":
            return {
                **_EMPTY,
                "data": self._capabilities(request.headers.get("x-vault-token", ""), asked.body),
            }
        mount = self._mount(namespace, asked.path)
        engine = self.mounts[mount] if mount is not None else None
        inner = f"{namespace}/{asked.path}".strip("/").removeprefix(f"{mount}/")
        if engine is None or not any(_fits(rule, inner) for rule in engine.unauthenticated):
            token = self._permitted(request.headers.get("x-vault-token", ""), asked)
            if asked.path.startswith("auth/token/"):
                return self._self(asked, token)
        if engine is None:
            raise Fault(404, f'no handler for route "{asked.path}". route entry not found.')
        data = engine.answer(
            Asked(operation=asked.operation, path=inner, params=asked.params, body=asked.body)
        )
        if data is None:
            raise Fault(404)
        return {**_EMPTY, "data": data}

    def _mount(self, namespace: str, path: str) -> str | None:
        full = f"{namespace}/{path}".strip("/")
        return max((each for each in self.mounts if full.startswith(f"{each}/")), key=len, default=None)

    def _login(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        secret, policies = self.roles.get(str(body.get("role_id")), ("", ()))
        if not secret or body.get("secret_id") != secret:
            raise Fault(400, "invalid role or secret ID")
        token = self.new_token(*policies)
        auth = {"client_token": token, "policies": self.tokens[token].policies, "lease_duration": 3600}
        return {**_EMPTY, "auth": auth}

    def _permitted(self, text: str, asked: Asked) -> str:
        granted = self._granted(text, asked.path)
        # Which of both a write needs, depends on what is there; to tell them apart is beside the point here.
        able = {"update", "create"} if asked.operation == "update" else {asked.operation}
        if not able & granted or "deny" in granted:
            raise Fault(403, "1 error occurred:\n\t* permission denied\n\n")
        return text

    def _granted(self, text: str, path: str) -> set[str]:
        token = self.tokens.get(text)
        if token is None or token.expires_at < datetime.now(UTC):
            raise Fault(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        rules = [rule for name in token.policies for rule in self.policies.get(name, {}).items()]
        fitting = [rule for rule in rules if _fits(rule[0], path) or _fits(rule[0], path.rstrip("/"))]
        best = max((_rank(each) for each, _ in fitting), default=None)
        return {each for rule, able in fitting if _rank(rule) == best for each in able}

    def _capabilities(self, token: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        paths: list[str] = body["paths"]
        found = {path: sorted(self._granted(token, path)) or ["deny"] for path in paths}
        return {**found, "capabilities": found[paths[0]]}

    def _self(self, asked: Asked, token: str) -> Mapping[str, Any]:
        if asked.path == "auth/token/revoke-self":
            del self.tokens[token]
            return _EMPTY
        held = self.tokens[token]
        left = held.expires_at - datetime.now(UTC)
        return {**_EMPTY, "data": {"policies": held.policies, "ttl": int(left.total_seconds())}}


_EMPTY: Mapping[str, Any] = {
    "lease_id": "",
    "renewable": False,
    "lease_duration": 0,
    "data": None,
    "auth": None,
}


def _asked(request: Request) -> Asked:
    parts = urlsplit(request.path)
    params = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if not parts.path.startswith("/v1/"):
        raise Fault(404)
    if "x-vault-request" not in request.headers:
        raise Fault(412, "required 'X-Vault-Request' header is missing")
    operations: dict[str, Operation] = {"GET": "read", "LIST": "list", "DELETE": "delete"}
    operation = operations.get(request.method, "update")
    if params.pop("list", "") == "true" and operation == "read":
        operation = "list"
    body = json.loads(request.body) if request.body else {}
    return Asked(operation=operation, path=unquote(parts.path.removeprefix("/v1/")), params=params, body=body)


def _fits(rule: str, path: str) -> bool:
    wanted, given = rule.removesuffix("*").split("/"), path.split("/")
    if not rule.endswith("*"):
        return len(wanted) == len(given) and all(map(_same, wanted, given))
    *whole, last = wanted
    enough = len(given) >= len(wanted)
    return enough and all(map(_same, whole, given)) and given[len(whole)].startswith(last)


def _same(wanted: str, given: str) -> bool:
    return wanted in ("+", given)


def _rank(rule: str) -> tuple[bool, int, int]:
    """Order rules by how specific they are."""
    return (not rule.endswith("*"), -rule.count("+"), len(rule))


def _answer(status: int, told: Mapping[str, Any]) -> Answer:
    body = json.dumps(told).encode()
    return Answer(status=status, headers={"content-type": "application/json"}, body=body)
