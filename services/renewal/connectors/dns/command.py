"""A program of the operator's that changes DNS records, called as lego's `exec` provider calls one.

`PROGRAM present NAME VALUE` adds a TXT record, `PROGRAM cleanup NAME VALUE` takes it out; names end in a dot. The secret,
where there is one, is in `EVERLEAF_DNS_SECRET`; nothing else of our environment is.
"""

import subprocess
from pathlib import Path
from typing import ClassVar, Literal

import anyio
from pydantic import Field

from services.renewal.connectors import NotNow
from services.renewal.connectors.dns import DnsPart
from services.renewal.connectors.programs import NAME

TIMEOUT = 120
_SAID = 300
_PATH = "/usr/local/bin:/usr/bin:/bin"


class CommandOptions(DnsPart):
    """A program on the hosts of renewal; it may have a secret."""

    needs_secret: ClassVar[bool] = False

    kind: Literal["command"]
    program: str = Field(
        pattern=NAME,
        max_length=200,
        description="Its name in the folder EVERLEAF_RENEWAL_COMMANDS.",
        examples=["update-dns"],
    )


class Command:
    """One program."""

    def __init__(self, program: Path, *, secret: str | None) -> None:
        self._program = program
        self._secret = secret

    async def add(self, name: str, value: str) -> None:
        """Have a record added. Raises `NotNow`."""
        await self._run("present", name, value)

    async def remove(self, name: str, value: str) -> None:
        """Have a record taken out. Raises `NotNow`."""
        await self._run("cleanup", name, value)

    async def _run(self, verb: str, name: str, value: str) -> None:
        what = f"{self._program.name} {verb}"
        try:
            with anyio.fail_after(TIMEOUT):
                done = await anyio.run_process(
                    [self._program, verb, name, value],
                    env=self._environment(),
                    cwd=self._program.parent,
                    check=False,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except TimeoutError:
            raise NotNow(f"{what} did not end within {TIMEOUT} s.") from None
        except OSError as error:
            raise NotNow(f"{what} cannot be run: {error.strerror}.") from error
        if done.returncode != 0:
            raise NotNow(f"{what} ended with {done.returncode}{self._said(done.stdout)}")

    def _environment(self) -> dict[str, str]:
        own = {"EVERLEAF_DNS_SECRET": self._secret} if self._secret is not None else {}
        return {"PATH": _PATH, "LANG": "C.UTF-8", **own}

    def _said(self, output: bytes) -> str:
        text = " ".join(output.decode(errors="replace").split())
        if self._secret:
            text = text.replace(self._secret, "…")
        return f": {text[-_SAID:]}" if text else "."
