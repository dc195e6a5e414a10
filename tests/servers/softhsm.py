"""A real PKCS#11 token in software: SoftHSM 2, with a folder of its own.

SoftHSM reads its configuration and sees which tokens there are once for a process, when its module is loaded: all tests of a
process share one token, in which each names its keys as nobody else does. Another one is there for who must not be logged in.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.pkcs11 import Token
from tests.servers.processes import MissingServer

PIN, LABEL, UNUSED = "1234", "everleaf", "unused"


@dataclass(frozen=True, kw_only=True)
class SoftHsm:
    """Where the module is, and the folder of its tokens."""

    module: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """What another process needs to see the same tokens."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def open(self, label: str = LABEL, *, pin: str = PIN) -> Token:
        """Return a token, not logged in to yet."""
        return Token(self.module, label=label, pin=pin)


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """SoftHSM, for this process."""
    module = next(
        (path for path in map(Path, _MODULES) if path.exists()),
        None,
    )
    if module is None:
        raise MissingServer("softhsm2 is missing: see tests/servers/install.sh")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    for label in (LABEL, UNUSED):
        words = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678"]
        environ = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        subprocess.run(["softhsm2-util", *words], check=True, capture_output=True, env=environ)
    started = SoftHsm(module=str(module), folder=folder)
    os.environ.update(started.environ)
    yield started
    for name in started.environ:
        os.environ.pop(name, None)


_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)


@pytest.fixture
def token(softhsm: SoftHsm) -> Token:
    """The token."""
    return softhsm.open()
