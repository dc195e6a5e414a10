"""The bench of an authority behind a program: a real one, which signs with openssl and keeps what it issued in files."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.renewal.connectors.command import Command
from shared.x509 import from_pem
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback
from tests.servers.tls import CertificateAuthority

PROGRAM = f"""#!{sys.executable} -IS
import json, os, pathlib, subprocess, sys

home = pathlib.Path(__file__).parent
told = json.load(sys.stdin)
if told.get("credential") != (home / "credential").read_text():
    sys.exit("The credential " + str(told.get("credential")) + " has expired")
if told["type"] == "certificate.revoke":
    known = [path for path in (home / "issued").iterdir() if path.read_text().startswith(told["certificate"].strip())]
    if not known:
        sys.exit("It is none of ours")
    known[0].with_suffix(".revoked").write_text(told["reason"])
    sys.exit()
if not all(name.endswith(".example.test") for name in told["names"]):
    sys.exit("We do not issue for " + ", ".join(told["names"]))
if (home / "hold").exists():
    print(json.dumps({{"pending": "ticket 7", "retry_after": 30}}))
    sys.exit()
issued = home / "issued" / told["order"]
if not issued.exists():
    days = str(told["lifetime"] // 86400)
    made = subprocess.run(
        ["openssl", "x509", "-req", "-days", days, "-CA", home / "ca.pem", "-CAkey", home / "ca.key",
         "-copy_extensions", "copyall", "-extfile", home / "extensions"],
        input=told["csr"].encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    draft = issued.with_suffix(".draft")
    draft.write_text(made.stdout.decode() + (home / "ca.pem").read_text())
    draft.rename(issued)
print(json.dumps({{"chain": issued.read_text()}}))
"""


@asynccontextmanager
async def command_bench(directory: Path) -> AsyncIterator[Bench]:
    """Put the program into a folder with a CA of its own."""
    root = CertificateAuthority("Corporate Root")
    authority = root.intermediate("Corporate Issuing CA")
    (directory / "issued").mkdir()
    (directory / "ca.pem").write_bytes(authority.pem)
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "ca.key").write_bytes(key)
    (directory / "extensions").write_text("extendedKeyUsage=serverAuth\n")
    (directory / "credential").write_text("correct horse")
    program = directory / "corporate-ca"
    program.write_text(PROGRAM)
    program.chmod(0o700)

    async def count(_name: str) -> int:
        return sum(not path.suffix for path in (directory / "issued").iterdir())

    async def is_revoked(der: bytes) -> bool:
        marks = (directory / "issued").glob("*.revoked")
        return any(from_pem(mark.with_suffix("").read_text())[0] == der for mark in marks)

    def expire() -> None:
        (directory / "credential").write_text("another")

    yield Bench(
        kind=Command,
        options={"program": "corporate-ca", "root_pem": root.pem.decode()},
        secrets={"credential": "correct horse"},
        network=on_loopback(commands=directory),
        longest_wait=NO_WAIT,
        count=count,
        refused=("www.example.org",),
        is_revoked=is_revoked,
        hold=(directory / "hold").touch,
        release=(directory / "hold").unlink,
        expire=expire,
    )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with command_bench(fixtures("tmp_path")) as bench:
        yield bench


_POWERS = frozenset(Power) - {Power.STOP, Power.TLS}
ROWS = {"command": Row(kind=Command, open=_opened, powers=_POWERS)}
