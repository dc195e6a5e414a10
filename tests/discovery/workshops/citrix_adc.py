"""A simulated Citrix ADC, whose command policy may be taken the right to read files."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.citrix_adc import PASSWORD, USERNAME, CitrixAdc
from tests.servers.tls import CertificateAuthority, new_key


class Appliance:
    """One appliance; every second pair that is put is bound to a virtual server."""

    kind = "citrix-adc"

    def __init__(self, appliance: CitrixAdc) -> None:
        self.appliance = appliance
        self._authority = CertificateAuthority("devices")
        self._key = new_key()
        self.settings: Mapping[str, Any] = {
            "host": "localhost",
            "port": appliance.interface.port,
            "username": USERNAME,
            "trusted_ca": appliance.interface.trusted_ca,
        }
        self.credential: Mapping[str, Any] = {"password": PASSWORD}
        self.wrong_credential: Mapping[str, Any] = {"password": "not-the-word-for-it"}

    def put(self, count: int) -> Mapping[str, str]:
        """Hold so many pairs more."""
        held = {}
        for _ in range(count):
            number = len(self.appliance.files)
            issued = self._authority.issue(f"d{number}.test", key=self._key)
            name = f"pair {number:04}"
            self.appliance.pair(name, issued)
            if number % 2:
                self.appliance.virtual(f"v{number}", "192.0.2.1", number + 1)
                self.appliance.bind(f"v{number}", name)
            held[f"sslcertkey/{name}"] = issued.fingerprint
        return held

    def forbid(self) -> frozenset[str]:
        """Do not allow to read files any more."""
        self.appliance.forbidden.add("systemfile")
        return frozenset(f"sslcertkey/{item['certkey']}" for item in self.appliance.resources["sslcertkey"])

    def state(self) -> object:
        """Return all that is configured, and which sessions are left over."""
        appliance = self.appliance
        return copy.deepcopy((appliance.resources, appliance.files, appliance.sessions))

    def stall(self) -> None:
        """Say nothing any more."""
        self.appliance.interface.stall()

    def stop(self) -> None:
        """Stop listening."""
        self.appliance.interface.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start the simulator."""
    appliance = CitrixAdc(directory / "adc")
    try:
        yield Appliance(appliance)
    finally:
        appliance.interface.stop()
