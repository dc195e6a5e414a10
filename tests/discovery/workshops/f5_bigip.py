"""A simulated BIG-IP with two partitions, in one of which the login's role may be taken away."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.bigip import PASSWORD, USERNAME, BigIp
from tests.servers.tls import CertificateAuthority, new_key


class Device:
    """One device; `put` holds certificates in both partitions, half of them on virtual servers."""

    kind = "f5-bigip"

    def __init__(self, device: BigIp) -> None:
        self.device = device
        self._authority = CertificateAuthority("devices")
        self._key = new_key()
        self.settings: Mapping[str, Any] = {
            "host": "localhost",
            "port": device.interface.port,
            "username": USERNAME,
            "trusted_ca": device.interface.trusted_ca,
        }
        self.credential: Mapping[str, Any] = {"password": PASSWORD}
        self.wrong_credential: Mapping[str, Any] = {"password": "not-the-word-for-it"}

    def put(self, count: int) -> Mapping[str, str]:
        """Hold so many more, in one partition and the other in turn."""
        held = {}
        for _ in range(count):
            number = len(self.device.certificates)
            partition = ("Common", "Sales")[number % 2]
            issued = self._authority.issue(f"d{number}.test", key=self._key)
            path = f"/{partition}/d{number:04}.crt"
            self.device.keep(path, issued)
            if number % 4 < 2:
                self.device.profile(
                    f"/{partition}/p{number}", {"cert": path, "key": path.replace(".crt", ".key")}
                )
                self.device.virtual(
                    f"/{partition}/v{number}",
                    f"/{partition}/192.0.2.1:{number + 1}",
                    f"/{partition}/p{number}",
                )
            held[path] = issued.fingerprint
        return held

    def forbid(self) -> frozenset[str]:
        """Take the role in one partition away."""
        self.device.roles = {"Common": "guest"}
        return frozenset(path for path in self.device.certificates if path.startswith("/Sales/"))

    def state(self) -> object:
        """Return all that is configured, and how many sessions are left over."""
        device = self.device
        return copy.deepcopy((device.certificates, device.collections, device.profiles_of, device.tokens))

    def stall(self) -> None:
        """Say nothing any more."""
        self.device.interface.stall()

    def stop(self) -> None:
        """Stop listening."""
        self.device.interface.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start the simulator."""
    device = BigIp(directory / "bigip")
    try:
        yield Device(device)
    finally:
        device.interface.stop()
