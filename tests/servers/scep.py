"""micromdm's SCEP server: a real CA behind SCEP (RFC 8894), RSA 4096, with a static challenge password.

This version issues for clients only, and answers by SHA-1 and DES.
"""

import subprocess
from pathlib import Path

import pytest

from tests.servers.processes import Process, free_port, program

PACKAGE = "scep"


class Scep:
    """A server with a CA of its own in `directory`; it listens on all addresses, as it knows no other way."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.challenge = "open sesame"
        self._directory = directory
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/scep"

    @property
    def root_pem(self) -> str:
        """The CA's certificate, which is its root."""
        return (self._directory / "depot" / "ca.pem").read_text()

    def create(self) -> None:
        """Make the CA: a key of 4096 bits."""
        command = [program("scepserver", package=PACKAGE), "ca", "-init", "-depot", "depot"]
        command += ["-key-password", "x", "-organization", "Lab", "-country", "DE"]
        subprocess.run(command, cwd=self._directory, check=True, capture_output=True)

    def start(self) -> None:
        """Start it and return when it listens."""
        command = [program("scepserver", package=PACKAGE), "-depot", "depot", "-capass", "x"]
        command += [
            "-port",
            str(self.port),
            "-challenge",
            self.challenge,
            "-allowrenew",
            "0",
            "-crtvalid",
            "90",
        ]
        self._process = Process(command, log=self._directory / "scep.log", cwd=self._directory)
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def issued(self) -> int:
        """Return how many certificates it has issued."""
        index = self._directory / "depot" / "index.txt"
        return len(index.read_text().splitlines()) if index.exists() else 0


@pytest.fixture(scope="module")
def scep_depot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA that tests of a module share: its key takes seconds."""
    directory = tmp_path_factory.mktemp("scep")
    Scep(directory).create()
    return directory
