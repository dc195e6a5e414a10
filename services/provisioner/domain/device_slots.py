"""From what a network device or a cloud says that uses a certificate to a slot of a target: what names it, not a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.provisioner.domain.cloud_slots import CLOUD_SLOTS
from shared.events.discovery import ConfiguredUse, Held

_OURS = "everleaf-"


@dataclass(frozen=True, kw_only=True)
class DeviceSlot:
    """A slot, and the kind of target that has such."""

    kind: str
    slot: Mapping[str, Any]


def is_device(held: Held) -> bool:
    """Return whether it is held by a device or cloud that a kind of target is for."""
    return held.format in _SLOTS or held.format in CLOUD_SLOTS


def device_slot(held: Held, *, path: str) -> DeviceSlot | None:
    """Return the slot; None where there is none, or more than one."""
    found = list(_slots(held, path=path))
    return found[0] if len(found) == 1 else None


def device_obstacles(held: Held, *, path: str) -> Iterator[str]:
    """Yield why no new certificate can be put there."""
    if path.rpartition("/")[2].startswith(_OURS):
        yield "A deployment has put it there: its slot has a binding."
    found = list(_slots(held, path=path))
    if len(found) > 1:
        yield f"It has {len(found)} uses, each of which is bound for itself."
    elif not found:
        uses = ", ".join(dict.fromkeys(use.file for use in held.uses)) or "nothing"
        yield f"No kind of target changes what uses it: {uses}."
    if held.is_abridged:
        yield "More uses it than was told."


def _slots(held: Held, *, path: str) -> Iterator[DeviceSlot]:
    seen: list[DeviceSlot] = []
    for use in held.uses:
        found = _slot_of(held.format, use, path=path)
        if found is not None and found not in seen:
            seen.append(found)
            yield found


def _slot_of(held_as: str, use: ConfiguredUse, *, path: str) -> DeviceSlot | None:
    if held_as in CLOUD_SLOTS:
        found = CLOUD_SLOTS[held_as](use, path)
        return DeviceSlot(kind=found[0], slot=found[1]) if found is not None else None
    kind, slot_of = _SLOTS[held_as]
    slot = slot_of(use, path)
    return DeviceSlot(kind=kind, slot=slot) if slot is not None else None


def _of_bigip(use: ConfiguredUse, _path: str) -> Mapping[str, Any] | None:
    """Read `/Common/shop-https via /Common/shop-clientssl`: the virtual server, and its profile."""
    _, via, profile = use.file.partition(" via ")
    return {"profile": profile} if via and use.listeners else None


def _of_citrix(_use: ConfiguredUse, path: str) -> Mapping[str, Any] | None:
    """Read `sslcertkey/shop`: whatever a pair is bound to, it is the pair that is updated."""
    return {"certkey": path.partition("/")[2]}


_USES = {"firewall/vip": "vip", "firewall/vip6": "vip6", "firewall/ssl-ssh-profile": "ssl-inspection"}
_SETTINGS = {"vpn.ssl/settings": "ssl-vpn", "user/setting": "authentication"}


def _of_fortigate(use: ConfiguredUse, _path: str) -> Mapping[str, Any] | None:
    """Read `vdom/NAME/firewall/vip/shop` and `global/system/global`; of settings the certificate that listens is meant."""
    if use.file == "global/system/global" and use.listeners:
        return {"use": "admin"}
    scope, _, rest = use.file.partition("/")
    vdom, _, where = rest.partition("/")
    table, _, name = where.rpartition("/")
    if scope != "vdom":
        return None
    if where in _SETTINGS and use.listeners:
        return {"use": _SETTINGS[where], "vdom": vdom}
    if table in _USES and use.listeners:
        return {"use": _USES[table], "vdom": vdom, "name": name}
    return None


_SLOTS: Mapping[str, tuple[str, Callable[[ConfiguredUse, str], Mapping[str, Any] | None]]] = {
    "bigip": ("f5-bigip", _of_bigip),
    "citrix-adc": ("citrix-adc", _of_citrix),
    "fortios": ("fortigate", _of_fortigate),
}
"""By the format in which discovery tells of them: the kind of target, and what makes a slot of a use."""
