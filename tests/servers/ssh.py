"""OpenSSH's real sshd on loopback, with one account: the one that runs the tests, or another that it runs as."""

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.servers.processes import NotStarted, Process, free_port, program

PRIVILEGE_SEPARATION = Path("/run/sshd")  # compiled into Debian's sshd; its init script makes it


class Sshd:
    """A running sshd that lets `username` in with `client_key` (an OpenSSH private key, as text)."""

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        *,
        user: str | None = None,
        options: Sequence[str] = (),
        password: str = "",
        sudoers: str = "",
        sftp: str = "internal-sftp",
    ) -> None:
        """`options` are lines that come before the others; `password` is that of an account `guest`, known here only.

        `sudoers` says what that may do by sudo.
        """
        self.port = free_port()
        self.username = user or pwd.getpwuid(os.getuid()).pw_name
        self._user = user
        self._sftp = sftp
        self._options = "\n".join(options)
        self._accounts = _accounts(directory, password=password, sudoers=sudoers) if password else None
        client = Ed25519PrivateKey.generate()
        self.client_key = private_text(client)
        self._directory = directory
        self._host_key = Ed25519PrivateKey.generate()
        self._process: Process | None = None
        (directory / "authorized_keys").write_text(public_text(client) + "\n")
        (directory / "sshd_config").write_text(self._config())

    @property
    def host_key(self) -> str:
        """The host's public key, as text: "ssh-ed25519 AAAA…"."""
        return public_text(self._host_key)

    @property
    def known_hosts(self) -> str:
        """The line of a known_hosts file that vouches for this server."""
        return f"[{self.host}]:{self.port} {self.host_key}\n"

    def start(self) -> None:
        """Start sshd and return when it accepts connections."""
        key = self._directory / "host_key"
        key.touch(mode=0o600)
        key.write_text(private_text(self._host_key))
        if self._user is not None:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, self._user)
        elif os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        args = [
            *(_with_accounts(self._accounts) if self._accounts else ()),
            program("sshd", package="openssh-server"),
            "-D",
            "-e",
            "-f",
            str(self._directory / "sshd_config"),
        ]
        self._process = Process(args, log=self._directory / "sshd.log", user=self._user)
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop sshd and cut the connections it still has."""
        if self._process is None:
            return
        process, self._process = self._process, None
        sessions = _descendants(process.pid)
        process.stop()
        _kill(sessions)
        process.end_session()
        _wait_closed(self.host, self.port)

    def drop_sessions(self) -> None:
        """Cut every connection, as a network failure would; sshd goes on listening."""
        if self._process is not None:
            _kill(_descendants(self._process.pid))

    def replace_host_key(self) -> None:
        """Become another host on the same port, as a rebuilt machine or an impostor would."""
        self.stop()
        self._host_key = Ed25519PrivateKey.generate()
        self.start()

    def rotate_client_key(self) -> str:
        """Let another key in, and that one only; return it."""
        client = Ed25519PrivateKey.generate()
        self.client_key = private_text(client)
        (self._directory / "authorized_keys").write_text(public_text(client) + "\n")
        return self.client_key

    def log(self) -> str:
        """Return the end of what sshd wrote: who came, with which key."""
        path = self._directory / "sshd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _config(self) -> str:
        return f"""
{self._options}
ListenAddress {self.host}
Port {self.port}
HostKey {self._directory}/host_key
AuthorizedKeysFile {self._directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
X11Forwarding no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 100
Subsystem sftp {self._sftp}
LogLevel VERBOSE
"""


class HostCertificate:
    """An authority's word for a host: `host_key` and `host_key-cert.pub` in a folder, by ssh-keygen."""

    def __init__(self, directory: Path, *, valid: str = "+30d") -> None:
        self.key, self.certificate = directory / "host_key", directory / "host_key-cert.pub"
        keygen = program("ssh-keygen", package="openssh-client")
        for path in (directory / "ssh_ca", self.key):
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        command = [
            keygen,
            "-q",
            "-s",
            str(directory / "ssh_ca"),
            "-I",
            "host",
            "-h",
            "-n",
            "web.test",
            "-V",
            valid,
        ]
        subprocess.run([*command, f"{self.key}.pub"], check=True)


GUEST = "guest"


def _accounts(directory: Path, *, password: str, sudoers: str) -> Mapping[Path, Path]:
    """Write account files with one account more, and return where each belongs."""
    hashed = subprocess.run(
        [program("openssl", package="openssl"), "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    lines = {
        "passwd": f"{GUEST}:x:65534:65534::/:/bin/sh\n",
        "shadow": f"{GUEST}:{hashed}:20000:0:99999:7:::\n",
    }
    written = {}
    for name, line in lines.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(Path("/etc", name).read_text() + line)
        path.chmod(0o644 if name == "passwd" else 0o600)
        written[Path("/etc", name)] = path
    pam = directory / "pam"
    pam.write_text(
        "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n"
    )
    if sudoers:
        rules = directory / "sudoers"
        rules.write_text(f"{sudoers}\n")
        rules.chmod(0o440)
        written[Path("/etc/sudoers")] = rules
    return {**written, Path("/etc/pam.d/sshd"): pam}


def _with_accounts(accounts: Mapping[Path, Path]) -> list[str]:
    """Return how to run a program that sees these account files, and nobody else does: no account is left behind."""
    mounts = " && ".join(f"mount --bind {shlex.quote(str(own))} {path}" for path, own in accounts.items())
    command = f'{mounts} && exec "$@"'
    unshare = program("unshare", package="util-linux")
    return [unshare, "--mount", "--propagation", "private", "/bin/sh", "-c", command, "sh"]


def private_text(key: Ed25519PrivateKey) -> str:
    """Return the key as an OpenSSH private key file's text, without a passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public half as one line, without a comment."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _descendants(pid: int) -> list[int]:
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return []
    return found + [below for child in found for below in _descendants(child)]


def _wait_closed(host: str, port: int, *, limit: float = 20.0) -> None:
    """Return when nobody listens there: a child that sshd forked last holds its listening socket until it has run.

    A server started before that could not bind the port, and whoever connected then would be cut off.
    """
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), 0.5).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass
        time.sleep(0.01)
    raise NotStarted(f"something still listens on {host}:{port} {limit} s after its sshd was stopped")


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """One sshd for this test."""
    directory = tmp_path / "sshd"
    directory.mkdir()
    server = Sshd(directory)
    with contextlib.ExitStack() as running:
        running.callback(server.stop)
        server.start()
        yield server
