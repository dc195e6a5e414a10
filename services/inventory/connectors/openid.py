"""Talks to the OpenID provider that people sign in at: authorisation code with PKCE, nothing else.

Follows OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 and the practice of RFC 9700. Whatever
address it goes to is the provider's word, so all of it is asked by the guarded client.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import httpx
import jwt

from services.inventory.domain.sign_in import challenge, is_allowed, refused, spoken
from shared.errors import Refused, Unavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Public keys only: with `none` or a shared secret anybody could sign (RFC 8725 §3.1)."""
METADATA_FOR = 3600.0
KEYS_EVERY = 10.0
MOST_BYTES = 1_000_000
LEEWAY = 60
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, kw_only=True)
class Client:
    """What the provider knows us as."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scopes: str


class OpenIdProvider:
    """One provider. Its metadata is kept for an hour, its keys until one is asked for that is not among them."""

    def __init__(self, us: Client, http: httpx.AsyncClient) -> None:
        self.us = us
        self._http = http
        self._metadata: Mapping[str, Any] = {}
        self._metadata_until = 0.0
        self._keys: list[Mapping[str, Any]] = []
        self._keys_after = 0.0
        self._one_at_a_time = anyio.Lock()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def names_issuer(self) -> bool:
        """Return whether it promises to say who it is in its answers (RFC 9207)."""
        metadata = await self._known()
        return metadata.get("authorization_response_iss_parameter_supported") is True

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Return where to send a browser. Raises `Unavailable` or `Refused`."""
        metadata = await self._known()
        methods = metadata.get("code_challenge_methods_supported", [])
        if not is_allowed("S256", methods):
            raise _wrong("does not support PKCE with S256")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.us.client_id,
                "redirect_uri": self.us.redirect_uri,
                "scope": self.us.scopes,
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge(verifier),
                "code_challenge_method": "S256",
            }
        )
        endpoint = _https(metadata, "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    async def redeem(self, code: str, *, verifier: str) -> dict[str, Any]:
        """Return the claims of the verified ID token that a code is good for.

        Raises `Unauthenticated`, `Unavailable` or `Refused`.
        """
        metadata = await self._known()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.us.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        methods = metadata.get("token_endpoint_auth_methods_supported", [])
        if is_allowed("client_secret_basic", methods):
            headers["Authorization"] = _basic(self.us)
        else:
            form |= {"client_id": self.us.client_id, "client_secret": self.us.client_secret}
        endpoint = _https(metadata, "token_endpoint")
        status, answer = await self._ask("POST", endpoint, data=form, headers=headers)
        if status != HTTPStatus.OK:
            raise refused(f"the provider does not take its code and says {spoken(answer.get('error'))}")
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise refused("the provider gives no ID token for its code")
        return await self._verified(token)

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise refused("the ID token is signed in a way that is not accepted")
            key = await self._key(header.get("kid"), algorithm)
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.us.client_id,
                issuer=self.us.issuer,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise refused(f"the ID token is not valid: {error}") from error

    async def _key(self, key_id: object, algorithm: str) -> Any:
        found = _fitting(self._keys, key_id, algorithm)
        if not found:
            async with self._one_at_a_time:
                if time.monotonic() >= self._keys_after:
                    await self._fetch_keys()
            found = _fitting(self._keys, key_id, algorithm)
        if len(found) != 1:
            raise refused("the ID token is signed with an unknown key")
        return jwt.PyJWK(dict(found[0]), algorithm=algorithm).key

    async def _fetch_keys(self) -> None:
        endpoint = _https(await self._known(), "jwks_uri")
        status, document = await self._ask("GET", endpoint)
        keys = document.get("keys")
        if status != HTTPStatus.OK or not isinstance(keys, list):
            raise _wrong("publishes no keys")
        self._keys = [key for key in keys if isinstance(key, dict)]
        self._keys_after = time.monotonic() + KEYS_EVERY

    async def _known(self) -> Mapping[str, Any]:
        if time.monotonic() >= self._metadata_until:
            status, document = await self._ask("GET", f"{self.us.issuer.rstrip('/')}{_WELL_KNOWN}")
            if status != HTTPStatus.OK or document.get("issuer") != self.us.issuer:
                raise _wrong("does not say that it is the issuer in the settings")
            self._metadata, self._metadata_until = document, time.monotonic() + METADATA_FOR
        return self._metadata

    async def _ask(self, method: str, url: str, **question: Any) -> tuple[int, Mapping[str, Any]]:
        try:
            async with self._http.stream(method, url, **question) as answer:
                body = b""
                async for chunk in answer.aiter_bytes(1 << 16):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise _wrong("answers with more than a megabyte")
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The OpenID provider {self.us.issuer} does not answer: {error}.",
                next_step="Try again shortly; an operator sees in the setting OIDC_ISSUER where it should be.",
            ) from error
        if answer.is_server_error:
            raise Unavailable(
                f"The OpenID provider {self.us.issuer} answered {answer.status_code}.",
                next_step="Try again shortly.",
            )
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = {}
        return answer.status_code, document if isinstance(document, dict) else {}


def _fitting(keys: list[Mapping[str, Any]], key_id: object, algorithm: str) -> list[Mapping[str, Any]]:
    """Return the keys that a token may be signed with: of its id, for signing, of its algorithm's family."""
    family = {"R": "RSA", "P": "RSA", "ES": "EC", "Ed": "OKP"}
    kind = family[algorithm[0] if algorithm[0] in "RP" else algorithm[:2]]
    return [
        key
        for key in keys
        if key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]


def _https(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name)
    if not isinstance(value, str) or not value.startswith("https://"):
        raise _wrong(f"names no https address as its {name}")
    return value


def _basic(us: Client) -> str:
    # Both halves are form-encoded first (RFC 6749 §2.3.1).
    encoded = httpx.BasicAuth(quote(us.client_id, safe=""), quote(us.client_secret, safe=""))
    request = httpx.Request("POST", us.issuer)
    return next(encoded.auth_flow(request)).headers["Authorization"]


def _wrong(what: str) -> Refused:
    return Refused(
        f"The OpenID provider {what}.",
        next_step="Have an operator compare the settings EVERLEAF_INVENTORY_OIDC_… with the provider's.",
    )
