"""What iControl REST says of certificates, keys, profiles and virtual servers, in our words.

Shapes from F5's iControl REST reference (sys/file/ssl-cert, sys/file/ssl-key, ltm/profile/client-ssl, ltm/virtual).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.discovery.configuration.bigip.objects import NONE, Pair, Profile, Virtual
from services.discovery.domain.holdings import Key

CERTIFICATES, KEYS = "/mgmt/tm/sys/file/ssl-cert", "/mgmt/tm/sys/file/ssl-key"
CLIENT_PROFILES, SERVER_PROFILES = "/mgmt/tm/ltm/profile/client-ssl", "/mgmt/tm/ltm/profile/server-ssl"
VIRTUALS, ADDRESSES = "/mgmt/tm/ltm/virtual", "/mgmt/tm/ltm/virtual-address"
MONITORS = "/mgmt/tm/ltm/monitor/https"
PARTITIONS, USERS = "/mgmt/tm/auth/partition", "/mgmt/tm/auth/user"
LONGEST_PATH = 1000

CERTIFICATE_FIELDS = "fullPath,fingerprint,checksum,isBundle"
KEY_FIELDS = "fullPath,securityType"
PROFILE_FIELDS = (
    "fullPath,defaultsFrom,inheritCertkeychain,certKeyChain,cert,key,chain,serverName,sniDefault,mode,ciphers,tmOptions,"
    "caFile,peerCertMode"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is known of a certificate before it is seen."""

    path: str
    fingerprint: str | None
    """SHA-256 of the first one's DER, lower-case hexadecimal; older versions do not tell."""
    size: int | None
    """Of the file, in bytes."""
    is_bundle: bool


def path_of(item: Mapping[str, Any]) -> str | None:
    """Return the full path of an object, as a holding can have it; None where it has none."""
    path = item.get("fullPath")
    if not isinstance(path, str) or len(path) > LONGEST_PATH:
        return None
    return path if path.startswith("/") and path.isprintable() else None


def certificate(item: Mapping[str, Any], *, path: str) -> Certificate:
    """Read `{"fingerprint": "SHA256/AB:CD…", "checksum": "SHA1:1302:ab…", "isBundle": "false"}`."""
    fingerprint = re.fullmatch(r"SHA256/((?:[0-9A-Fa-f]{2}:?){32})", _text(item, "fingerprint") or "")
    size = re.fullmatch(r"SHA1:([0-9]{1,12}):[0-9a-f]+", _text(item, "checksum") or "")
    return Certificate(
        path=path,
        fingerprint=fingerprint[1].replace(":", "").lower() if fingerprint else None,
        size=int(size[1]) if size else None,
        is_bundle=_text(item, "isBundle") == "true",
    )


def key(item: Mapping[str, Any], *, path: str) -> Key:
    """Return what is known of a private key; more than that is not asked for."""
    return Key(path=path, is_encrypted=_text(item, "securityType") == "password")


def profile(item: Mapping[str, Any], *, path: str, is_client: bool) -> Profile:
    """Return an SSL profile. What it inherits is mostly in it already, and said once more by its parent."""
    options = item.get("tmOptions")
    return Profile(
        path=path,
        is_client=is_client,
        parent=_named(item, "defaultsFrom"),
        inherits_pairs=_is(item, "inheritCertkeychain", "true"),
        pairs=tuple(_pairs(item)) or None,
        server_name=_unset(item, "serverName"),
        is_sni_default=_is(item, "sniDefault", "true"),
        is_enabled=_is(item, "mode", "enabled"),
        ciphers=_unset(item, "ciphers"),
        options=tuple(each for each in options if isinstance(each, str))
        if isinstance(options, list)
        else None,
        trusted_ca=_unset(item, "caFile"),
        peer_certificates=_text(item, "peerCertMode"),
    )


def virtual(item: Mapping[str, Any], *, path: str) -> Virtual:
    """Return a virtual server with its profiles, whose collection is expanded."""
    reference = item.get("profilesReference")
    items = reference.get("items") if isinstance(reference, dict) else None
    found = [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
    return Virtual(
        path=path,
        destination=_text(item, "destination") or "",
        mask=_text(item, "mask") or "any",
        profiles=tuple(name for each in found if (name := path_of(each))),
        is_enabled=item.get("disabled") is not True,
    )


def named_by_monitor(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the certificate that an HTTPS monitor shows to servers."""
    named = _named(item, "cert")
    if named:
        yield named


def denied_partitions(partitions: list[dict[str, Any]], user: Mapping[str, Any]) -> list[str]:
    """Return the partitions that a user may not read, by what its account says."""
    access = user.get("partitionAccess")
    roles = {
        _text(each, "name"): _text(each, "role")
        for each in (access if isinstance(access, list) else [])
        if isinstance(each, dict)
    }
    everywhere = roles.get("all-partitions", "no-access")
    names = [name for each in partitions if (name := _text(each, "name")) and "/" not in name]
    return sorted(name for name in names if roles.get(name, everywhere) == "no-access" and name != "Common")


def _pairs(item: Mapping[str, Any]) -> Iterator[Pair]:
    entries = item.get("certKeyChain")
    kept: list[Mapping[str, Any]] = [
        each for each in (entries if isinstance(entries, list) else []) if isinstance(each, dict)
    ]
    for entry in kept or [item]:  # before 11.5 there was one pair, beside the other settings
        named = _named(entry, "cert")
        if named:
            yield Pair(certificate=named, key=_named(entry, "key"), chain=_named(entry, "chain"))


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name)
    return value[:LONGEST_PATH] if isinstance(value, str) else None


def _is(item: Mapping[str, Any], name: str, wanted: str) -> bool | None:
    value = _text(item, name)
    return None if value is None else value == wanted


def _named(item: Mapping[str, Any], name: str) -> str | None:
    value = _text(item, name)
    return None if value is None or value in NONE else value


def _unset(item: Mapping[str, Any], name: str) -> str | None:
    value = _text(item, name)
    return "" if value in NONE else value
