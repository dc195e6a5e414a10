"""Azure Key Vault and Microsoft Entra ID as far as who reads and imports certificates sees them, in memory.

Written from Microsoft's documentation: "Get Certificates", "Get Certificate" and "Get Certificate Versions" of the Key Vault
REST API 7.4 (shapes, `maxresults` up to 25, `nextLink`), "Azure Key Vault REST API Error Codes" (401 and its
challenge, the inner codes of 403), "Authentication, requests and responses" (`WWW-Authenticate`), "OAuth 2.0 client
credentials flow" and "Application authentication certificate credentials" (forms, assertion, `AADSTS` errors).
"Import Certificate" (a PEM text or a PKCS#12 file in base64, as its policy's content type says, with the private key of
its leaf; a new version each time; 409 where the name is deleted and not purged) and "Delete Certificate". Who has not
the right to import is denied it.
"""

import base64
import json
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from tests.servers.api import Api, Asked, Told
from tests.servers.tls import Issued

VERSIONS = ("7.3", "7.4", "7.5", "7.6")
RESOURCE = "https://localhost"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(kw_only=True)
class _Kept:
    """One version of a certificate."""

    version: str
    issued: Issued
    content_type: str = "application/x-pkcs12"
    enabled: bool = True


@dataclass(kw_only=True)
class _Rights:
    """What the application may do, and where it may not."""

    may_list: bool = True
    may_write: bool = False
    denied: set[str] = field(default_factory=set)
    code: str = "ForbiddenByRbac"
    is_behind_firewall: bool = False


class EntraId:
    """Gives tokens to one application of one tenant."""

    def __init__(self, *, context: ssl.SSLContext, tenant: str, client_id: str) -> None:
        self.api = Api(self._answer, context=context)
        self.tenant = tenant
        self.client_id = client_id
        self.secret = "8Q~" + token_urlsafe(24)
        self.certificate: x509.Certificate | None = None
        self.lifetime = 3599
        self.given: set[str] = set()
        self.scope = f"{RESOURCE}/.default"

    def expire(self) -> None:
        """Let every token that was given be at its end."""
        self.given.clear()

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        if asked.path != f"/{self.tenant}/oauth2/v2.0/token":
            return _refused(400, "invalid_request", "AADSTS90002: Tenant not found.")
        is_form = asked.headers.get("content-type") == "application/x-www-form-urlencoded"
        if asked.method != "POST" or not is_form:
            return _refused(400, "invalid_request", "AADSTS900561: The endpoint only accepts POST requests.")
        form = asked.form
        if form.get("grant_type") != "client_credentials":
            return _refused(
                400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type."
            )
        if form.get("client_id") != self.client_id:
            return _refused(
                400, "unauthorized_client", "AADSTS700016: Application was not found in the directory."
            )
        if form.get("scope") != self.scope:
            return _refused(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
        if not self._is_known(form):
            return _refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = "eyJ0eXAiOiJKV1Qi." + token_urlsafe(60)
        self.given.add(token)
        return Told(document={"token_type": "Bearer", "expires_in": self.lifetime, "access_token": token})

    def _is_known(self, form: dict[str, str]) -> bool:
        if "client_secret" in form:
            return form["client_secret"] == self.secret
        if self.certificate is None or form.get("client_assertion_type") != _ASSERTION:
            return False
        der = self.certificate.public_bytes(Encoding.DER)
        thumbprint = base64.urlsafe_b64encode(sha256(der).digest()).decode().rstrip("=")
        assertion = form.get("client_assertion", "")
        try:
            if jwt.get_unverified_header(assertion).get("x5t#S256") != thumbprint:
                return False
            jwt.decode(
                assertion,
                self.certificate.public_key(),  # type: ignore[arg-type]  # an RSA key, as the test made it
                algorithms=["PS256"],
                audience=f"{self.api.url}/{self.tenant}/oauth2/v2.0/token",
                issuer=self.client_id,
                subject=self.client_id,
                options={"require": ["exp", "nbf", "jti", "iss", "sub", "aud"]},
            )
        except jwt.InvalidTokenError:
            return False
        return True


class KeyVault:
    """A vault that takes the tokens of one Entra ID."""

    def __init__(self, entra: EntraId, *, context: ssl.SSLContext) -> None:
        self.api = Api(self._answer, context=context)
        self.resource = RESOURCE
        self.rights = _Rights()
        self.writes: list[Asked] = []
        self._entra = entra
        self._kept: dict[str, list[_Kept]] = {}
        self.deleted: set[str] = set()
        """Names that are kept for a while after they were deleted."""

    def put(self, name: str, issued: Issued) -> str:
        """Keep a certificate as the current version of this name; return the version."""
        kept = _Kept(version=token_hex(16), issued=issued)
        self._kept.setdefault(name, []).append(kept)
        return kept.version

    def current(self, name: str) -> Issued | None:
        """Return the newest version, which everybody uses."""
        kept = self._kept.get(name)
        return kept[-1].issued if kept else None

    def disable(self, name: str) -> None:
        """Disable the current version."""
        self._kept[name][-1].enabled = False

    def state(self) -> object:
        """Return all that is kept, and what was asked for beside looking."""
        kept = {name: [(each.version, each.enabled) for each in of] for name, of in self._kept.items()}
        return json.dumps(kept, sort_keys=True), len(self.writes)

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - the steps of the real one, in its order
        if self.rights.is_behind_firewall:
            return _error(
                403,
                "Forbidden",
                "Client address is not authorized and caller is not a trusted service.",
                inner="ForbiddenByFirewall",
            )
        if asked.bearer not in self._entra.given:
            return self._challenge(asked)
        if asked.method != "GET":
            self.writes.append(asked)
        if asked.query.get("api-version") not in VERSIONS:
            return _error(400, "BadParameter", "The specified version is not recognized.")
        parts = asked.path.strip("/").split("/")
        if asked.method != "GET":
            return self._write(asked, parts)
        if parts[0] != "certificates":
            return _error(
                403,
                "Forbidden",
                "Caller is not authorized to perform action on resource.",
                inner=self.rights.code,
            )
        if len(parts) == 1:
            return self._list(asked, sorted(self._kept), "/certificates")
        if len(parts) == 3 and parts[2] == "versions":
            return self._list(
                asked, [f"{parts[1]}/{each.version}" for each in self._kept.get(parts[1], [])], asked.path
            )
        return self._one(parts[1], parts[2] if len(parts) > 2 else None)

    def _write(self, asked: Asked, parts: list[str]) -> Told:  # noqa: PLR0911 - one for each reason to refuse
        is_import = asked.method == "POST" and len(parts) == 3 and parts[2] == "import"
        if parts[0] != "certificates" or not (is_import or (asked.method == "DELETE" and len(parts) == 2)):
            return _error(405, "MethodNotAllowed", "The method is not allowed.")
        if not self.rights.may_write:
            verb = "import" if is_import else "delete"
            return self._denied(f"certificates/{verb}", f"Microsoft.KeyVault/vaults/certificates/{verb}")
        name = parts[1]
        if not is_import:
            if self._kept.pop(name, None) is None:
                return _error(
                    404, "CertificateNotFound", f"A certificate with (name/id) {name} was not found."
                )
            self.deleted.add(name)
            return Told(document={"recoveryId": f"{self.api.url}/deletedcertificates/{name}"})
        if name in self.deleted:
            text = f"Certificate {name} is currently in a deleted but recoverable state."
            return _error(409, "Conflict", text, inner="ObjectIsDeletedButRecoverable")
        kind = asked.json.get("policy", {}).get("secret_props", {}).get("contentType", "application/x-pkcs12")
        issued = _imported(str(asked.json.get("value", "")), kind)
        if issued is None:
            return _error(
                400, "BadParameter", "The specified PEM X.509 certificate content is in an unexpected format."
            )
        kept = _Kept(version=token_hex(16), issued=issued, content_type=kind)
        self._kept.setdefault(name, []).append(kept)
        return self._one(name, kept.version)

    def _challenge(self, asked: Asked) -> Told:
        error = ', error="invalid_token", error_description="The token is expired."' if asked.bearer else ""
        authority = f"{self._entra.api.url}/{self._entra.tenant}"
        header = f'Bearer authorization="{authority}", resource="{self.resource}"{error}'
        told = _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        return Told(status=401, document=told.document, headers={"WWW-Authenticate": header})

    def _list(self, asked: Asked, names: list[str], path: str) -> Told:
        if not self.rights.may_list:
            return self._denied("certificates/list", "Microsoft.KeyVault/vaults/certificates/read")
        most = int(asked.query.get("maxresults", "25"))
        if not 1 <= most <= 25:
            return _error(400, "BadParameter", "maxresults must be between 1 and 25.")
        start = _read_marker(asked.query.get("$skiptoken"))
        if start is None:
            return _error(400, "BadParameter", "The skiptoken is not valid.")
        shown = names[start : start + most]
        marker = base64.b64encode(json.dumps({"NextMarker": start + most}).encode()).decode()
        link = f"{self.api.url}{path}?api-version={asked.query['api-version']}&$skiptoken={marker}&maxresults={most}"
        is_last = start + most >= len(names)
        return Told(
            document={"value": [self._item(name) for name in shown], "nextLink": None if is_last else link}
        )

    def _item(self, name: str) -> dict[str, Any]:
        of, _, version = name.partition("/")
        kept = next((each for each in self._kept[of] if each.version == version), self._kept[of][-1])
        thumbprint = (
            base64.urlsafe_b64encode(bytes.fromhex(kept.issued.fingerprint)[:20]).decode().rstrip("=")
        )
        return {
            "id": f"{self.api.url}/certificates/{name}",
            "x5t": thumbprint,
            "subject": "",
            "attributes": _attributes(kept),
        }

    def _one(self, name: str, version: str | None) -> Told:
        if name in self.rights.denied:
            return self._denied("certificates/get", "Microsoft.KeyVault/vaults/certificates/read")
        versions = self._kept.get(name, [])
        kept = next((each for each in reversed(versions) if version in (None, each.version)), None)
        if kept is None:
            return _error(
                404,
                "CertificateNotFound",
                f"A certificate with (name/id) {name} was not found in this key vault.",
            )
        ids = {
            short: f"{self.api.url}/{kind}/{name}/{kept.version}"
            for short, kind in (("id", "certificates"), ("kid", "keys"), ("sid", "secrets"))
        }
        der = kept.issued.certificate.public_bytes(Encoding.DER)
        policy = {
            "id": f"{self.api.url}/certificates/{name}/policy",
            "key_props": {"exportable": True, "kty": "EC", "crv": "P-256", "reuse_key": False},
            "secret_props": {"contentType": kept.content_type},
            "issuer": {"name": "Unknown"},
        }
        return Told(
            document={
                **self._item(name),
                **ids,
                "cer": base64.b64encode(der).decode(),
                "policy": policy,
                "attributes": _attributes(kept),
            }
        )

    def _denied(self, permission: str, action: str) -> Told:
        if self.rights.code == "ForbiddenByPolicy":
            text = f"The user, group or application does not have {permission.replace('/', ' ')} permission on key vault."
        else:
            text = f"Caller is not authorized to perform action on resource. Action: '{action}'."
        return _error(403, "Forbidden", text, inner=self.rights.code)


def _imported(value: str, content_type: str) -> Issued | None:
    """Return what is imported, where key and certificate go together."""
    try:
        if content_type == "application/x-pem-file":
            key = load_pem_private_key(value.encode(), None)
            leaf, *issuers = x509.load_pem_x509_certificates(value.encode())
        else:
            loaded = load_pkcs12(base64.b64decode(value, validate=True), None)
            if loaded.key is None or loaded.cert is None:
                return None
            key, leaf = loaded.key, loaded.cert.certificate
            issuers = [each.certificate for each in loaded.additional_certs]
    except ValueError:
        return None
    if key.public_key() != leaf.public_key():
        return None
    return Issued(certificate=leaf, key=key, issuers=tuple(issuers))  # type: ignore[arg-type]  # an EC or RSA key


def _attributes(kept: _Kept) -> dict[str, Any]:
    leaf = kept.issued.certificate
    created = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    return {
        "enabled": kept.enabled,
        "nbf": int(leaf.not_valid_before_utc.timestamp()),
        "exp": int(leaf.not_valid_after_utc.timestamp()),
        "created": created,
        "updated": created,
        "recoveryLevel": "Recoverable+Purgeable",
    }


def _read_marker(token: str | None) -> int | None:
    if token is None:
        return 0
    try:
        return int(json.loads(base64.b64decode(token, validate=True))["NextMarker"])
    except (ValueError, KeyError, TypeError):
        return None


def _error(status: int, code: str, message: str, *, inner: str | None = None) -> Told:
    error: dict[str, Any] = {"code": code, "message": message}
    return Told(status=status, document={"error": error | ({"innererror": {"code": inner}} if inner else {})})


def _refused(status: int, error: str, description: str) -> Told:
    document = {
        "error": error,
        "error_description": description,
        "error_codes": [int(description[6:].split(":", maxsplit=1)[0])],
    }
    return Told(status=status, document=document)
