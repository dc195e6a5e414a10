"""A command on a host, in a channel of its own.

The library's own way to run one opens streams and redirections, which cost as much as the channel; what is asked here is
how it ended, and the end of what it said.
"""

import asyncssh

_LONGEST = 4
"""Bytes of a character in UTF-8 (RFC 3629 §3)."""


class _Said(asyncssh.SSHClientSession[bytes]):
    """The end of what a command says, on each of its two outputs."""

    def __init__(self, most: int) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self._most = most

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep the end of it."""
        said = self.output if datatype is None else self.errors
        said += data
        del said[: -self._most]


async def run_command(
    connection: asyncssh.SSHClientConnection, command: str, *, given: str | None, keep: int
) -> tuple[int | None, str]:
    """Return the exit status of a command and its words: all of them, or more than `keep` characters from their end.

    The status is None where the connection was lost meanwhile. What is `given` is its standard input.
    Raises `asyncssh.Error` or `OSError`.
    """
    said = _Said(_LONGEST * (keep + 1))
    channel, _ = await connection.create_session(lambda: said, command, encoding=None)
    if given is not None:
        channel.write(given.encode())
    channel.write_eof()
    await channel.wait_closed()
    return channel.get_exit_status(), _text(said.output) + _text(said.errors)


def _text(said: bytearray) -> str:
    return said.decode(errors="replace")
