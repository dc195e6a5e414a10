"""A Windows host with OpenSSH and Windows PowerShell 5.1, as far as certificates go.

After Microsoft: "OpenSSH for Windows" (cmd.exe is the default shell), "about_PowerShell_exe" (`-EncodedCommand` is base64 of
UTF-16LE), "ConvertTo-Json", "certutil -view" (`-restrict` with its grammar, `-out`, `csv`), "Certificate store provider" and
the ICertView columns. It runs nothing: it takes exactly the command and the scripts that the connectors are known to send,
answers what Windows would for its state, and refuses everything else as cmd.exe or PowerShell refuse it. What it answers has
the quirks of a real one: progress as CLIXML on the error output, a banner in the code page of the console, a list of one
member written as that member, `/Date(…)/`, and certutil's headings in the language of its user.
"""

import asyncio
import base64
import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors.windows import scripts
from shared.appliances.powershell import _AFTER, _BOOTSTRAP, MARK
from tests.servers.processes import free_port
from tests.servers.ssh import private_text, public_text
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.windows_changes import Changes

USER, PASSWORD = "scanner", "Win-Pass-word-1"
ADMINISTRATORS_ONLY = "O:SYG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)"
_PROGRESS = (
    b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj S="progress" '
    b'RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T></TN></Obj></Objs>'
)
_BANNER = "Aktive Codepage: 850. Für Prüfzwecke.\r\n".encode("cp850")
_SENT = re.compile(
    r"\$text = .*?FromBase64String\('(?P<asked>[A-Za-z0-9+/=]*)'\)\)\n.*?\$told = & \{\n", re.DOTALL
)
_COLUMNS = {
    "requestid": "RequestID",
    "rawcertificate": "RawCertificate",
    "disposition": "Disposition",
    "notafter": "NotAfter",
}
_RESTRICTION = re.compile(r"[+-]?(?P<column>\w+)\s*(?P<sign><=|>=|==|=|<|>)\s*(?P<value>[\w+:-]+)")
_DENIED = "CertUtil: -view command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)"
_INVALID = "CertUtil: -view command FAILED: 0x80070057 (WIN32: 87 ERROR_INVALID_PARAMETER)"


@dataclass(kw_only=True)
class Held:
    """A certificate in a store; `key` as the script tells of it, None where there is none."""

    der: bytes
    key: Mapping[str, Any] | None = None

    @property
    def thumbprint(self) -> str:
        """The SHA-1 of it, as Windows writes it."""
        return x509.load_der_x509_certificate(self.der).fingerprint(SHA1()).hex().upper()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A row of a CA's database: 20 is issued, 21 revoked, 30 failed."""

    id: int
    der: bytes = b""
    disposition: int = 20


@dataclass(kw_only=True)
class State:
    """All that the host holds and says."""

    stores: dict[str, list[Held]] = field(
        default_factory=lambda: {"My": [], "WebHosting": [], "Remote Desktop": []}
    )
    uses: dict[str, Any] = field(default_factory=dict)
    """What the script about uses answers, beside its defaults."""
    forbidden: set[str] = field(default_factory=set)
    """Stores whose provider refuses."""
    requests: list[Request] = field(default_factory=list)
    wraps: bool = True
    """Whether certutil breaks base64 into lines, between BEGIN and END."""
    refuses_database: bool = False
    is_plain_error: bool = False
    """PowerShell is not there: cmd.exe says so."""


class WindowsHost:
    """One host on loopback, in the loop that opens it; `writes` counts what was no known, reading script."""

    def __init__(self) -> None:
        self.port = free_port()
        self.state = State()
        self.authority = CertificateAuthority("Windows root").intermediate("Windows issuing")
        self.asked: list[Mapping[str, Any]] = []
        self.writes = 0
        self.changes = Changes()
        self.said: list[str] = []
        """The scripts that came, as Windows would log them."""
        self.noise = b""
        """Written instead of an answer."""
        self._key = Ed25519PrivateKey.generate()
        self._listening: asyncssh.SSHAcceptor | None = None
        self._silent: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def host_key(self) -> str:
        """The host's public key."""
        return public_text(self._key)

    def hold(self, store: str, issued: Issued, **key: Any) -> str:
        """Put a certificate and its key into a store; return its thumbprint."""
        facts = {"Name": "k1", "Provider": "Microsoft Software Key Storage Provider", "IsExportable": False}
        facts |= {
            "IsMatch": True,
            "File": r"C:\ProgramData\Microsoft\Crypto\Keys\k1",
            "Sddl": ADMINISTRATORS_ONLY,
        }
        held = Held(der=issued.certificate.public_bytes(Encoding.DER), key={**facts, **key})
        self.state.stores.setdefault(store, []).append(held)
        return held.thumbprint

    async def start(self) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        key = asyncssh.import_private_key(private_text(self._key))
        self._listening = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=_Door,
            server_host_keys=[key],
            process_factory=self._serve,
            encoding=None,
        )

    async def close(self) -> None:
        """Stop, and forget all connections."""
        for each in (self._listening, self._silent):
            if each is not None:
                each.close()
                await each.wait_closed()
        self._listening = self._silent = None

    def stop(self) -> None:
        """Refuse connections; from another thread."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.close(), self._loop).result(10)

    def stall(self) -> None:
        """Accept connections and say nothing; from another thread."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._fall_silent(), self._loop).result(10)

    async def _fall_silent(self) -> None:
        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        await self.close()
        self._silent = await asyncio.start_server(hear, "127.0.0.1", self.port)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        status = 1
        try:
            status = await self._run(process)
        finally:
            process.exit(status)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        name, _, encoded = (process.command or "").partition(" -NoProfile -NonInteractive -EncodedCommand ")
        if name != "powershell.exe" or self.state.is_plain_error or _decoded(encoded) != _BOOTSTRAP:
            self.writes += not self.state.is_plain_error
            process.stderr.write(
                f"'{name}' is not recognized as an internal or external command,\r\n".encode("cp850")
            )
            return 1
        process.stderr.write(_PROGRESS)
        sent, _, hidden = (await process.stdin.read()).decode("ascii").partition(MARK)
        self.said.append(sent)
        start = _SENT.search(sent)
        script = sent[start.end() :].removesuffix(_AFTER) if start else ""
        is_change = self.changes.knows(script)
        if start is None or not (is_change or script in {each.strip() for each in scripts.EVERY}):
            self.writes += 1
            process.stderr.write(b'#< CLIXML\r\n<Objs><S S="Error">Unknown script._x000D__x000A_</S></Objs>')
            return 1
        asked = json.loads(base64.b64decode(start["asked"]))
        self.asked.append(asked)
        process.stdout.write(_BANNER)
        if self.noise:
            process.stdout.write(self.noise)
            return 0
        told = (
            self.changes.answer(script, asked, hidden.encode()) if is_change else self._answer(script, asked)
        )
        written = json.dumps(_collapsed(told))
        line = base64.b64encode(written.encode()).decode()
        process.stdout.write(f"#answer:{line}:answer#".encode())
        return 0

    def _answer(self, script: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if script == scripts.WHO.strip():
            since = f"/Date({int(datetime.now(UTC).timestamp() * 1000)})/"
            return {"Name": f"LAB\\{USER}", "Computer": "LAB-WEB", "IsAdministrator": True, "Since": since}
        if script == scripts.CERTIFICATES.strip():
            return self._certificates(asked)
        if script == scripts.USES.strip():
            return self._uses()
        return self._issued(asked)

    def _certificates(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        found: list[Mapping[str, Any]] = []
        gaps, after = [], asked["after"]
        for store in asked["stores"]:
            if store in self.state.forbidden:
                gaps.append({"Scope": store, "Text": "Access is denied.\r\n"})
                held = []
            else:
                held = sorted(self.state.stores.get(store, ()), key=lambda each: each.thumbprint)
            found += [
                {
                    "Store": store,
                    "Thumbprint": e.thumbprint,
                    "Raw": base64.b64encode(e.der).decode(),
                    "Key": e.key,
                }
                for e in held
                if e.thumbprint > after
            ]
            after = ""
        is_full = len(found) >= asked["count"]
        return {"Certificates": found[: asked["count"]], "Gaps": gaps, "IsFull": is_full}

    def _uses(self) -> Mapping[str, Any]:
        above = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in self.authority.chain]
        told = {"Http": [], "Iis": [], "Rdp": [], "Sql": [], "Gaps": [], "Role": 3}
        return {**told, "Intermediates": above, "Addresses": ["192.0.2.20", "fe80::1%4"], **self.state.uses}

    def _issued(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.state.refuses_database:
            return {"Text": _DENIED, "Count": 1, "Status": -2147024891}
        columns = [_COLUMNS.get(each.lower()) for each in asked["out"].split(",")]
        tests = [_RESTRICTION.fullmatch(each.strip()) for each in asked["restrict"].split(",")]
        if None in columns or not all(test and test["column"].lower() in _COLUMNS for test in tests):
            return {"Text": _INVALID, "Count": 1, "Status": -2147024809}
        rows = [each for each in self.state.requests if all(_fits(each, test) for test in tests if test)]
        written = io.StringIO()
        writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["Anforderungs-ID", "Binäres Zertifikat"])
        for row in sorted(rows, key=lambda each: each.id):
            writer.writerow([row.id, self._written(row.der)])
        lines = written.getvalue().splitlines()[: asked["lines"]]
        return {"Text": "\n".join(lines), "Count": len(lines), "Status": 0}

    def _written(self, der: bytes) -> str:
        text = base64.b64encode(der).decode()
        if not self.state.wraps:
            return text
        lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


class _Door(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-16-le")
    except ValueError:
        return ""


def _collapsed(value: Any) -> Any:
    """Write a list of one member as that member, as Windows PowerShell does where a list came down a pipeline."""
    if isinstance(value, dict):
        return {name: _collapsed(each) for name, each in value.items()}
    if isinstance(value, list):
        return _collapsed(value[0]) if len(value) == 1 else [_collapsed(each) for each in value]
    return value


def _fits(row: Request, test: re.Match[str]) -> bool:
    column = test["column"].lower()
    wanted = test["value"]
    have: float = {"requestid": row.id, "disposition": row.disposition}.get(column, 0)
    if column == "notafter":
        assert re.fullmatch(r"now([+-]\d+:\d+)?", wanted), "a date depends on the language of its user"
        end = x509.load_der_x509_certificate(row.der).not_valid_after_utc if row.der else datetime.now(UTC)
        have, limit = end.timestamp(), datetime.now(UTC).timestamp()
    else:
        limit = float(wanted)
    sign = test["sign"]
    return {"=": have == limit, "==": have == limit, "<": have < limit, ">": have > limit}.get(
        sign, have >= limit if sign == ">=" else have <= limit
    )
