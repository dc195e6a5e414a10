"""Name constraints (RFC 5280 §4.2.1.10): as an extension, and kept by ourselves before anybody else has to."""

import ipaddress
from collections.abc import Sequence

from cryptography import x509

from shared.errors import Refused


def extension(permitted: Sequence[str], excluded: Sequence[str]) -> x509.NameConstraints | None:
    """Return the extension; None where nothing is constrained."""
    if not permitted and not excluded:
        return None
    return x509.NameConstraints(
        permitted_subtrees=[_subtree(text) for text in permitted] or None,
        excluded_subtrees=[_subtree(text) for text in excluded] or None,
    )


def _subtree(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(text))
    except ValueError:
        return x509.DNSName(text)


def check_names(names: Sequence[str], *, permitted: Sequence[str], excluded: Sequence[str]) -> None:
    """Raise `Refused`, naming the name, where one is outside of what the authority may issue for.

    Names of a kind (DNS or address) that no permitted entry is of are not constrained by them.
    """
    for name in names:
        alike = [space for space in permitted if _is_network(space) == _is_address(name)]
        is_permitted = not alike or any(_holds(space, name) for space in alike)
        if not is_permitted or any(_holds(space, name) for space in excluded):
            raise Refused(
                f"The authority may not issue for {name}.",
                next_step="Order from another authority: the name constraints of one cannot be changed.",
            )


def _is_network(space: str) -> bool:
    return "/" in space


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _holds(space: str, name: str) -> bool:
    if _is_network(space) != _is_address(name):
        return False
    if _is_network(space):
        return ipaddress.ip_address(name) in ipaddress.ip_network(space)
    return name == space or name.endswith(f".{space}")
