"""How ManageSieve comes to TLS: RFC 5804 §2.2 (STARTTLS), §1.7 (capabilities)."""

import re

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_STATUS = re.compile(rb"(OK|NO|BYE)(?: .*)?", re.IGNORECASE | re.DOTALL)
_IMPLEMENTATION = b'"IMPLEMENTATION"'


def sieve(_server_name: str | None) -> Dialogue:
    """The server's capabilities, which it sends first, then STARTTLS. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    capabilities = yield from _until_ok(conversation)
    if not any(line.upper().startswith(_IMPLEMENTATION) for line in capabilities):  # it must be there (§1.7)
        raise OtherProtocol(b" ".join(capabilities) or "no capabilities")
    if b'"STARTTLS"' not in {line.strip().upper() for line in capabilities}:
        raise Refused("STARTTLS is not offered")
    conversation.say(b"STARTTLS\r\n")
    yield from _until_ok(conversation)
    return None


def _until_ok(conversation: Conversation) -> Step[list[bytes]]:
    """Read up to OK and return the lines before it; literals may make them anything, but for the first."""
    lines: list[bytes] = []
    while True:
        line = yield from conversation.line()
        status = _STATUS.fullmatch(line)
        if status and status[1].upper() == b"OK":
            return lines
        if status:
            raise Refused(line)
        if not lines and not line.startswith(b'"'):
            raise OtherProtocol(line)
        lines.append(line)
