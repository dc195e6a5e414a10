"""Decides which names a certificate may be asked for: one pure function, and how names are written."""

import ipaddress
import re
from collections.abc import Sequence

from shared.errors import Fault, Invalid

MAX_NAMES = 100
"""What public authorities take in one certificate."""
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_LONGEST = 253


def canonical(names: Sequence[str]) -> tuple[str, ...]:
    """Return names as they are compared: lower case, without a last dot, each once, in their order.

    Raises `Invalid` where one is neither a DNS name (RFC 1123 §2.1, with at most one leading `*`
    label, RFC 6125 §6.4.3) nor an IP address.
    """
    written = tuple(dict.fromkeys(_canonical(name) for name in names))
    if not written or len(written) > MAX_NAMES:
        raise Invalid(
            f"A certificate needs 1 to {MAX_NAMES} names, not {len(written)}.",
            next_step="Name what it is for.",
        )
    return written


def _canonical(name: str) -> str:
    text = name.strip().lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if is_dns_name(text.removeprefix("*.")):
            return text
    raise _refused(name, "is neither a DNS name nor an IP address", advice="Correct it.")


def is_dns_name(text: str) -> bool:
    """Return whether this is a host name whose last label is not a number (RFC 1123 §2.1)."""
    labels = text.split(".")
    is_written_right = all(_LABEL.fullmatch(label) for label in labels)
    return is_written_right and len(text) <= _LONGEST and not labels[-1].isdigit()


def pattern(text: str) -> str:
    """Return one entry of a profile's allowed names as it is kept. Raises `Invalid`."""
    written = text.strip().lower().removesuffix(".")
    try:
        return str(ipaddress.ip_network(written, strict=False))
    except ValueError:
        if is_dns_name(written.removeprefix("*.")):
            return written
    raise _refused(
        text,
        "is neither a name, nor `*.` before a name, nor an IP network",
        advice="Write example.com, *.example.com or 10.0.0.0/8.",
    )


def check_allowed(names: Sequence[str], *, patterns: Sequence[str]) -> None:
    """Raise `Invalid`, naming the name, where a canonical name is covered by no pattern.

    `*.example.test` covers exactly one label, `*` included: `www.example.test` and
    `*.example.test`, but neither `example.test` nor `a.b.example.test` (RFC 6125 §6.4.3).
    """
    for name in names:
        if not any(_covers(each, name) for each in patterns):
            raise _refused(
                name,
                "is not allowed by the profile",
                advice="Use a profile that allows it, or leave the name out.",
            )


def _covers(allowed: str, name: str) -> bool:
    if "/" in allowed:
        return _is_within(name, allowed)
    if allowed.startswith("*."):
        return name.partition(".")[2] == allowed[2:]
    return name == allowed


def _is_within(name: str, network: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address in ipaddress.ip_network(network)


def _refused(name: str, reason: str, *, advice: str) -> Invalid:
    message = f"The name {name[:260]!r} {reason}."
    return Invalid(message, next_step=advice, faults=[Fault(pointer="/body/names", message=message)])
