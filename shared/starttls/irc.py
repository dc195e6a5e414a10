"""How IRC comes to TLS: the IRCv3 "tls" specification, with numerics 670 and 691."""

import re

from shared.starttls.conversation import Conversation, Dialogue, OtherProtocol, Refused

# [@tags] [:source] command parameters (RFC 1459 §2.3.1, IRCv3 message tags); `source` tells numerics' origin.
_MESSAGE = re.compile(rb"(?:@[^ ]+ +)?(?::[^ ]+ +)?([A-Za-z]+|[0-9]{3})(?: +(.*))?", re.DOTALL)
_COMMANDS = frozenset({b"NOTICE", b"PING", b"CAP", b"ERROR"})  # what is said to somebody not yet registered
_GO_AHEAD, _FAILED = b"670", b"691"


def irc(_server_name: str | None) -> Dialogue:
    """STARTTLS at once, before registration; notices are passed over. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    conversation.say(b"STARTTLS\r\n")
    while True:
        line = yield from conversation.line()
        command = _command(line)
        if command == _GO_AHEAD:
            return None
        # 4yz and 691 are errors: 421 is an unknown command, 451 wants registration first.
        if command in {_FAILED, b"ERROR"} or command.startswith(b"4"):
            raise Refused(line)


def _command(line: bytes) -> bytes:
    found = _MESSAGE.fullmatch(line)
    command: bytes = found[1].upper() if found else b""
    if not command.isdigit() and command not in _COMMANDS:
        raise OtherProtocol(line)
    if command.isdigit() and not line.startswith((b":", b"@")):  # "220 …" is somebody else's reply
        raise OtherProtocol(line)
    return command
