"""Google's token endpoint, Certificate Manager and Compute Engine as far as who reads and puts certificates sees them, in memory.

Written from Google's documentation: "Using OAuth 2.0 for Server to Server Applications" (the assertion, its lifetime and
errors), the REST references of Certificate Manager v1 (`projects.locations.certificates.list`, `certificateMaps.list`,
`certificateMapEntries.list`: `pageSize`, `pageToken`, `unreachable`) and Compute Engine v1 (`sslCertificates.aggregatedList`,
`targetHttpsProxies.aggregatedList`, `targetSslProxies.list`, `forwardingRules.aggregatedList`: `maxResults` up to 500), and
"Errors" of the API design guide (`google.rpc.Status`, `ErrorInfo`). Writes are by `certificates.create` (a self-managed
pair that fits; 409 where the name is taken), `certificates.delete` (400 FAILED_PRECONDITION where an entry names it) and
`certificateMapEntries.patch` (`updateMask`; only certificates that are there), each a long-running operation
(`projects.locations.operations`); who has not the right is denied it.
"""

import base64
import json
import re
import ssl
from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from tests.servers.api import Api, Asked, Told

_VERBS = {"POST": "create", "PATCH": "update", "DELETE": "delete"}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PERMISSIONS = frozenset(
    {
        "certificatemanager.certs.list",
        "certificatemanager.certmaps.list",
        "certificatemanager.certmapentries.list",
        "compute.sslCertificates.list",
        "compute.targetHttpsProxies.list",
        "compute.targetSslProxies.list",
        "compute.forwardingRules.list",
    }
)


WRITING = frozenset(
    {
        "certificatemanager.certs.create",
        "certificatemanager.certs.get",
        "certificatemanager.certs.delete",
        "certificatemanager.certmapentries.get",
        "certificatemanager.certmapentries.update",
        "certificatemanager.operations.get",
    }
)
"""What who puts certificates there needs beside."""
_NAMES = {
    "certificates": "certs",
    "certificateMaps": "certmaps",
    "certificateMapEntries": "certmapentries",
    "operations": "operations",
}


class GoogleCloud:
    """One project, and a service account with a key."""

    def __init__(self, *, context: ssl.SSLContext, project: str, key: RSAPrivateKey) -> None:
        self.api = Api(self._answer, context=context)
        self.project = project
        self.email = f"reader@{project}.iam.gserviceaccount.com"
        self.lifetime = 3599
        self.given: set[str] = set()
        self.permissions = set(PERMISSIONS)
        self.unreachable: list[str] = []
        self.writes: list[Asked] = []
        self.objects: dict[str, list[dict[str, Any]]] = {}
        """By collection; those of Compute Engine have a `selfLink`."""
        self.keys: dict[str, str] = {}
        """Private keys by the name of their certificate: they are taken, and never told."""
        self._operations: dict[str, dict[str, Any]] = {}
        self._key = key
        self._key_id = "0123456789abcdef0123456789abcdef01234567"

    @property
    def token_uri(self) -> str:
        """Where tokens are given."""
        return f"{self.api.url}/token"

    def key_file(self, key: RSAPrivateKey | None = None, **changes: str) -> str:
        """Return the service account's key file, or one with another key."""
        pem = (key or self._key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        told = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": self._key_id,
            "private_key": pem,
            "client_email": self.email,
            "client_id": "100000000000000000000",
            "token_uri": self.token_uri,
        }
        return json.dumps(told | changes)

    def put(self, collection: str, **resource: Any) -> None:
        """Make a resource of a collection: `certificates`, `certificateMapEntries`, `sslCertificates` …"""
        self.objects.setdefault(collection, []).append(resource)

    def link(self, name: str) -> str:
        """Return the address of a resource of Compute Engine."""
        return f"https://www.googleapis.com/compute/v1/projects/{self.project}/{name}"

    def expire(self) -> None:
        """Let every token that was given be at its end."""
        self.given.clear()

    def state(self) -> object:
        """Return all resources, and what was asked for beside looking."""
        return json.dumps(self.objects, sort_keys=True), len(self.writes)

    def _answer(self, asked: Asked) -> Told:
        if asked.path == "/token":
            return self._token(asked)
        if asked.bearer not in self.given:
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if asked.method != "GET":
            self.writes.append(asked)
        if asked.path.startswith("/compute/v1/") and asked.method != "GET":
            return _error(403, "PERMISSION_DENIED", "The caller does not have permission")
        if asked.path.startswith("/compute/v1/"):
            return self._compute(asked)
        return self._manager(asked)

    def _token(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        form = asked.form
        is_form = asked.headers.get("content-type") == "application/x-www-form-urlencoded"
        if asked.method != "POST" or not is_form:
            return _refused("invalid_request", "Bad Request")
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return _refused("unsupported_grant_type", "Invalid grant_type")
        try:
            if jwt.get_unverified_header(form.get("assertion", "")).get("kid") != self._key_id:
                return _refused("invalid_grant", "Invalid JWT Signature.")
            claims = jwt.decode(
                form["assertion"],
                self._key.public_key(),
                algorithms=["RS256"],
                audience=self.token_uri,
                issuer=self.email,
                options={"require": ["iss", "scope", "aud", "iat", "exp"]},
            )
        except jwt.InvalidSignatureError:
            return _refused("invalid_grant", "Invalid JWT Signature.")
        except jwt.InvalidTokenError:
            return _refused("invalid_grant", "Invalid JWT: check your iat and exp values in the JWT claim.")
        if claims["scope"] != SCOPE or claims["exp"] - claims["iat"] > 3600:
            return _refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token = "ya29.c." + token_urlsafe(60)
        self.given.add(token)
        return Told(document={"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"})

    def _manager(self, asked: Asked) -> Told:
        parts = asked.path.strip("/").split("/")
        if parts[:3] != ["v1", "projects", self.project] or parts[3:4] != ["locations"]:
            return _error(404, "NOT_FOUND", "Requested entity was not found.")
        location, *rest = parts[4:]
        is_one = len(rest) % 2 == 0
        collection = rest[-2 if is_one else -1] if rest else ""
        permission = _NAMES.get(collection)
        if permission is None:
            return _error(404, "NOT_FOUND", "Requested entity was not found.")
        verb = _VERBS.get(asked.method) or ("get" if is_one else "list")
        wanted = f"certificatemanager.{permission}.{verb}"
        if wanted not in self.permissions:
            return _denied(wanted, f"projects/{self.project}/locations/{location}")
        if asked.method != "GET" or is_one:
            return self._change(asked, "/".join(parts[1:]), collection)
        parent = "/".join(parts[1:-1]).replace("/locations/-", "/locations/")
        found = [each for each in self.objects.get(collection, []) if each["name"].startswith(parent)]
        label, _, value = asked.query.get("filter", "").removeprefix("labels.").partition("=")
        if label:
            found = [each for each in found if each.get("labels", {}).get(label) == value]
        shown, token, error = _page(asked, found, size="pageSize", most=1000)
        if error is not None:
            return error
        told: dict[str, Any] = {collection: shown} if shown else {}
        if token:
            told["nextPageToken"] = token
        if self.unreachable and collection == "certificates":
            told["unreachable"] = self.unreachable
        return Told(document=told)

    def _change(self, asked: Asked, name: str, collection: str) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        """Tell, make, change or remove one object."""
        if asked.method == "POST":
            return self._create(name, asked)
        if collection == "operations":
            # It takes its time: the first look finds it unfinished.
            self._operations[name]["done"] = True
            return Told(document=self._operations[name])
        found = next((each for each in self.objects.get(collection, []) if each["name"] == name), None)
        if found is None:
            return _error(404, "NOT_FOUND", f"Resource '{name}' was not found")
        if asked.method == "GET":
            return Told(document=found)
        entries = self.objects.get("certificateMapEntries", [])
        if asked.method == "DELETE":
            if any(name in each["certificates"] for each in entries):
                return _error(400, "FAILED_PRECONDITION", "can't delete certificate that is referenced")
            self.objects[collection].remove(found)
            return self._operation(name)
        changed = asked.json
        if asked.query.get("updateMask") != "certificates" or not 1 <= len(changed["certificates"]) <= 4:
            return _error(400, "INVALID_ARGUMENT", "updateMask is not supported")
        known = {each["name"] for each in self.objects.get("certificates", [])}
        if not set(changed["certificates"]) <= known:
            return _error(404, "NOT_FOUND", "The certificate was not found")
        found["certificates"] = changed["certificates"]
        return self._operation(name)

    def _create(self, parent: str, asked: Asked) -> Told:
        identifier = asked.query.get("certificateId", "")
        name = f"{parent}/{identifier}"
        if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", identifier):
            return _error(400, "INVALID_ARGUMENT", "certificateId is not valid")
        if any(each["name"] == name for each in self.objects.get("certificates", [])):
            return _error(409, "ALREADY_EXISTS", f"Resource '{name}' already exists")
        pair = asked.json.get("selfManaged", {})
        if not _fit(pair.get("pemCertificate", ""), pair.get("pemPrivateKey", "")):
            return _error(400, "INVALID_ARGUMENT", "The private key does not match the certificate")
        made = {each: asked.json[each] for each in ("description", "labels") if each in asked.json}
        self.put("certificates", name=name, selfManaged={}, pemCertificate=pair["pemCertificate"], **made)
        self.keys[name] = pair["pemPrivateKey"]
        return self._operation(name)

    def _operation(self, target: str) -> Told:
        location = "/".join(target.split("/")[:4])
        name = f"{location}/operations/operation-{len(self._operations) + 1}"
        self._operations[name] = {"name": name, "metadata": {"target": target}, "done": False}
        return Told(document=self._operations[name] | {})

    def presented(self, entry: str) -> tuple[bytes, bytes] | None:
        """Return chain and key of the first certificate that an entry names."""
        for each in self.objects.get("certificateMapEntries", []):
            if each["name"].endswith(f"/{entry}"):
                name = each["certificates"][0]
                held = next(one for one in self.objects["certificates"] if one["name"] == name)
                return held["pemCertificate"].encode(), self.keys[name].encode()
        return None

    def _compute(self, asked: Asked) -> Told:
        parts = asked.path.strip("/").split("/")[2:]
        if parts[:2] != ["projects", self.project] or len(parts) != 4:
            return _compute_error(404, "notFound", "The resource was not found")
        within, collection = parts[2:]
        is_aggregated = within == "aggregated"
        if collection == "targetSslProxies" and is_aggregated:
            return _compute_error(404, "notFound", "The resource was not found")
        wanted = f"compute.{collection}.list"
        if wanted not in PERMISSIONS:
            return _compute_error(404, "notFound", "The resource was not found")
        if wanted not in self.permissions:
            return _compute_error(
                403, "forbidden", f"Required '{wanted}' permission for 'projects/{self.project}'"
            )
        shown, token, error = _page(asked, self.objects.get(collection, []), size="maxResults", most=500)
        if error is not None:
            return error
        told: dict[str, Any] = {
            "kind": f"compute#{collection}List",
            "id": f"projects/{self.project}/{within}",
        }
        told["items"] = _by_scope(shown, collection) if is_aggregated else shown
        return Told(document=told | ({"nextPageToken": token} if token else {}))


def _fit(certificate: str, key: str) -> bool:
    try:
        leaf = load_pem_x509_certificates(certificate.encode())[0]
        return bool(load_pem_private_key(key.encode(), None).public_key() == leaf.public_key())
    except ValueError:
        return False


def _by_scope(shown: Sequence[dict[str, Any]], collection: str) -> dict[str, Any]:
    empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope."}}
    scopes: dict[str, Any] = {"global": dict(empty), "regions/europe-west1": dict(empty)}
    for each in shown:
        scope = "regions/europe-west1" if "/regions/" in each["selfLink"] else "global"
        scopes[scope].pop("warning", None)
        scopes[scope].setdefault(collection, []).append(each)
    return scopes


def _page(
    asked: Asked, found: Sequence[dict[str, Any]], *, size: str, most: int
) -> tuple[list[dict[str, Any]], str | None, Told | None]:
    limit = int(asked.query.get(size, "100"))
    if not 0 < limit <= most:
        return [], None, _error(400, "INVALID_ARGUMENT", f"{size} is out of range")
    try:
        start = int(base64.urlsafe_b64decode(asked.query.get("pageToken", "MA=="))[:9])
    except ValueError:
        return [], None, _error(400, "INVALID_ARGUMENT", "The page token is not valid.")
    end = start + limit
    token = quote(base64.urlsafe_b64encode(str(end).encode()).decode(), safe="=")
    return list(found[start:end]), token if end < len(found) else None, None


def _error(code: int, status: str, message: str, **details: Any) -> Told:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return Told(status=code, document={"error": error | details})


def _denied(permission: str, resource: str) -> Told:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "IAM_PERMISSION_DENIED",
        "domain": "certificatemanager.googleapis.com",
        "metadata": {"permission": permission, "resource": resource},
    }
    message = f"Permission '{permission}' denied on resource '//certificatemanager.googleapis.com/{resource}' (or it may not exist)."
    return _error(403, "PERMISSION_DENIED", message, details=[info])


def _compute_error(code: int, reason: str, message: str) -> Told:
    return _error(code, "", message, errors=[{"message": message, "domain": "global", "reason": reason}])


def _refused(error: str, description: str) -> Told:
    return Told(status=400, document={"error": error, "error_description": description})
