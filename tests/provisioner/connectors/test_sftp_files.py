from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from services.provisioner.connectors import sftp
from services.provisioner.connectors.sftp import PIECE, Attributes, Request, Sftp
from services.provisioner.connectors.sftp_files import NewFile, make_files, read_file
from tests.provisioner.connectors.test_sftp import spoken
from tests.provisioner.ssh_host import SshHost

LONG = bytes(range(256)) * (PIECE // 256) + b"the end"


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Request]]:
    """What was asked, round by round."""
    asked: list[Sequence[Request]] = []
    whole = Sftp.each

    async def each(self: Sftp, *requests: Request) -> list[Any]:
        asked.append(requests)
        return await whole(self, *requests)

    monkeypatch.setattr(Sftp, "each", each)
    return asked


def new(path: Path, content: bytes = b"content", *, like: Attributes | None = None) -> NewFile:
    return NewFile(path=str(path), content=content, like=like, mode=0o640)


async def test_two_files_are_made_in_the_rounds_of_one(
    host: SshHost, tmp_path: Path, rounds: list[Sequence[Request]]
):
    async with spoken(host) as files:
        assert await make_files(files, [new(tmp_path / "a", LONG)]) == [None]
        of_one = len(rounds)
        refused = await make_files(files, [new(tmp_path / "b", LONG), new(tmp_path / "c", b"")])
    assert refused == [None, None]
    assert len(rounds) == 2 * of_one == 4
    assert [(tmp_path / name).read_bytes() for name in "abc"] == [LONG, LONG, b""]
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in "abc"} == {0o640}


async def test_of_two_files_the_one_that_is_refused_is_told_and_the_other_is_made(
    host: SshHost, tmp_path: Path
):
    (tmp_path / "there").write_bytes(b"of another")
    async with spoken(host) as files:
        refused, made = await make_files(files, [new(tmp_path / "there"), new(tmp_path / "new")])
    assert isinstance(refused, asyncssh.SFTPError)
    assert made is None
    assert [(tmp_path / name).read_bytes() for name in ("there", "new")] == [b"of another", b"content"]


async def test_a_file_that_cannot_be_given_to_its_owner_is_refused(
    host: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "there").touch(mode=0o604)
    monkeypatch.setattr(sftp, "give", lambda _, **__: sftp.look(str(tmp_path / "nowhere")))
    async with spoken(host) as files:
        like = await files.one(sftp.look(str(tmp_path / "there")))
        other = replace(like, uid=like.uid + 1)
        theirs, anothers = await make_files(
            files, [new(tmp_path / "a", like=like), new(tmp_path / "b", like=other)]
        )
    assert theirs is None
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o604
    assert isinstance(anothers, asyncssh.SFTPNoSuchFile)


async def test_what_is_put_off_is_asked_with_what_comes_next(host: SshHost, tmp_path: Path):
    (tmp_path / "there").write_bytes(LONG)
    async with spoken(host) as files:
        files.put_off(sftp.remove(str(tmp_path / "there")))
        assert (tmp_path / "there").exists()
        missing = await files.each(sftp.look(str(tmp_path / "there")))
    assert isinstance(missing[0], asyncssh.SFTPNoSuchFile)


async def test_a_file_is_read_to_its_end_however_its_pieces_fall(host: SshHost, tmp_path: Path):
    contents = [b"", b"short", LONG[:PIECE], LONG]
    async with spoken(host) as files:
        for content in contents:
            (tmp_path / "there").write_bytes(content)
            assert await read_file(files, str(tmp_path / "there")) == content
