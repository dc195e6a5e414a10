"""The programs on this machine that may be run: those in the one folder that the operator has set."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from services.renewal.connectors import Network
from shared.errors import Invalid

NAME = r"^[A-Za-z0-9_][\w.-]*$"
"""What a program may be called: no path leads out of the folder."""
MOST_BYTES = 1_000_000
"""Of what a program writes."""
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended: its exit status, below 0 the signal that ended it."""

    status: int
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


def program_at(network: Network, name: str) -> Path:
    """Return where a program is. Raises `Invalid` where it is not there, or programs are not run at all."""
    if network.commands is None:
        raise Invalid(
            "Programs are not run here.",
            next_step="Set EVERLEAF_RENEWAL_COMMANDS to the folder with those that may be.",
        )
    path = network.commands / name
    if not path.is_file() or not os.access(path, os.X_OK):
        raise Invalid(
            f"There is no program {name} in {network.commands}.",
            next_step="Put it there and make it executable, or correct `program`.",
        )
    return path.absolute()


async def run_program(program: Path, told: bytes) -> Ended:
    """Run a program to its end, with this on its standard input, and nothing of our environment. Raises `OSError`.

    Where we are cancelled before that, it is killed with all that it has started.
    """
    output, errors = bytearray(), bytearray()
    environment = {"PATH": _PATH, "LANG": "C.UTF-8"}
    async with await anyio.open_process(
        [program], cwd=program.parent, env=environment, start_new_session=True
    ) as process:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_collect, process.stdout, output)
                tasks.start_soon(_collect, process.stderr, errors)
                tasks.start_soon(_tell, process.stdin, told)
            status = await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Ended(status=status, output=bytes(output), errors=bytes(errors))


async def _tell(stream: ByteSendStream | None, told: bytes) -> None:
    if stream is not None:
        with suppress(anyio.BrokenResourceError):  # it has ended, or reads nothing
            await stream.send(told)
        await stream.aclose()


async def _collect(stream: ByteReceiveStream | None, into: bytearray) -> None:
    """Read to the end, and keep no more than `MOST_BYTES`."""
    if stream is not None:
        async for chunk in stream:
            into += chunk[: MOST_BYTES - len(into)]
