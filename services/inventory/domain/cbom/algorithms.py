"""Algorithms of signatures and keys, with their strength: in bits for classical computers, as NIST's category for quantum ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.inventory.domain.cbom.document import Spec

Component = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Family:
    """What algorithms whose names begin alike have in common."""

    name: str
    primitive: str = "signature"
    padding: str | None = None


_BY_START: Mapping[str, _Family] = {
    "sha": _Family(name="RSASSA-PKCS1", padding="pkcs1v15"),
    "md5": _Family(name="RSASSA-PKCS1", padding="pkcs1v15"),
    "md2": _Family(name="RSASSA-PKCS1", padding="pkcs1v15"),
    "rsassa-pss": _Family(name="RSASSA-PSS", padding="other"),
    "rsa": _Family(name="RSASSA-PKCS1", padding="pkcs1v15"),
    "ecdsa": _Family(name="ECDSA"),
    "dsa": _Family(name="DSA"),
    "ed": _Family(name="EdDSA"),
    "ml-dsa": _Family(name="ML-DSA"),
    "slh-dsa": _Family(name="SLH-DSA"),
    "ml-kem": _Family(name="ML-KEM", primitive="kem"),
    "gost": _Family(name="GOST"),
    "sm2": _Family(name="SM2"),
    "x25519": _Family(name="ECDH", primitive="key-agree"),
    "x448": _Family(name="ECDH", primitive="key-agree"),
    "dh": _Family(name="FFDH", primitive="key-agree"),
}
_CURVES: Mapping[str, str] = {
    "p256": "nist/P-256",
    "p384": "nist/P-384",
    "p521": "nist/P-521",
    "secp256k1": "secg/secp256k1",
    "brainpoolP256r1": "brainpool/brainpoolP256r1",
    "brainpoolP384r1": "brainpool/brainpoolP384r1",
    "brainpoolP512r1": "brainpool/brainpoolP512r1",
    "ed25519": "other/Ed25519",
    "ed448": "other/Ed448",
    "x25519": "other/Curve25519",
    "x448": "other/Curve448",
    "sm2": "oscaa/SM2",
}
_FACTORING = ((15360, 256), (7680, 192), (3072, 128), (2048, 112), (1024, 80))
_CURVED = ((512, 256), (384, 192), (256, 128), (224, 112), (160, 80))
"""Bits of a key, and the strength they give (NIST SP 800-57 part 1 rev. 5, table 2)."""
_CATEGORIES: Mapping[str, int] = {"44": 2, "65": 3, "87": 5, "512": 1, "768": 3, "1024": 5}
"""Of ML-DSA (FIPS 204 §4) and ML-KEM (FIPS 203 §8); of SLH-DSA the number of its name says it (FIPS 205 §11)."""
_SLH_CATEGORIES: Mapping[str, int] = {"128": 1, "192": 3, "256": 5}


def signature_algorithm(name: str, *, spec: Spec) -> Component:
    """Return the algorithm that certificates are signed with, by the name under which inventory keeps it."""
    properties = _properties(name.lower(), spec=spec)
    properties["primitive"] = "signature"
    properties["cryptoFunctions"] = ["verify"]
    return _asset(f"algorithm/signature/{name}", name, properties)


def key_algorithm(kind: str, bits: int, *, spec: Spec) -> Component:
    """Return the algorithm that keys of a kind and size are for."""
    properties = _properties(kind, spec=spec)
    strength = _strength(kind, bits)
    if strength is not None:
        properties["classicalSecurityLevel"] = strength
    if "parameterSetIdentifier" not in properties and bits:
        properties["parameterSetIdentifier"] = str(bits)
    return _asset(key_ref(kind, bits), f"{kind}-{bits}" if kind in ("rsa", "dsa") else kind, properties)


def signature_ref(name: str) -> str:
    """Return how a signature algorithm is referred to."""
    return f"algorithm/signature/{name}"


def key_ref(kind: str, bits: int) -> str:
    """Return how the algorithm of a key is referred to."""
    return f"algorithm/key/{kind}/{bits}"


def _asset(ref: str, name: str, properties: Component) -> Component:
    crypto = {"assetType": "algorithm", "algorithmProperties": properties}
    return {"type": "cryptographic-asset", "bom-ref": ref, "name": name, "cryptoProperties": crypto}


def _properties(name: str, *, spec: Spec) -> Component:
    family = _family(name)
    properties: Component = {"primitive": family.primitive if family else "unknown"}
    if spec is Spec.V1_7 and family is not None:
        properties["algorithmFamily"] = family.name
    curve = name.removeprefix("ecdsa-")
    if curve in _CURVES:
        properties |= {"ellipticCurve": _CURVES[curve]} if spec is Spec.V1_7 else {"curve": curve}
    if family is not None and family.padding and name[:3] in ("sha", "md5", "md2", "rsa") and name != "rsa":
        properties["padding"] = family.padding
    parameters = _parameters(name)
    if parameters is not None:
        properties["parameterSetIdentifier"] = parameters
    if family is not None:
        properties["nistQuantumSecurityLevel"] = _category(name)
    return properties


def _family(name: str) -> _Family | None:
    fitting = [start for start in _BY_START if name.startswith(start)]
    return _BY_START[max(fitting, key=len)] if fitting else None


def _parameters(name: str) -> str | None:
    for start in ("ml-dsa-", "ml-kem-", "slh-dsa-"):
        if name.startswith(start):
            return name.removeprefix(start)
    return None


def _category(name: str) -> int:
    parameters = _parameters(name) or ""
    if name.startswith("slh-dsa-"):
        return next((level for size, level in _SLH_CATEGORIES.items() if size in parameters), 0)
    return _CATEGORIES.get(parameters, 0)


def _strength(kind: str, bits: int) -> int | None:
    if kind in ("rsa", "dsa", "dh"):
        return next((strength for size, strength in _FACTORING if bits >= size), 0)
    if kind == "ed448":
        return 224  # RFC 8032 §1
    if kind.startswith("ecdsa-") or kind in ("ed25519", "sm2", "gost-2012-256", "gost-2012-512"):
        return next((strength for size, strength in _CURVED if bits >= size), 0) if bits else None
    return None
