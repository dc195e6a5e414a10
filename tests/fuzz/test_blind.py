"""Fuzzing without atheris reads on, and keeps what a reader fails at."""

import random
from pathlib import Path

import pytest

from tests.fuzz.blind import fuzz
from tests.fuzz.readers import READERS


def test_the_readers_survive_a_moment_of_it(tmp_path: Path) -> None:
    runs, failing = fuzz(1, found=tmp_path)
    assert failing is None
    assert runs > 50


def test_what_a_reader_fails_at_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def frail(data: bytes) -> None:
        assert data[0] in range(len(READERS)), "the reader is never changed"
        if data.count(0xFF) > 20:
            raise KeyError(data[0])

    _, failing = fuzz(20, found=tmp_path, read=frail, chance=random.Random(1))
    assert failing is not None
    assert failing.read_bytes().count(0xFF) > 20
    assert "KeyError" in capsys.readouterr().err
