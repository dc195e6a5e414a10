"""What in a PAN-OS configuration names a certificate, directly or by an SSL/TLS service profile, and where that listens.

Slots are found by how elements are named, not by a list of them: an element within one whose name speaks of certificates, and
whose text is the name of one that is visible there. So those are seen too that a later version brings.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element  # nosec: only holds what defusedxml parsed

from services.discovery.connectors.device import word
from services.discovery.domain.holdings import Listener
from services.discovery.domain.targets import is_address

_NAMES_A_CERTIFICATE = re.compile(r".*certificate.*|.*cert|CA|ssl-inbound-inspection|ssl-decrypt")
_PROFILE = "ssl-tls-service-profile"
_HTTPS, _AUTHENTICATION_PORTAL = 443, 6082


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Something that names a certificate or, where `is_profile`, an SSL/TLS service profile."""

    file: str
    name: str
    is_profile: bool
    listeners: tuple[Listener, ...]


def references(tree: Element, *, part: str) -> Iterator[Reference]:
    """Yield what a part of the configuration refers to; `part` is its place, as `rulebase/decryption`."""
    yield from _within(tree, trail=(part,), tags=tuple(part.split("/")), item=tree)


def _within(
    element: Element, *, trail: tuple[str, ...], tags: tuple[str, ...], item: Element
) -> Iterator[Reference]:
    """Walk down; `item` is the object that we are in: an entry that has a name, and no member of a list in one."""
    text = (element.text or "").strip()
    if text and not len(element):
        yield from _named(text, trail=trail, tags=tags, item=item)
    for child in element:
        if child.tag != "entry":
            yield from _within(child, trail=trail, tags=(*tags, child.tag), item=item)
            continue
        name = child.get("name", "")
        if _is_off(child):
            continue
        if tags[-1] == "CA":
            yield from _named(name, trail=trail, tags=tags, item=item)
        yield from _within(child, trail=(*trail, word(name)), tags=(*tags, "entry"), item=child)


def _named(name: str, *, trail: tuple[str, ...], tags: tuple[str, ...], item: Element) -> Iterator[Reference]:
    is_profile = tags[-1] == _PROFILE
    if is_profile or any(map(_NAMES_A_CERTIFICATE.fullmatch, tags)):
        slot = "/".join((*trail, *_slot(tags)))[:500]
        yield Reference(file=slot, name=name, is_profile=is_profile, listeners=tuple(_listeners(tags, item)))


def _slot(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the elements below the last entry: which of its slots it is."""
    rest: tuple[str, ...] = ()
    for tag in reversed(tags[1:]):
        if tag in ("entry", "member"):
            break
        rest = (tag, *rest)
    return rest if "entry" in tags else ()


def _is_off(entry: Element) -> bool:
    """Return whether it is a rule that is disabled, or that decrypts nothing."""
    return entry.findtext("disabled") == "yes" or entry.findtext("action") == "no-decrypt"


def _listeners(tags: tuple[str, ...], item: Element) -> Iterator[Listener]:
    if "ssl-inbound-inspection" in tags:
        if any(member.text == "service-https" for member in item.iterfind("service/member")):
            for member in item.iterfind("destination/member"):
                if is_address(_address(member.text)):
                    yield Listener(port=_HTTPS, address=_address(member.text))
    elif tags[-1] != _PROFILE:
        return
    elif "global-protect-portal" in tags:
        yield from _at(item.find("portal-config/local-address/ip"))
    elif "global-protect-gateway" in tags:
        yield from _at(item.find("local-address/ip"))
    elif tags[0] == "captive-portal":
        host = _address(item.findtext("redirect-host"))
        yield Listener(port=_AUTHENTICATION_PORTAL, address=host or None)


def _at(addresses: Element | None) -> Iterator[Listener]:
    """Yield a listener for each IP address; one without address where they are objects or variables."""
    written = [_address(each.text) for each in addresses] if addresses is not None else []
    known = [each for each in written if is_address(each)]
    yield from [Listener(port=_HTTPS, address=each) for each in known] or [Listener(port=_HTTPS)]


def _address(text: str | None) -> str:
    return (text or "").strip().partition("/")[0][:253]
