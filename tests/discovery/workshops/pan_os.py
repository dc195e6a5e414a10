"""A simulated firewall with two virtual systems, one of which may be outside of the account's reach."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import tostring

from tests.discovery.workshops import Workshop
from tests.servers.pan_os import DEVICE, PASSWORD, USER, PanOsSimulator

SCOPES = {
    "shared": "/config/shared",
    "vsys/vsys1": f"{DEVICE}/vsys/entry[@name='vsys1']",
    "vsys/vsys2": f"{DEVICE}/vsys/entry[@name='vsys2']",
}


class Firewall:
    """One firewall; `put` imports certificates into `shared` and the virtual systems."""

    kind = "pan-os"

    def __init__(self, device: PanOsSimulator) -> None:
        self._device = device
        self._put: list[str] = []
        self.settings: Mapping[str, Any] = {"url": device.url, "trusted_ca": device.ca}
        self.credential: Mapping[str, Any] = {"username": USER, "password": PASSWORD}
        self.wrong_credential: Mapping[str, Any] = {"username": USER, "password": "wrong-pass-word"}

    def put(self, count: int) -> Mapping[str, str]:
        """Import so many, in turn."""
        put = {}
        for _ in range(count):
            label = tuple(SCOPES)[len(self._put) % 3]
            name = f"cert-{len(self._put):04}"
            path = f"{label}/certificate/{name}"
            put[path] = self._device.issue(SCOPES[label], name).fingerprint
            self._put.append(path)
        return put

    def forbid(self) -> frozenset[str]:
        """Take the second virtual system from the account."""
        self._device.forbidden.add(SCOPES["vsys/vsys2"])
        return frozenset(path for path in self._put if path.startswith("vsys/vsys2/"))

    def state(self) -> object:
        """Return all of its configuration, and how often somebody tried to change it."""
        return tostring(self._device.root), self._device.writes

    def stall(self) -> None:
        """Say nothing any more."""
        self._device.stall()

    def stop(self) -> None:
        """Refuse connections."""
        self._device.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start one."""
    device = PanOsSimulator(directory / "pan-os")
    device.start()
    try:
        yield Firewall(device)
    finally:
        device.close()
