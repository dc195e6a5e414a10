"""Examples for a contract: a value that fits a schema, the same at every run.

What a field shows of itself (`examples`) comes first; else a value of its kind by its name, its format or its type. A
request shows what it must and what shows an example of itself, an answer shows all of its fields.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_ID = "0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"
_FINGERPRINT = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
_AT = "2026-11-23T08:30:00Z"
_BASE64 = "MIIB"
_PEM = "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"
_NAMES: Mapping[str, str] = {
    "access_token": "eyJ…",
    "actor_name": "ann",
    "address": "192.0.2.10",
    "authority": "letsencrypt",
    "by": "ann",
    "ca_pem": _PEM,
    "chain": _PEM,
    "cipher_suite": "TLS_AES_128_GCM_SHA256",
    "fallback_authority": "letsencrypt",
    "format": "pem",
    "group": "web",
    "groups": "web",
    "host": "web-1.example.com",
    "id": _ID,
    "issuer": "CN=R12,O=Let's Encrypt,C=US",
    "issuer_key": _FINGERPRINT,
    "key_type": "ecdsa-p256",
    "name": "shop.example.com",
    "names": "shop.example.com",
    "next_cursor": "WyIwMTkxZDdhMi04ZjRlIl0=",
    "next_step": "Correct what is said, and try it again.",
    "owner": "payments",
    "path": "/etc/nginx/tls/www.pem",
    "pem": _PEM,
    "place_key": "tls://192.0.2.10:443/shop.example.com",
    "principal": "ann",
    "profile": "web",
    "query": "owner = payments",
    "reason": "CHG0042, approved by the change board",
    "serial": "03a1b2c3d4e5f60718293a4b5c6d7e8f9011",
    "server_name": "shop.example.com",
    "signature_algorithm": "ecdsa-sha384",
    "spki_sha256": _FINGERPRINT,
    "starttls": "smtp",
    "subject": "CN=shop.example.com",
    "timezone": "Europe/Berlin",
    "time_zone": "Europe/Berlin",
    "tls_version": "TLSv1.3",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "url": "https://shop.example.com/",
    "username": "everleaf",
}
"""What a text of this name looks like here."""
_ENDINGS: Mapping[str, str] = {
    "fingerprint": _FINGERPRINT,
    "fingerprints": _FINGERPRINT,
    "digest": _FINGERPRINT,
    "_id": _ID,
    "_ids": _ID,
    "_by": "ann",
    "_by_name": "ann",
    "_url": "https://shop.example.com/",
}
_FORMATS: Mapping[str, str] = {
    "date-time": _AT,
    "date": "2026-11-23",
    "time": "22:00:00",
    "duration": "PT4H",
    "uuid": _ID,
    "binary": "…",
    "password": "a secret of your own",
}


class Examples:
    """Makes examples for the schemas of one document."""

    def __init__(self, document: Json) -> None:
        self._schemas: Json = document.get("components", {}).get("schemas", {})

    def asked(self, schema: Json) -> Any:
        """Return what a request may send: its required fields, and those that show an example of themselves."""
        return self._value(schema, name="", whole=False, within=())

    def answered(self, schema: Json, *, name: str = "") -> Any:
        """Return what an answer may look like, with all of its fields."""
        return self._value(schema, name=name, whole=True, within=())

    def _value(self, schema: Json, *, name: str, whole: bool, within: tuple[str, ...]) -> Any:
        for keyword in ("examples", "enum"):
            if schema.get(keyword):
                return schema[keyword][0]
        for keyword in ("example", "const"):
            if keyword in schema:
                return schema[keyword]
        if "$ref" in schema:
            return self._referred(schema["$ref"], name=name, whole=whole, within=within)
        for choice in ("anyOf", "oneOf", "allOf"):
            if schema.get(choice):
                return self._first(schema[choice], name=name, whole=whole, within=within)
        return self._typed(schema, name=name, whole=whole, within=within)

    def _typed(self, schema: Json, *, name: str, whole: bool, within: tuple[str, ...]) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, whole=whole, within=within)
            case "array":
                return self._array(schema, name=name, whole=whole, within=within)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return bool(schema.get("default", True))
            case "string":
                return _text(schema, name)
        return None if schema.get("type") == "null" else {}

    def _referred(self, reference: str, *, name: str, whole: bool, within: tuple[str, ...]) -> Any:
        if reference in within:  # a schema that holds itself
            return None
        schema = self._schemas[reference.rsplit("/", 1)[-1]]
        return self._value(schema, name=name, whole=whole, within=(*within, reference))

    def _first(self, choices: list[Json], *, name: str, whole: bool, within: tuple[str, ...]) -> Any:
        """Return an example of the first choice that is not in the midst of being made."""
        free = [each for each in choices if each.get("$ref", "") not in within or "$ref" not in each]
        return self._value((free or choices)[0], name=name, whole=whole, within=within)

    def _object(self, schema: Json, *, whole: bool, within: tuple[str, ...]) -> Json:
        required = schema.get("required", ())
        made = {
            name: self._value(each, name=name, whole=whole, within=within)
            for name, each in schema.get("properties", {}).items()
            if whole or name in required or _shows_itself(each)
        }
        values = schema.get("additionalProperties")
        if not made and whole and isinstance(values, dict):
            key = self._value(
                schema.get("propertyNames", {"type": "string"}), name="", whole=whole, within=()
            )
            return {key: self._value(values, name="", whole=whole, within=within)}
        return made

    def _array(self, schema: Json, *, name: str, whole: bool, within: tuple[str, ...]) -> list[Any]:
        if "prefixItems" in schema:
            return [
                self._value(each, name=name, whole=whole, within=within) for each in schema["prefixItems"]
            ]
        items = schema.get("items") or {}
        if items.get("$ref", "") in within:
            return []
        count = max(schema.get("minItems", 0), 1)
        return [self._value(items, name=name, whole=whole, within=within)] * count


def _shows_itself(schema: Json) -> bool:
    return any(example is not None for example in schema.get("examples", ()))


def _number(schema: Json) -> Any:
    if schema.get("default") is not None:
        return schema["default"]
    above = schema.get("exclusiveMinimum")
    return schema.get("minimum", 1 if above is None else above + 1)


def _text(schema: Json, name: str) -> str:
    if schema.get("contentEncoding") == "base64":
        return _BASE64
    if "format" in schema:
        return _FORMATS.get(schema["format"], _AT)
    if isinstance(schema.get("default"), str) and schema["default"]:
        return str(schema["default"])
    ending = next((value for end, value in _ENDINGS.items() if name.endswith(end)), None)
    text = _NAMES.get(name) or ending or name.replace("_", " ") or "shop"
    return text[: schema.get("maxLength", len(text))]
