"""A small estate: TLS sites, the SSH server that leads to them, a mail server and a webhook receiver.

Everything here speaks its real protocol on loopback and needs no privileges. The sites load their
certificates from files and load them again on SIGHUP, as a web server does.

    python -m demo.estate FOLDER

writes `FOLDER/estate.json` when it is ready and runs until SIGTERM.
"""

import asyncio
import base64
import json
import os
import secrets
import shlex
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import asyncssh
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import BaseModel

from demo.certificates import Issued, LabAuthority, self_signed

HOST = "127.0.0.1"


class SiteInfo(BaseModel):
    """One TLS site: where it listens, and the files its certificate and key are loaded from."""

    name: str
    port: int
    certificate: Path
    key: Path
    about: str


class EstateInfo(BaseModel):
    """What the demonstration needs to know of the estate."""

    pid: int
    sites: list[SiteInfo]
    ssh_port: int
    ssh_host_key: str
    ssh_client_key: Path
    smtp_port: int
    smtp_user: str
    smtp_password: str
    smtp_ca: Path
    mail_dir: Path
    webhook_port: int
    webhook_secret: str
    webhook_dir: Path


class Site:
    """A TLS server that answers any request with its name."""

    def __init__(self, info: SiteInfo) -> None:
        self.info = info
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # One site is weak on purpose; OpenSSL would refuse to serve its key at the default level.
        self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.reload()

    def reload(self) -> None:
        """Load certificate and key from the files again; connections made from now on use them."""
        self._context.load_cert_chain(self.info.certificate, self.info.key)

    async def start(self, port: int = 0) -> int:
        """Listen, and return the port."""
        server = await asyncio.start_server(self._answer, HOST, port, ssl=self._context)
        return int(server.sockets[0].getsockname()[1])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                await reader.readline()
                body = f"{self.info.name}\n".encode()
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(head + body)
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()


def make_sites(folder: Path) -> list[tuple[SiteInfo, Issued]]:
    """Make the four sites' certificates: expiring, weak, self-signed, healthy."""
    old_authority = LabAuthority("Old Town CA")
    kinds = [
        (
            "shop.demo.test",
            "expires in 3 days",
            old_authority.issue("shop.demo.test", valid_days=90, days_left=3),
        ),
        ("legacy.demo.test", "RSA key of 1024 bits", old_authority.issue("legacy.demo.test", rsa_bits=1024)),
        ("printer.demo.test", "self-signed", self_signed("printer.demo.test")),
        ("www.demo.test", "healthy", old_authority.issue("www.demo.test", valid_days=90, days_left=80)),
    ]
    sites = []
    for name, about, issued in kinds:
        certificate, key = issued.write(folder / name)
        sites.append((SiteInfo(name=name, port=0, certificate=certificate, key=key, about=about), issued))
    return sites


async def start_ssh(folder: Path) -> tuple[int, str, Path]:
    """Start the SSH server that leads to the sites' files; return port, host key and client key."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    client_path = folder / "deploy_key"
    client_path.write_bytes(client_key.export_private_key())
    client_path.chmod(0o600)
    authorized = folder / "authorized_keys"
    authorized.write_bytes(client_key.export_public_key())
    server = await asyncssh.listen(
        HOST,
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(authorized),
        process_factory=_run_command,
        sftp_factory=True,
    )
    public = host_key.export_public_key().decode().split(" ")
    return server.get_port(), " ".join(public[:2]).strip(), client_path


async def _run_command(process: asyncssh.SSHServerProcess[str]) -> None:
    child = await asyncio.create_subprocess_shell(
        process.command or "true", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    process.stdout.write(out.decode())
    process.stderr.write(err.decode())
    process.exit(child.returncode or 0)


class Mailbox:
    """Keeps each received mail as a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept a mail."""
        self._count += 1
        content = envelope.content or b""
        (self._folder / f"{self._count:03}.eml").write_bytes(content if isinstance(content, bytes) else b"")
        return "250 kept"


async def start_smtp(folder: Path, *, user: str, password: str) -> tuple[int, Path]:
    """Start a mail server that demands STARTTLS and a login; return its port and its CA file."""
    authority = LabAuthority("Demo mail CA")
    certificate, key = authority.issue("localhost", HOST).write(folder / "smtp")
    ca = folder / "smtp-ca.pem"
    ca.write_text(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    mail_dir = folder / "mail"
    mail_dir.mkdir()

    def login(
        _server: object, _session: object, _envelope: object, _mechanism: str, data: object
    ) -> AuthResult:
        good = (
            isinstance(data, LoginPassword)
            and data.login.decode() == user
            and secrets.compare_digest(data.password.decode(), password)
        )
        return AuthResult(success=good, handled=good)

    def session() -> SMTP:
        return SMTP(
            Mailbox(mail_dir),
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=login,
        )

    server = await asyncio.get_running_loop().create_server(session, HOST, 0)
    return int(server.sockets[0].getsockname()[1]), ca


async def start_webhook(folder: Path) -> tuple[int, Path]:
    """Start a receiver that keeps each request's headers and body as a file."""
    hook_dir = folder / "hooks"
    hook_dir.mkdir()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        kept = {"headers": headers, "body": body.decode()}
        path = hook_dir / f"{len(list(hook_dir.iterdir())) + 1:03}.json"
        path.write_text(json.dumps(kept))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, HOST, 0)
    return int(server.sockets[0].getsockname()[1]), hook_dir


async def run(folder: Path) -> None:
    """Start everything, say where it is, and serve until SIGTERM."""
    sites = []
    for info, _issued in make_sites(folder):
        site = Site(info)
        site.info = info.model_copy(update={"port": await site.start()})
        sites.append(site)
    ssh_port, ssh_host_key, ssh_client_key = await start_ssh(folder)
    user, password = "everleaf", secrets.token_urlsafe(12)
    smtp_port, smtp_ca = await start_smtp(folder, user=user, password=password)
    webhook_port, webhook_dir = await start_webhook(folder)
    estate = EstateInfo(
        pid=os.getpid(),
        sites=[site.info for site in sites],
        ssh_port=ssh_port,
        ssh_host_key=ssh_host_key,
        ssh_client_key=ssh_client_key,
        smtp_port=smtp_port,
        smtp_user=user,
        smtp_password=password,
        smtp_ca=smtp_ca,
        mail_dir=folder / "mail",
        webhook_port=webhook_port,
        webhook_secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        webhook_dir=webhook_dir,
    )
    await _until_told(sites, lambda: _announce(folder, estate))


def _announce(folder: Path, info: EstateInfo) -> None:
    path = folder / "estate.json"
    path.touch(mode=0o600)
    part = folder / "estate.json.part"
    part.write_text(info.model_dump_json())
    part.replace(path)


async def _until_told(sites: list[Site], ready: Callable[[], None]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)

    def reload_all() -> None:
        for site in sites:
            site.reload()

    loop.add_signal_handler(signal.SIGHUP, reload_all)
    ready()
    await stop.wait()


def test_command(site: SiteInfo) -> str:
    """Return a command that succeeds where the site's certificate and key can be loaded."""
    code = (
        "import ssl,sys;c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER);"
        "c.set_ciphers('DEFAULT:@SECLEVEL=0');c.load_cert_chain(sys.argv[1],sys.argv[2])"
    )
    return shlex.join([sys.executable, "-c", code, str(site.certificate), str(site.key)])


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
