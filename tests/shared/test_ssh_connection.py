import asyncio
import logging
from pathlib import Path

import asyncssh
import pytest

from shared.ssh import log_in
from shared.ssh_connection import open_connection
from tests.servers.processes import free_port
from tests.shared.test_ssh import StartSshd, login, says, start_sshd

__all__ = ["start_sshd"]


async def test_nothing_is_told_of_a_login_that_goes_well(
    start_sshd: StartSshd, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    server = start_sshd()
    assert await says(login(server)) == server.username
    assert [record for record in caplog.records if record.name.startswith("asyncssh")] == []


async def test_a_warning_is_told(start_sshd: StartSshd, caplog: pytest.LogCaptureFixture):
    async with await log_in(login(start_sshd())) as connection:
        connection.logger.warning("%s is odd", "this")
        connection.logger.get_child("child").debug1("%s is not", "that")
    assert [record.getMessage() for record in caplog.records] == ["this is odd"]


async def test_no_agent_is_asked_that_the_operator_has_not_named(
    start_sshd: StartSshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    asked: list[bool] = []

    def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(True)
        writer.close()

    agent = await asyncio.start_unix_server(hear, tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    server = start_sshd()
    assert await says(login(server)) == server.username
    agent.close()
    assert asked == []


async def test_a_port_where_nobody_listens_leaves_nothing_behind():
    key = asyncssh.generate_private_key("ssh-ed25519")
    before = asyncio.all_tasks()
    with pytest.raises(ConnectionRefusedError):
        await open_connection(
            "127.0.0.1",
            free_port(),
            name="nobody",
            username="nobody",
            client_keys=asyncssh.load_keypairs(key),
            password=None,
            host_keys=([key.convert_to_public()], []),
            via=None,
        )
    assert asyncio.all_tasks() == before
