"""Certificates, public keys and protocols as cryptographic assets, and what each depends on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from typing import Protocol as Shape

from services.inventory.domain.cbom.algorithms import key_ref, signature_ref
from services.inventory.domain.cbom.document import Spec, instant
from shared.events.discovery import TlsFacts

Component = dict[str, Any]


class Certificate(Shape):
    """What is needed of a certificate."""

    fingerprint: str
    serial: str | None
    subject: str | None
    issuer: str | None
    not_before: datetime | None
    not_after: datetime | None
    key_fingerprint: str | None
    signature_algorithm: str | None

    @property
    def names(self) -> list[str]:
        """The names it is for."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A public key."""

    fingerprint: str
    kind: str | None
    bits: int | None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an endpoint speaks TLS, as far as that is known."""

    place_id: str
    address: str
    port: int
    server_name: str | None
    fingerprint: str
    """Of the certificate that is served."""
    suites: Mapping[str, Sequence[str]]
    """By version, newest first: those that were seen."""
    groups: Sequence[str] = ()


def certificate(row: Certificate, *, spec: Spec, at: datetime) -> Component:
    """Return a certificate."""
    said: Component = {"certificateFormat": "X.509"}
    texts = {"subjectName": row.subject, "issuerName": row.issuer}
    said |= {name: text for name, text in texts.items() if text is not None}
    times = {"notValidBefore": row.not_before, "notValidAfter": row.not_after}
    said |= {name: instant(time) for name, time in times.items() if time is not None}
    said |= _since_1_7(row, at=at) if spec is Spec.V1_7 else _of_1_6(row)
    properties = [("everleaf:name", name) for name in row.names]
    if spec is Spec.V1_6 and row.serial is not None:
        properties.append(("everleaf:serial", row.serial))
    return {
        "type": "cryptographic-asset",
        "bom-ref": f"certificate/{row.fingerprint}",
        "name": (row.names[0] if row.names else row.subject) or row.fingerprint,
        "hashes": [{"alg": "SHA-256", "content": row.fingerprint}],
        "cryptoProperties": {"assetType": "certificate", "certificateProperties": said},
        **(
            {"properties": [{"name": name, "value": value} for name, value in properties]}
            if properties
            else {}
        ),
    }


def _since_1_7(row: Certificate, *, at: datetime) -> Component:
    said: Component = {"fingerprint": {"alg": "SHA-256", "content": row.fingerprint}}
    if row.serial is not None:
        said["serialNumber"] = row.serial
    state = _state(row, at=at)
    if state is not None:
        said["certificateState"] = [{"state": state}]
    if row.names:
        names = {
            "commonExtensionName": "subjectAlternativeName",
            "commonExtensionValue": ", ".join(row.names),
        }
        said["certificateExtensions"] = [names]
    refs = [("algorithm", ref) for ref in _signature(row)] + [("publicKey", ref) for ref in _key(row)]
    if refs:
        said["relatedCryptographicAssets"] = [{"type": kind, "ref": ref} for kind, ref in refs]
    return said


def _of_1_6(row: Certificate) -> Component:
    said: Component = {}
    for ref in _signature(row):
        said["signatureAlgorithmRef"] = ref
    for ref in _key(row):
        said["subjectPublicKeyRef"] = ref
    return said


def _state(row: Certificate, *, at: datetime) -> str | None:
    if row.not_before is None or row.not_after is None:
        return None
    if at < row.not_before:
        return "pre-activation"
    return "active" if at <= row.not_after else "deactivated"


def _signature(row: Certificate) -> list[str]:
    return [signature_ref(row.signature_algorithm)] if row.signature_algorithm else []


def _key(row: Certificate) -> list[str]:
    return [f"key/{row.key_fingerprint}"] if row.key_fingerprint else []


def key(of: Key, *, spec: Spec) -> Component:
    """Return a public key; of private keys nothing is ever said."""
    said: Component = {"type": "public-key", "id": of.fingerprint, "format": "SubjectPublicKeyInfo"}
    if of.bits:
        said["size"] = of.bits
    ref = _algorithm(of)
    if spec is Spec.V1_7:
        said["fingerprint"] = {"alg": "SHA-256", "content": of.fingerprint}
        if ref:
            said["relatedCryptographicAssets"] = [{"type": "algorithm", "ref": ref}]
    elif ref:
        said["algorithmRef"] = ref
    crypto = {"assetType": "related-crypto-material", "relatedCryptoMaterialProperties": said}
    return {
        "type": "cryptographic-asset",
        "bom-ref": f"key/{of.fingerprint}",
        "name": f"{of.kind or 'unknown'} key {of.fingerprint[:16]}",
        "cryptoProperties": crypto,
    }


def _algorithm(of: Key) -> str | None:
    return key_ref(of.kind, of.bits or 0) if of.kind else None


def protocols(of: Protocol, *, spec: Spec) -> Iterator[Component]:
    """Yield each version of TLS that an endpoint speaks."""
    host = f"[{of.address}]" if ":" in of.address else of.address
    for version, suites in of.suites.items():
        listed: list[Component] = [{"name": suite} for suite in suites]
        if spec is Spec.V1_7 and of.groups and version == "1.3":
            listed = [{**suite, "tlsGroups": list(of.groups)} for suite in listed]
        said: Component = {"type": "tls", "version": version, "cipherSuites": listed}
        if spec is Spec.V1_7:
            ref = f"certificate/{of.fingerprint}"
            said["relatedCryptographicAssets"] = [{"type": "certificate", "ref": ref}]
        else:
            said["cryptoRefArray"] = [f"certificate/{of.fingerprint}"]
        yield {
            "type": "cryptographic-asset",
            "bom-ref": _protocol_ref(of, version),
            "name": f"TLS {version} at {host}:{of.port}"
            + (f" for {of.server_name}" if of.server_name else ""),
            "cryptoProperties": {"assetType": "protocol", "protocolProperties": said},
        }


def suites_of(
    facts: TlsFacts | None, *, version: str | None, suite: str | None
) -> Mapping[str, Sequence[str]]:
    """Return the suites of each version, newest first: all that were found, else the one that was negotiated."""
    if facts is not None:
        return {_number(each): facts.suites.get(each, []) for each in facts.versions}
    return {_number(version): [suite] if suite else []} if version else {}


def _number(version: str) -> str:
    """Write `TLSv1.3` as `1.3`, and leave SSL as it is."""
    number = version.removeprefix("TLSv")
    return "1.0" if number == "1" else number


def _protocol_ref(of: Protocol, version: str) -> str:
    return f"protocol/{of.place_id}/{version}"


def depends(of: Certificate | Key | Protocol, *, issuers: Sequence[str] = ()) -> Iterator[Component]:
    """Yield what something depends on: a protocol on its certificate, that on algorithm, key and issuers, a key on its algorithm."""
    if isinstance(of, Protocol):
        on = [f"certificate/{of.fingerprint}"]
        yield from ({"ref": _protocol_ref(of, version), "dependsOn": on} for version in of.suites)
    elif isinstance(of, Key):
        ref = _algorithm(of)
        yield {"ref": f"key/{of.fingerprint}", "dependsOn": [ref] if ref else []}
    else:
        above = [f"certificate/{issuer}" for issuer in issuers if issuer != of.fingerprint]
        yield {"ref": f"certificate/{of.fingerprint}", "dependsOn": [*_signature(of), *_key(of), *above]}
