"""Logging into hosts: real sshds, with passwords, certificates, an agent, and through one another."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_IGNORE
from asyncssh.encryption import get_default_encryption_algs

from shared.errors import Invalid, Refused, Unavailable
from shared.ssh import Credential, HostKeyChanged, JumpHost, Login, Reach, log_in, read_client_keys, through
from tests.servers.processes import free_port, program
from tests.servers.ssh import GUEST, Sshd

StartSshd = Callable[..., Sshd]
PASSWORD = "correct horse, battery staple"


@pytest.fixture
def start_sshd(tmp_path: Path) -> Iterator[StartSshd]:
    with contextlib.ExitStack() as running:

        def start(*options: str, password: str = "") -> Sshd:
            directory = tmp_path / f"sshd-{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            server = Sshd(directory, options=options, password=password)
            running.callback(server.stop)
            server.start()
            return server

        yield start


def login(server: Sshd, **changes: Any) -> Login:
    credential = changes.pop("credential", {"private_key": server.client_key})
    plain = Login(
        host=server.host,
        port=server.port,
        username=server.username,
        host_key=server.host_key,
        credential=Credential.model_validate(credential),
    )
    return replace(plain, **changes)


async def says(login: Login, command: str = "id -un") -> str:
    async with asyncio.timeout(20):
        connection = await log_in(login)
    async with connection:
        done = await connection.run(command, timeout=20)
    return str(done.stdout).strip()


class Authority:
    """Signs keys, as `ssh-keygen -s` does."""

    def __init__(self) -> None:
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.public = self._key.export_public_key().decode().strip()

    def user(self, private_key: str, *, name: str, until: timedelta = timedelta(hours=1)) -> str:
        key, now = asyncssh.import_private_key(private_key), datetime.now()
        begin = int((now + min(until, timedelta()) - timedelta(hours=1)).timestamp())
        signed = self._key.generate_user_certificate(
            key, "test", principals=[name], valid_after=begin, valid_before=int((now + until).timestamp())
        )
        return signed.export_certificate().decode()

    def host(self, public_key: str, *, name: str) -> str:
        key = asyncssh.import_public_key(public_key)
        return (
            self._key.generate_host_certificate(key, "host", principals=[name]).export_certificate().decode()
        )


@pytest.mark.parametrize(
    "options",
    [
        ["PasswordAuthentication yes"],
        ["UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"],
    ],
    ids=["password", "keyboard-interactive"],
)
async def test_a_password_lets_in_whether_it_is_asked_for_one_way_or_the_other(
    start_sshd: StartSshd, options: list[str]
):
    server = start_sshd(*options, password=PASSWORD)
    asked = login(server, username=GUEST, credential={"password": PASSWORD})
    assert await says(asked, "echo in") == "in"
    with pytest.raises(Refused, match="refused the login") as refused:
        await says(replace(asked, credential=Credential.model_validate({"password": "another"})))
    assert "another" not in str(refused.value)
    assert GUEST not in Path("/etc/passwd").read_text()


async def test_a_user_certificate_lets_in_a_key_that_the_host_has_never_seen(
    start_sshd: StartSshd, tmp_path: Path
):
    authority = Authority()
    (tmp_path / "users.pub").write_text(authority.public + "\n")
    server = start_sshd(f"TrustedUserCAKeys {tmp_path}/users.pub")
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    signed = authority.user(key, name=server.username)
    with pytest.raises(Refused):
        await says(login(server, credential={"private_key": key}))
    assert (
        await says(login(server, credential={"private_key": key, "certificate": signed})) == server.username
    )


async def test_a_user_certificate_that_ran_out_is_said_to_have_run_out(start_sshd: StartSshd):
    server, authority = start_sshd(), Authority()
    signed = authority.user(server.client_key, name=server.username, until=-timedelta(minutes=1))
    with pytest.raises(Refused, match="certificate expired") as refused:
        await says(login(server, credential={"private_key": server.client_key, "certificate": signed}))
    assert "new one signed" in refused.value.next_step


def test_a_certificate_of_another_key_is_refused_before_anything_is_tried():
    key, other = (asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode() for _ in "ab")
    signed = Authority().user(other, name="x")
    for certificate in (signed, "not a certificate"):
        credential = Credential.model_validate({"private_key": key, "certificate": certificate})
        with pytest.raises(Invalid, match="does not go with the private key"):
            read_client_keys(credential)


async def test_a_host_certificate_is_held_against_the_stored_ca_and_the_name(
    start_sshd: StartSshd, tmp_path: Path
):
    authority, path = Authority(), tmp_path / "host-cert.pub"
    server = start_sshd(f"HostCertificate {path}")
    trusted = f"@cert-authority {authority.public}"
    path.write_text(authority.host(server.host_key, name="127.0.0.1"))
    assert await says(login(server, host_key=trusted)) == server.username
    with pytest.raises(HostKeyChanged, match="no host certificate of the stored CA"):
        await says(login(server, host_key=f"@cert-authority {Authority().public}"))
    path.write_text(authority.host(server.host_key, name="another.test"))
    with pytest.raises(HostKeyChanged, match=r"principal mismatch"):
        await says(login(server, host_key=trusted))
    with pytest.raises(Unavailable) as ended:
        await says(login(start_sshd(), host_key=trusted))
    assert "host certificate to show" in ended.value.next_step


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of a real ssh-agent that holds nothing yet."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(
        [program("ssh-agent", package="openssh-client"), "-D", "-a", path], stdout=subprocess.DEVNULL
    )
    try:
        while not os.path.exists(path):  # noqa: PTH110 - as cheap as it gets in a loop
            assert process.poll() is None
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(5)


async def test_an_agent_lets_in_where_the_operator_names_it_and_not_otherwise(
    start_sshd: StartSshd, agent: str, monkeypatch: pytest.MonkeyPatch
):
    server = start_sshd()
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    asked = login(server, credential={"agent": True})
    with pytest.raises(Refused, match="no ssh-agent"):
        await says(asked)
    with pytest.raises(Refused, match="holds no key"):
        await says(replace(asked, agent=agent))
    async with asyncssh.connect_agent(agent) as held:
        await held.add_keys([asyncssh.import_private_key(server.client_key)])
    assert await says(replace(asked, agent=agent)) == server.username
    with pytest.raises(Unavailable, match="does not answer"):
        await says(replace(asked, agent=f"{agent}-gone"))


def through_one(server: Sshd, jump: Sshd, *, credentials: bool = True, **changes: Any) -> Login:
    step = JumpHost(host=jump.host, port=jump.port, username=jump.username, host_key=jump.host_key)
    own = [Credential.model_validate({"private_key": jump.client_key})] if credentials else []
    return through(login(server, **changes), [step], credentials=own)


async def test_a_host_is_reached_through_another_with_a_key_and_a_credential_of_its_own(
    start_sshd: StartSshd,
):
    jump, server = start_sshd("AllowTcpForwarding yes"), start_sshd()
    assert await says(through_one(server, jump)) == server.username
    assert jump.log().count("Accepted publickey") == 1
    with pytest.raises(Refused, match=rf"^127.0.0.1:{jump.port} refused the login"):
        await says(through_one(server, jump, credentials=False))
    with pytest.raises(HostKeyChanged, match=rf"^127.0.0.1:{server.port} \(through 127.0.0.1:{jump.port}\)"):
        await says(through_one(server, jump, host_key=jump.host_key))
    with pytest.raises(Unavailable, match=f"through 127.0.0.1:{jump.port}"):
        await says(through_one(server, jump, port=free_port()))


async def test_a_jump_host_that_forwards_nothing_is_said_to(start_sshd: StartSshd):
    jump, server = start_sshd(), start_sshd()
    with pytest.raises(Unavailable, match="jump host opens no connection") as refused:
        await says(through_one(server, jump))
    assert "AllowTcpForwarding" in refused.value.next_step


@pytest.mark.parametrize(
    ("options", "spoken"),
    [
        ((), "aes256-gcm@openssh.com"),
        (("Ciphers chacha20-poly1305@openssh.com",), "chacha20-poly1305@openssh.com"),
    ],
)
async def test_the_cipher_that_costs_least_is_spoken_where_the_host_knows_it(
    start_sshd: StartSshd, options: tuple[str, ...], spoken: str
):
    async with await log_in(login(start_sshd(*options))) as connection:
        assert connection.get_extra_info("send_cipher") == spoken
        assert connection.get_extra_info("recv_cipher") == spoken


async def test_nobody_logs_in_where_the_operator_does_not_let_us(start_sshd: StartSshd):
    server, jump = start_sshd(), start_sshd("AllowTcpForwarding yes")
    asked: list[tuple[str, int]] = []

    def permits(address: str, port: int) -> bool:
        asked.append((address, port))
        return port != server.port

    reach = Reach(permits=permits, settings="EVERLEAF_DISCOVERY_DENY")
    for each in (login(server, reach=reach), through_one(server, jump, reach=reach)):
        with pytest.raises(Refused, match="EVERLEAF_DISCOVERY_DENY does not let us log in"):
            await says(each)
    assert "Accepted" not in server.log()
    assert (jump.host, jump.port) in asked


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"private_key": "k", "password": "p"},
        {"password": "p", "agent": True},
        {"agent": True, "certificate": "c"},
    ],
)
def test_a_credential_is_one_way_to_log_in(given: dict[str, Any]):
    with pytest.raises(ValueError, match="private_key"):
        Credential.model_validate(given)


async def test_nothing_is_sent_that_says_nothing_and_no_cipher_would_need_it(
    start_sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
):
    sent: list[int] = []
    send = SSHConnection.send_packet

    def counted(self: SSHConnection, kind: int, *content: bytes, **more: Any) -> None:
        sent.append(kind)
        send(self, kind, *content, **more)

    monkeypatch.setattr(SSHConnection, "send_packet", counted)
    server = start_sshd()
    assert await says(login(server)) == server.username
    assert sent.count(MSG_CHANNEL_OPEN) == 1
    assert MSG_IGNORE not in sent
    async with await log_in(login(server)) as connection:
        assert connection.get_extra_info("send_cipher") == "aes256-gcm@openssh.com"
    assert not [name for name in get_default_encryption_algs() if b"cbc" in name]
