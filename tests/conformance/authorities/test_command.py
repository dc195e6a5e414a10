"""What an authority behind a program does beside what every kind does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

from services.renewal.connectors import NotNow
from services.renewal.connectors.command import CommandOptions
from shared.errors import Invalid, Refused
from tests.conformance.authorities.bench import Bench
from tests.conformance.authorities.command import command_bench


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[Bench]:
    """A program that issues."""
    async with command_bench(tmp_path) as opened:
        yield opened


def rewrite(command: Bench, text: str) -> None:
    """Put another program in its place."""
    assert command.network.commands is not None
    (command.network.commands / "corporate-ca").write_text(text)


async def test_without_a_folder_no_program_is_run(command: Bench) -> None:
    closed = replace(command, network=replace(command.network, commands=None))
    with pytest.raises(Invalid, match="not run here"):
        closed.check_terms()
    with pytest.raises(Invalid, match="not run here"):
        await closed.issue(closed.request("www.example.test"))


@pytest.mark.parametrize("program", ["../sh", "/bin/sh", "a/b", ".hidden", "..", "sh -c x", ""])
def test_a_program_is_one_name_in_the_folder(program: str) -> None:
    with pytest.raises(ValidationError):
        CommandOptions.model_validate({"program": program})


async def test_a_program_that_is_not_there_is_named_before_there_is_a_profile(command: Bench) -> None:
    other = replace(command, options={"program": "missing"})
    with pytest.raises(Invalid, match="There is no program missing"):
        other.check_terms()


async def test_it_sees_nothing_of_our_environment(command: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEAF_SECRET_THING", "hush")
    rewrite(command, "#!/bin/sh\nenv >&2; env | grep -c EVERLEAF >&2; exit 1\n")
    with pytest.raises(Refused, match=r"corporate-ca: 0\."):
        await command.issue(command.request("www.example.test"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\necho The CA sleeps >&2\nexit 75\n", "The CA sleeps"),
        ("#!/bin/sh\nkill -9 $$\n", "exit status -9"),
        ("#!/bin/sh\necho nonsense\n", "not what is expected"),
        ("#!/no/such/interpreter\n", "cannot be run"),
        ("#!/bin/sh\nexec sleep 60\n", "did not end within 1 s"),
    ],
)
async def test_what_may_pass_is_tried_again(command: Bench, text: str, said: str) -> None:
    quick = replace(command, options={**command.options, "seconds": 1})
    rewrite(quick, text)
    with pytest.raises(NotNow, match=said):
        await quick.issue(quick.request("www.example.test"))


async def test_what_it_has_started_ends_with_it(command: Bench, tmp_path: Path) -> None:
    quick = replace(command, options={**command.options, "seconds": 1})
    rewrite(quick, f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    with pytest.raises(NotNow, match="did not end"):
        await quick.issue(quick.request("www.example.test"))
    child = int((tmp_path / "child").read_text())
    with anyio.fail_after(60):
        while Path(f"/proc/{child}").exists() and _state(child) != "Z":
            await anyio.sleep(0.02)


def _state(process: int) -> str:
    """Return the state of a process: Z for one that has ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return "Z"


async def test_a_flood_of_output_is_not_kept(command: Bench) -> None:
    rewrite(command, "#!/bin/sh\nhead -c 3000000 /dev/zero\n")
    with pytest.raises(NotNow, match="not what is expected"):
        await command.issue(command.request("www.example.test"))
