from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from services.provisioner.connectors import sftp
from services.provisioner.connectors.sftp import PIECE, Attributes, Sftp
from services.provisioner.connectors.ssh import logged_in
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import access
from tests.servers.ssh import Sshd


@asynccontextmanager
async def spoken(host: SshHost) -> AsyncIterator[Sftp]:
    async with logged_in(access(host)) as connection:
        yield await Sftp().start(connection)


async def test_what_is_asked_at_once_is_answered_in_its_order(host: SshHost, tmp_path: Path):
    (tmp_path / "there").touch(mode=0o640)
    (tmp_path / "link").symlink_to("there")
    async with spoken(host) as files:
        real, found, missing = await files.each(
            sftp.real_path(f"{tmp_path}/link"), sftp.look(f"{tmp_path}/link"), sftp.look(f"{tmp_path}/no")
        )
    made = (tmp_path / "there").stat()
    assert real == str(tmp_path / "there")
    assert found == Attributes(mode=made.st_mode & 0o7777, uid=made.st_uid, gid=made.st_gid)
    assert isinstance(missing, asyncssh.SFTPNoSuchFile)


async def test_a_file_of_several_pieces_is_written_and_read_again(host: SshHost, tmp_path: Path):
    content = bytes(range(256)) * (PIECE // 128)
    async with spoken(host) as files:
        handle = await files.one(sftp.make(f"{tmp_path}/new", mode=0o600))
        pieces = [sftp.write(handle, content[at : at + PIECE], at=at) for at in (0, PIECE)]
        await files.all(*pieces, sftp.sync(handle), sftp.close(handle))
        handle = await files.one(sftp.open_file(f"{tmp_path}/new"))
        first, second, end = await files.each(*(sftp.read(handle, at=n * PIECE) for n in range(3)))
    assert (first + second, type(end)) == (content, asyncssh.SFTPEOFError)
    assert (tmp_path / "new").read_bytes() == content
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_there_is_not_made_anew(host: SshHost, tmp_path: Path):
    (tmp_path / "there").write_bytes(b"of another")
    async with spoken(host) as files:
        with pytest.raises(asyncssh.SFTPError):
            await files.one(sftp.make(f"{tmp_path}/there", mode=0o600))
    assert (tmp_path / "there").read_bytes() == b"of another"


async def test_the_answer_to_what_was_given_up_is_not_taken_for_another(host: SshHost, tmp_path: Path):
    async with spoken(host) as files:
        given_up = files.each(sftp.look(f"{tmp_path}/no"))
        given_up.send(None)  # it has asked, and waits
        given_up.close()
        assert await files.one(sftp.real_path(str(tmp_path))) == str(tmp_path)


async def test_a_server_that_ends_is_a_lost_connection(host: SshHost):
    async with logged_in(access(host)) as connection:
        with pytest.raises(asyncssh.SFTPConnectionLost):
            await Sftp().start(connection, command="true")


async def test_openssh_s_own_server_does_all_that_is_asked_of_it(tmp_path: Path):
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = Sshd(folder)
    server.start()
    try:
        connection = await asyncssh.connect(
            server.host,
            server.port,
            username=server.username,
            client_keys=[asyncssh.import_private_key(server.client_key)],
            known_hosts=([asyncssh.import_public_key(server.host_key)], [], []),
            config=None,
        )
        async with connection:
            await _all_that_is_asked(await Sftp().start(connection), tmp_path)
    finally:
        server.stop()


async def _all_that_is_asked(files: Sftp, folder: Path) -> None:
    new, kept, renamed = (str(folder / name) for name in ("new", "kept", "renamed"))
    handle = await files.one(sftp.make(new, mode=0o600))
    made, *_ = await files.all(sftp.look_at(handle), sftp.write(handle, b"content", at=0))
    owner = sftp.give(handle, uid=made.uid, gid=made.gid)
    await files.all(owner, sftp.allow(handle, mode=0o640), sftp.sync(handle), sftp.close(handle))
    await files.all(sftp.link(new, kept), sftp.rename(new, renamed), sftp.allow(renamed, mode=0o644))
    left = sftp.Space.of(await files.one(sftp.space(str(folder))))
    await files.all(sftp.remove(kept))
    assert (folder / "renamed").read_bytes() == b"content"
    assert (folder / "renamed").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in folder.iterdir()) == ["renamed", "sshd"]
    assert left.blocks > 0
