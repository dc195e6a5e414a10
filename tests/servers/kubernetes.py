"""A cluster's API server as far as who reads and writes certificates sees it, in memory.

Written from the Kubernetes documentation: "API concepts" (lists and `resourceVersion`; chunks by `limit` and
`continue`, 410 with a token to go on with; field selectors; watches, their bookmarks and their end by `timeoutSeconds`), "API conventions" (`Status`, list metadata),
"Using RBAC authorization" (roles, and the words of a denial), "Authenticating" (bearer tokens, client certificates'
common names), and the references of core/v1, networking.k8s.io/v1, gateway.networking.k8s.io and cert-manager.io/v1.
As the real one it authenticates first, authorises then, and looks only then whether it has what is asked for.
Writes are by the same documents: "API concepts" (409 where `resourceVersion` is not the present one, `dryRun=All`, the
preconditions of a deletion), "Secrets" (a kubernetes.io/tls secret needs `tls.crt` and `tls.key`, the type of a secret
and an immutable one cannot be changed), and label selectors by equality. Who has no role that writes is denied it.
"""

import base64
import json
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.servers.api import Api, Asked, Told

DISCOVERY = ("/api", "/apis", "/version", "/openapi")
_VERSIONS = {
    "": ("v1",),
    "networking.k8s.io": ("v1",),
    "gateway.networking.k8s.io": ("v1", "v1beta1"),
    "cert-manager.io": ("v1",),
}
_KINDS = {
    ("", "secrets"): "Secret",
    ("", "namespaces"): "Namespace",
    ("networking.k8s.io", "ingresses"): "Ingress",
    ("gateway.networking.k8s.io", "gateways"): "Gateway",
    ("gateway.networking.k8s.io", "referencegrants"): "ReferenceGrant",
    ("cert-manager.io", "certificates"): "Certificate",
    ("cert-manager.io", "certificaterequests"): "CertificateRequest",
}
_VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete", "PATCH": "patch"}
_OF_EVERY_OBJECT = ("apiVersion", "kind", "metadata")
_MOST_RECENT = -1
"""The version in a token that goes on with what is there now."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a user may do; None for the namespace means everywhere, as by a ClusterRoleBinding."""

    user: str
    group: str
    resource: str
    verbs: frozenset[str] = frozenset({"get", "list", "watch"})
    namespace: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What a path asks for."""

    group: str
    version: str
    resource: str
    namespace: str | None
    name: str | None


@dataclass(kw_only=True)
class _Store:
    """All objects, by group and resource and then by `NAMESPACE/NAME`, and what lists still see of the past."""

    objects: dict[tuple[str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    version: int = 1
    snapshots: dict[tuple[int, str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    events: list["_Event"] = field(default_factory=list)
    oldest: int = 0
    """What came before this version is forgotten."""


@dataclass(frozen=True, kw_only=True)
class _Event:
    """What watches are told of."""

    version: int
    type: str
    kind: tuple[str, str]
    """Group and resource."""
    object: dict[str, Any]


class KubernetesApi:
    """A cluster. `tokens` says who a bearer token is, `rules` what each may do."""

    def __init__(self, *, context: ssl.SSLContext) -> None:
        self.api = Api(self._answer, context=context)
        self.tokens: dict[str, str] = {}
        self.rules: list[Rule] = []
        self.crds = {"gateway.networking.k8s.io", "cert-manager.io"}
        self.gateway_versions: tuple[str, ...] = ("v1", "v1beta1")
        self.gives_token_when_expired = True
        self.refuses_old_watches_at_once = False
        """Says 410 as the status of its answer, and not in an event."""
        self.watch_seconds: float | None = None
        """After which it ends every watch, whatever was asked for."""
        self.writes: list[Asked] = []
        self._store = _Store()
        self._bookmarks = 0

    def allow(self, user: str, *resources: str, namespace: str | None = None) -> None:
        """Let a user get and list these, written as `kubectl` does: `certificates.cert-manager.io`."""
        for each in resources:
            resource, _, group = each.partition(".")
            self.rules.append(Rule(user=user, group=group, resource=resource, namespace=namespace))

    def allow_writing(self, user: str, *resources: str, namespace: str | None = None) -> None:
        """Let a user make, change and remove these, too."""
        verbs = frozenset({"get", "list", "watch", "create", "update", "delete"})
        for each in resources:
            resource, _, group = each.partition(".")
            self.rules.append(
                Rule(user=user, group=group, resource=resource, namespace=namespace, verbs=verbs)
            )

    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object."""
        plural, _, group = resource.partition(".")
        return self._store.objects.get((group, plural), {}).get(f"{namespace}/{name}")

    def forbid_watching(self, user: str) -> None:
        """Take the verb `watch` from a user."""
        self.rules = [
            replace(rule, verbs=rule.verbs - {"watch"}) if rule.user == user else rule for rule in self.rules
        ]

    def deny(self, user: str, resource: str, *, namespace: str | None = None) -> None:
        """Take the rules for a resource from a user."""
        name, _, group = resource.partition(".")
        self.rules = [
            rule
            for rule in self.rules
            if (rule.user, rule.resource, rule.group, rule.namespace) != (user, name, group, namespace)
        ]

    def put(self, resource: str, namespace: str, name: str, **content: Any) -> None:
        """Make or replace an object."""
        plural, _, group = resource.partition(".")
        self._store.version += 1
        is_new = f"{namespace}/{name}" not in self._store.objects.get((group, plural), {})
        annotations = content.pop("annotations", None)
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"00000000-0000-4000-8000-{self._store.version:012}",
            "resourceVersion": str(self._store.version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        } | ({"annotations": annotations} if annotations else {})
        objects = self._store.objects.setdefault((group, plural), {})
        objects[f"{namespace}/{name}"] = {"metadata": metadata, **content}
        self._tell("ADDED" if is_new else "MODIFIED", (group, plural), objects[f"{namespace}/{name}"])

    def remove(self, resource: str, namespace: str, name: str) -> None:
        """Delete an object."""
        plural, _, group = resource.partition(".")
        self._store.version += 1
        gone = self._store.objects[group, plural].pop(f"{namespace}/{name}")
        metadata = gone["metadata"] | {"resourceVersion": str(self._store.version)}
        self._tell("DELETED", (group, plural), gone | {"metadata": metadata})

    def _tell(self, what: str, kind: tuple[str, str], told: dict[str, Any]) -> None:
        self._store.events.append(_Event(version=self._store.version, type=what, kind=kind, object=told))

    def objects(self, resource: str) -> list[dict[str, Any]]:
        """Return all objects of a resource."""
        plural, _, group = resource.partition(".")
        return list(self._store.objects.get((group, plural), {}).values())

    def compact(self) -> None:
        """Forget the past: every continue token has expired, and so has every older version for a watch."""
        self._store.snapshots.clear()
        self._store.events.clear()
        self._store.version += 1
        self._store.oldest = self._store.version

    def bookmark(self) -> None:
        """Tell every watch that asked for bookmarks how far it has come."""
        self._bookmarks += 1

    def state(self) -> object:
        """Return all objects, and what was asked for beside looking."""
        return json.dumps([self._store.version, sorted(map(str, self._store.objects.items()))]), len(
            self.writes
        )

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - the steps of the real one, in its order
        user = self.tokens.get(asked.bearer) if asked.bearer else asked.common_name
        if user is None:
            return _status(401, "Unauthorized", "Unauthorized")
        if asked.method != "GET":
            self.writes.append(asked)
        if (
            asked.method == "GET"
            and asked.path.startswith(DISCOVERY)
            and (found := self._discovery(asked.path)) is not None
        ):
            return found
        call = _call(asked.path)
        if call is None:
            return _status(403, "Forbidden", f'forbidden: User "{user}" cannot get path "{asked.path}"')
        is_watch = asked.query.get("watch") in ("1", "true") and not call.name
        verb = _VERBS.get(asked.method) or ("watch" if is_watch else "get" if call.name else "list")
        if not self._is_allowed(user, verb, call):
            return _denied(user, verb, call)
        if not self._has(call):
            return _status(404, "NotFound", "the server could not find the requested resource")
        if asked.method != "GET":
            return self._write(call, asked)
        if is_watch:
            return self._watch(call, asked)
        return self._one(call) if call.name else self._list(call, asked)

    def _write(self, call: _Call, asked: Asked) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        document = asked.json
        name = call.name or document.get("metadata", {}).get("name", "")
        objects = self._store.objects.get((call.group, call.resource), {})
        present = objects.get(f"{call.namespace}/{name}")
        if asked.method == "POST" and present is not None:
            return _status(409, "AlreadyExists", f'{call.resource} "{name}" already exists')
        if asked.method != "POST" and present is None:
            return _status(404, "NotFound", f'{call.resource} "{name}" not found')
        if asked.method == "DELETE":
            return self._delete(call, name, document.get("preconditions") or {}, present or {})
        if present is not None and (error := _unchangeable(call, name, present, document)) is not None:
            return error
        if call.resource == "secrets" and (error := _invalid_secret(name, document)) is not None:
            return error
        if asked.query.get("dryRun") == "All":
            return Told(document=self._typed(call) | document)
        content = {each: document[each] for each in document if each not in _OF_EVERY_OBJECT}
        metadata = document.get("metadata", {})
        kind = f"{call.resource}.{call.group}" if call.group else call.resource
        self.put(kind, call.namespace or "", name, **content, annotations=metadata.get("annotations"))
        made = self._store.objects[call.group, call.resource][f"{call.namespace}/{name}"]
        if metadata.get("labels"):
            made["metadata"]["labels"] = metadata["labels"]
        return Told(status=201 if asked.method == "POST" else 200, document=self._typed(call) | made)

    def _delete(self, call: _Call, name: str, preconditions: dict[str, str], present: dict[str, Any]) -> Told:
        for member, wanted in preconditions.items():
            if present["metadata"][member] != wanted:
                return _status(409, "Conflict", f"the {member} in the precondition does not match")
        self.remove(
            f"{call.resource}.{call.group}" if call.group else call.resource, call.namespace or "", name
        )
        return Told(document=_status(200, "", "").document | {"status": "Success"})

    def _watch(self, call: _Call, asked: Asked) -> Told:
        start = int(asked.query.get("resourceVersion") or 0)
        if start < self._store.oldest and self.refuses_old_watches_at_once:
            return _status(410, "Expired", f"too old resource version: {start}")
        return Told(stream=self._events(call, asked, start=start))

    def _events(self, call: _Call, asked: Asked, *, start: int) -> Iterator[bytes]:
        # Those since a version; of version 0, all that is there, as if it came now.
        if start == 0:
            start = self._store.version
            for each in self._chosen(call, asked, self._store.objects.get((call.group, call.resource), {})):
                yield _line("ADDED", self._typed(call) | each)
        elif start < self._store.oldest:
            document = _status(410, "Expired", f"too old resource version: {start}").document
            yield _line("ERROR", document)
            return
        seconds = self.watch_seconds or float(asked.query.get("timeoutSeconds") or 3600)
        deadline, bookmarks, seen = time.monotonic() + seconds, self._bookmarks, start
        wants_bookmarks = asked.query.get("allowWatchBookmarks") in ("1", "true")
        while time.monotonic() < deadline and not self.api.is_stopped.is_set():
            for event in [each for each in self._store.events if each.version > seen]:
                seen = event.version
                if event.kind == (call.group, call.resource) and self._chosen(
                    call, asked, {"": event.object}
                ):
                    yield _line(event.type, self._typed(call) | event.object)
            if wants_bookmarks and bookmarks != self._bookmarks:
                bookmarks = self._bookmarks
                yield self._bookmark(call, seen)
            time.sleep(0.02)
        if wants_bookmarks:
            yield self._bookmark(call, seen)

    def _bookmark(self, call: _Call, seen: int) -> bytes:
        metadata = {"resourceVersion": str(max(seen, self._store.version)), "creationTimestamp": None}
        return _line("BOOKMARK", self._typed(call) | {"metadata": metadata})

    @staticmethod
    def _chosen(call: _Call, asked: Asked, objects: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        chosen, _ = _selected(objects, call, asked.query.get("fieldSelector"))
        return list(chosen.values())

    def _is_allowed(self, user: str, verb: str, call: _Call) -> bool:
        return any(
            (rule.user, rule.group, rule.resource) == (user, call.group, call.resource)
            and verb in rule.verbs
            and rule.namespace in (None, call.namespace)
            for rule in self.rules
        )

    def _versions(self, group: str) -> tuple[str, ...]:
        return self.gateway_versions if group == "gateway.networking.k8s.io" else _VERSIONS[group]

    def _groups(self) -> Iterable[str]:
        return ("networking.k8s.io", *sorted(self.crds))

    def _has(self, call: _Call) -> bool:
        if call.group and call.group not in self._groups():
            return False
        return (call.group, call.resource) in _KINDS and call.version in self._versions(call.group)

    def _one(self, call: _Call) -> Told:
        found = self._store.objects.get((call.group, call.resource), {}).get(f"{call.namespace}/{call.name}")
        if found is None:
            return _status(404, "NotFound", f'{call.resource} "{call.name}" not found')
        return Told(document=self._typed(call) | found)

    def _typed(self, call: _Call) -> dict[str, str]:
        version = f"{call.group}/{call.version}" if call.group else call.version
        return {"kind": _KINDS[call.group, call.resource], "apiVersion": version}

    def _list(self, call: _Call, asked: Asked) -> Told:
        limit = int(asked.query.get("limit") or 0)
        if (token := asked.query.get("continue")) and not limit:
            return _status(400, "BadRequest", "limit is required where continue is given")
        version, start = _read_token(token) if token else (self._store.version, "")
        if version is None:
            return _status(400, "BadRequest", "continue key is not valid")
        objects = self._objects_at(version, call, is_first=token is None)
        if objects is None:
            return self._expired(start)
        chosen, error = _selected(objects, call, asked.query.get("fieldSelector"))
        if error is not None:
            return error
        label, _, value = asked.query.get("labelSelector", "").partition("=")
        if label:
            chosen = {
                name: each
                for name, each in chosen.items()
                if each["metadata"].get("labels", {}).get(label) == value
            }
        names = sorted(name for name in chosen if name > start)
        shown = names[:limit] if limit else names
        metadata: dict[str, Any] = {"resourceVersion": str(max(version, 1))}
        if len(shown) < len(names):
            metadata["continue"] = _token(version, shown[-1])
            if not asked.query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(names) - len(shown)
        # Objects of CustomResourceDefinitions say their kind in lists, the others do not.
        typed = self._typed(call) if call.group in self.crds else {}
        items = [typed | chosen[name] for name in shown]
        listed = self._typed(call) | {"kind": _KINDS[call.group, call.resource] + "List"}
        return Told(document=listed | {"metadata": metadata, "items": items})

    def _objects_at(self, version: int, call: _Call, *, is_first: bool) -> dict[str, dict[str, Any]] | None:
        key = (version, call.group, call.resource)
        if is_first:
            self._store.snapshots[key] = dict(self._store.objects.get((call.group, call.resource), {}))
        if version == _MOST_RECENT:
            return self._store.objects.get((call.group, call.resource), {})
        return self._store.snapshots.get(key)

    def _expired(self, start: str) -> Told:
        told = _status(
            410, "Expired", "The provided continue parameter is too old to display a consistent list result."
        )
        if self.gives_token_when_expired:
            told.document["metadata"]["continue"] = _token(_MOST_RECENT, start)
        return told

    def _discovery(self, path: str) -> Told | None:
        if path == "/version":
            return Told(document={"major": "1", "minor": "31", "gitVersion": "v1.31.0"})
        if path == "/api":
            return Told(document={"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            groups = [_group(each, self._versions(each)) for each in self._groups()]
            return Told(document={"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        for group in ("", *self._groups()):
            for version in self._versions(group):
                if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
                    return Told(document=_resources(group, version))
        return None


def _unchangeable(call: _Call, name: str, present: dict[str, Any], document: dict[str, Any]) -> Told | None:
    version = document.get("metadata", {}).get("resourceVersion")
    if version not in (None, present["metadata"]["resourceVersion"]):
        text = f'Operation cannot be fulfilled on {call.resource} "{name}": the object has been modified'
        return _status(409, "Conflict", text)
    if call.resource != "secrets":
        return None
    if present.get("immutable"):
        text = f'Secret "{name}" is invalid: data: Forbidden: field is immutable when `immutable` is set'
        return _status(422, "Invalid", text)
    if document.get("type") != present.get("type"):
        return _status(422, "Invalid", f'Secret "{name}" is invalid: type: field is immutable')
    return None


def _invalid_secret(name: str, document: dict[str, Any]) -> Told | None:
    data = document.get("data") or {}
    if document.get("type") == "kubernetes.io/tls" and not {"tls.crt", "tls.key"} <= data.keys():
        return _status(422, "Invalid", f'Secret "{name}" is invalid: data: Required value')
    try:
        for value in data.values():
            base64.b64decode(value, validate=True)
    except ValueError:
        return _status(400, "BadRequest", "illegal base64 data at input byte 0")
    return None


def _line(what: str, told: dict[str, Any]) -> bytes:
    return json.dumps({"type": what, "object": told}).encode() + b"\n"


def _call(path: str) -> _Call | None:
    """Read a path: /api/v1/… or /apis/GROUP/VERSION/…, with or without namespaces/NAMESPACE before the resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, rest = "", parts[1:]
    elif parts[0] == "apis" and len(parts) > 1:
        group, rest = parts[1], parts[2:]
    else:
        return None
    if len(rest) < 2:
        return None
    version, *within = rest
    namespace = None
    if within[0] == "namespaces" and len(within) > 2:
        namespace, within = within[1], within[2:]
    name = within[1] if len(within) > 1 else None
    return _Call(group=group, version=version, resource=within[0], namespace=namespace, name=name)


def _selected(
    objects: dict[str, dict[str, Any]], call: _Call, selector: str | None
) -> tuple[dict[str, dict[str, Any]], Told | None]:
    chosen = {
        name: each
        for name, each in objects.items()
        if call.namespace in (None, each["metadata"]["namespace"])
    }
    if not selector:
        return chosen, None
    label, _, value = selector.partition("=")
    known = {"metadata.name", "metadata.namespace"} | ({"type"} if call.resource == "secrets" else set())
    if label not in known:
        return {}, _status(400, "BadRequest", f'field label not supported: "{label}"')
    if label == "type":
        return {name: each for name, each in chosen.items() if each.get("type") == value}, None
    field_name = label.split(".")[1]
    return {name: each for name, each in chosen.items() if each["metadata"][field_name] == value}, None


def _token(version: int, start: str) -> str:
    told = {"v": "meta.k8s.io/v1", "rv": version, "start": start + "\u0000"}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int | None, str]:
    try:
        told = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(told["rv"]), str(told["start"]).rstrip("\u0000")
    except (ValueError, KeyError, TypeError):
        return None, ""


def _status(code: int, reason: str, message: str, **details: str) -> Told:
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return Told(status=code, document=document | ({"details": details} if details else {}))


def _denied(user: str, verb: str, call: _Call) -> Told:
    full = f"{call.resource}.{call.group}" if call.group else call.resource
    named = f' "{call.name}"' if call.name else ""
    where = f'in the namespace "{call.namespace}"' if call.namespace else "at the cluster scope"
    message = (
        f'{full}{named} is forbidden: User "{user}" cannot {verb} resource "{call.resource}" '
        f'in API group "{call.group}" {where}'
    )
    return _status(403, "Forbidden", message, kind=call.resource, group=call.group)


def _group(name: str, versions: tuple[str, ...]) -> dict[str, Any]:
    said = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": said, "preferredVersion": said[0]}


def _resources(group: str, version: str) -> dict[str, Any]:
    named = [
        {
            "name": resource,
            "singularName": kind.lower(),
            "namespaced": resource != "namespaces",
            "kind": kind,
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }
        for (of, resource), kind in _KINDS.items()
        if of == group
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": named,
    }
