"""PowerShell on a Windows host, over SSH: fixed scripts that answer as one line of JSON.

The command is always the same one, short enough for cmd.exe, and runs what comes on its standard input. What a script is
asked comes beside it as base64 of JSON, so that nothing is ever pasted into a script; and its answer goes back as base64
between two marks, so that neither code pages nor line widths nor what a profile or PowerShell's progress says can change it.

Windows may log every script that runs (event 4104, "script block logging") and every parameter of a command in it (4103). So
what is secret comes after a mark on the standard input, is never a part of the script's text, and is in `$secret` for it.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncssh

from shared.errors import Refused, Unavailable

MOST_BYTES = 32 * 1024 * 1024
"""Of one answer, as sent."""
MARK = "#secret:"
"""What comes before what is secret; no script has it."""
_SAID = 200
_BOOTSTRAP = (
    "$ProgressPreference='SilentlyContinue';"
    f"$said=[Console]::In.ReadToEnd() -split '{MARK}',2;"
    "& ([ScriptBlock]::Create($said[0])) $said[1]"
)
COMMAND = "powershell.exe -NoProfile -NonInteractive -EncodedCommand " + base64.b64encode(
    _BOOTSTRAP.encode("utf-16-le")
).decode("ascii")
_BEFORE = """$ErrorActionPreference = 'Stop'
$secret = $args[0]
$text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{asked}'))
$asked = ConvertFrom-Json -InputObject $text
$told = & {{
"""
_AFTER = """
}
$json = ConvertTo-Json -InputObject $told -Depth 6 -Compress
$line = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($json))
[Console]::Out.Write('#answer:' + $line + ':answer#')
"""
_ANSWER = re.compile(rb"#answer:([A-Za-z0-9+/=\s]*):answer#")


class PowerShell:
    """Runs scripts. Raises `Refused` where there is no PowerShell, `Unavailable` where it gives no usable answer."""

    def __init__(self, connection: asyncssh.SSHClientConnection, *, limit: timedelta) -> None:
        """`limit` is how long one script may take."""
        self._connection = connection
        self.address = str((connection.get_extra_info("peername") or ("",))[0])
        """The IP address at which the host was reached."""
        self._seconds = limit.total_seconds()

    async def ask(self, script: str, *, answers: str, secret: bytes = b"", **asked: Any) -> Mapping[str, Any]:
        """Run a script, which finds what it is asked in `$asked`, and return its answer: an object with this member at least.

        A secret is in `$secret`, as base64.
        """
        seconds = self._seconds
        try:
            async with asyncio.timeout(seconds):
                status, said, complained = await self._run(written(script, asked, secret=secret))
        except TimeoutError:
            raise Unavailable(
                f"The host did not answer in {seconds:g} s.", next_step="Look at the host."
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise Unavailable(
                f"The connection was lost ({error}).", next_step="It is tried again by itself."
            ) from error
        told = _answer(said, status=status, complained=complained)
        if answers not in told:
            raise Unavailable(
                f"PowerShell's answer has no {answers}.", next_step="It is tried again by itself."
            )
        return told

    async def _run(self, script: str) -> tuple[int | None, bytes, bytes]:
        process = await self._connection.create_process(COMMAND, encoding=None)
        try:
            with suppress(OSError):  # it has ended already; what it said tells why
                process.stdin.write(script.encode("ascii"))
                process.stdin.write_eof()
            said, complained = await asyncio.gather(
                _bounded(process.stdout, MOST_BYTES), _bounded(process.stderr, MOST_BYTES)
            )
            await process.wait_closed()
        finally:
            process.close()
        return process.exit_status, said, complained


async def _bounded(stream: asyncssh.SSHReader[bytes], most: int) -> bytes:
    said = bytearray()
    while chunk := await stream.read(1 << 16):
        said += chunk
        if len(said) > most:
            raise Unavailable(f"The host said more than {most} bytes.", next_step="Look at the host.")
    return bytes(said)


def written(script: str, asked: Mapping[str, Any], *, secret: bytes = b"") -> str:
    """Return all that goes to the standard input for a script: pure ASCII, whatever is asked."""
    text = base64.b64encode(json.dumps(asked, sort_keys=True).encode()).decode("ascii")
    hidden = base64.b64encode(secret).decode("ascii")
    return f"{_BEFORE.format(asked=text)}{script.strip()}{_AFTER}{MARK}{hidden}"


def _answer(said: bytes, *, status: int | None, complained: bytes) -> Mapping[str, Any]:
    found = _ANSWER.findall(said)
    if found:
        try:
            told = json.loads(base64.b64decode(b"".join(found[-1].split()), validate=True).decode())
        except (binascii.Error, ValueError, RecursionError):
            told = None
        if isinstance(told, dict):
            return told
        raise Unavailable("PowerShell's answer cannot be read.", next_step="It is tried again by itself.")
    words = _plain(complained)
    if status is not None and status and b"CLIXML" not in complained:
        raise Refused(
            f"The host does not run PowerShell (exit status {status}){words}.",
            next_step="Check that it is a Windows host, and that powershell.exe is in the path of the account.",
        )
    raise Unavailable(
        f"PowerShell gave no answer{words}.",
        next_step="Check that the account may run PowerShell in full language mode.",
    )


def _plain(complained: bytes) -> str:
    """Return what was complained of, as one plain line; PowerShell writes its errors as XML (CLIXML) here."""
    text = complained.decode(errors="replace")
    errors = re.findall(r'<S S="Error">(.*?)</S>', text)
    text = " ".join(errors) if errors else re.sub(r"#< CLIXML|<[^>]*>", " ", text)
    text = re.sub(r"_x00[0-9A-F]{2}_", " ", text)
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f": {plain[:_SAID].rstrip('.')}" if plain else ""


def listed(value: Any) -> list[Any]:
    """Return the members of a list, as Windows PowerShell may write it: of one, only that; of none, nothing; or wrapped."""
    if isinstance(value, dict) and set(value) == {"value", "Count"}:
        value = value["value"]
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list."""
    return [each for each in listed(value) if isinstance(each, dict)]


def texts(value: Any) -> list[str]:
    """Return the texts in a list."""
    return [each for each in listed(value) if isinstance(each, str)]
