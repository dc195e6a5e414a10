"""A real snmptrapd (Net-SNMP) that knows EVERLEAF-MIB, and logs what comes with its names."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from services.notifier.connectors.snmp.mib import DOCUMENTATION, module
from tests.servers.processes import Process, free_port, program

PACKAGE = "snmptrapd"
STUBS = Path(__file__).parent / "mibs"
COMMUNITY = "everleaf-test"
USER, AUTHENTICATION, PRIVACY = "everleaf", "authentication words", "privacy words"
_END = "=end="


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One notification as snmptrapd has printed it."""

    peer: str
    """`TRAP2` or `INFORM`, with version and user."""
    values: dict[str, str]
    """By name: `everleafHeadline`, and `snmpTrapOID` of the notification itself."""


class Snmptrapd:
    """A receiver on `port`: v2c with a community, v3 with a user."""

    def __init__(
        self, directory: Path, *, engine_id: str, hashed: str = "SHA-256", cipher: str = "AES"
    ) -> None:
        self.port = free_port()
        self.directory = directory
        self._mibs = directory / "mibs"
        self._log = directory / "traps.log"
        self._process: Process | None = None
        shutil.copytree(STUBS, self._mibs)
        (self._mibs / "EVERLEAF-MIB.txt").write_text(module(DOCUMENTATION))
        user = f'{USER} {hashed} "{AUTHENTICATION}" {cipher} "{PRIVACY}"'
        (directory / "snmptrapd.conf").write_text(
            f"authCommunity log {COMMUNITY}\n"
            # Of traps the sender is authoritative, of informs the receiver (RFC 3412 §7.1).
            f"createUser -e 0x{engine_id} {user}\n"
            f"createUser {user}\n"
            f"authUser log {USER} priv\n"
            f"format2 %P\\n%V\\n%v\\n{_END}\\n\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What Net-SNMP's programs find the modules by."""
        return {
            "HOME": str(self.directory),
            "SNMP_PERSISTENT_DIR": str(self.directory / "persistent"),
            "SNMPCONFPATH": str(self.directory),
            "MIBDIRS": str(self._mibs),
            "MIBS": "EVERLEAF-MIB:SNMPv2-MIB",
        }

    def start(self) -> None:
        """Start it, and return when it listens."""
        before = self._text().count("NET-SNMP version")
        self._process = Process(
            [
                program("snmptrapd", package=PACKAGE),
                *("-f", "-C", "-n", "-c", self.directory / "snmptrapd.conf"),
                *("-Lf", self._log, "-A", f"udp:127.0.0.1:{self.port}"),
            ],
            log=self.directory / "output.log",
            env=self.environment,
        )
        deadline = time.monotonic() + 20
        while self._text().count("NET-SNMP version") == before:
            self._process.check()
            assert time.monotonic() < deadline, "snmptrapd does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it: nobody is there any more, which UDP tells nobody."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def arrived(self, count: int = 0) -> list[Notification]:
        """Return what has come, once that is so much: of a trap the sender does not know when it is logged."""
        deadline = time.monotonic() + 10
        while len(found := self._found()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} came:\n{self._text()[-2000:]}"
            time.sleep(0.01)
        return found

    def printed(self) -> str:
        """Return the log as it is."""
        return self._text()

    def _text(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def _found(self) -> list[Notification]:
        return [_parsed(each) for each in self._text().split(f"{_END}\n")[:-1]]


def _parsed(text: str) -> Notification:
    lines = [line for line in text.splitlines() if " = " in line or line.startswith(("TRAP2", "INFORM"))]
    peer = next(line for line in lines if line.startswith(("TRAP2", "INFORM")))
    values: dict[str, str] = {}
    for line in lines:
        for each in line.split("\t"):
            name, _, value = each.partition(" = ")
            if "::" in name:
                key = name.rsplit("::", 1)[1].removesuffix(".0")
                values[key] = value.partition(": ")[2].strip('"') or value
    return Notification(peer=peer, values=values)


def translated(name: str, environment: dict[str, str]) -> str:
    """Return what snmptranslate makes of a name."""
    done = subprocess.run(
        [program("snmptranslate", package="snmp"), "-On", f"EVERLEAF-MIB::{name}"],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
