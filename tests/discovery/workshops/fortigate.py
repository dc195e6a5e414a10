"""A simulated FortiGate with two VDOMs, one of which may be closed to the token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.fortigate import TOKEN, FortiGateSimulator


class Firewall:
    """One FortiGate; `put` imports certificates for all VDOMs, and into the VDOMs."""

    kind = "fortigate"

    def __init__(self, device: FortiGateSimulator) -> None:
        self._device = device
        self._put = 0
        self.settings: Mapping[str, Any] = {"url": device.url, "trusted_ca": device.ca}
        self.credential: Mapping[str, Any] = {"token": TOKEN}
        self.wrong_credential: Mapping[str, Any] = {"token": "0123456789wrongwrongwrong"}

    def put(self, count: int) -> Mapping[str, str]:
        """Import so many, in turn for all and into each VDOM."""
        put = {}
        for _ in range(count):
            scope = ("global", "root", "dmz")[self._put % 3]
            name = f"cert-{self._put:04}"
            issued = self._device.issue(scope, name)
            put[f"{'global' if scope == 'global' else f'vdom/{scope}'}/{name}"] = issued.fingerprint
            self._put += 1
        return put

    def forbid(self) -> frozenset[str]:
        """Close one VDOM."""
        self._device.forbidden.add("dmz")
        return frozenset(f"vdom/dmz/{row['name']}" for row in self._device.certificates["dmz"])

    def state(self) -> object:
        """Return all that it holds, and how often somebody tried to change it."""
        return deepcopy((self._device.certificates, self._device.tables, self._device.writes))

    def stall(self) -> None:
        """Say nothing any more."""
        self._device.stall()

    def stop(self) -> None:
        """Refuse connections."""
        self._device.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start one."""
    device = FortiGateSimulator(directory / "fortigate")
    device.start()
    try:
        yield Firewall(device)
    finally:
        device.close()
