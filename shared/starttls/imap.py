"""How IMAP comes to TLS: RFC 9051 §6.2.1, RFC 3501 §6.2.1."""

import re

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_CAPABILITIES = re.compile(rb"\* (?:OK \[)?CAPABILITY ([^\]]*)", re.IGNORECASE)
_OK, _NO, _BAD = b"OK", b"NO", b"BAD"


def imap(_server_name: str | None) -> Dialogue:
    """Greeting, CAPABILITY unless the greeting had it, STARTTLS. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    greeting = yield from conversation.line()
    _expect_greeting(greeting)
    if b"STARTTLS" not in _capabilities([greeting]):
        yield from _ask_for_offer(conversation)
    conversation.say(b"e2 STARTTLS\r\n")
    answer, _ = yield from _tagged(conversation, tag=b"e2")
    if _status(answer) != _OK:
        raise Refused(answer)
    return None


def _expect_greeting(greeting: bytes) -> None:
    start = greeting.upper()
    if start.startswith((b"* BYE", b"* PREAUTH")):  # STARTTLS is for those who are not yet logged in
        raise Refused(greeting[2:])
    if not start.startswith(b"* OK"):
        raise OtherProtocol(greeting)


def _ask_for_offer(conversation: Conversation) -> Step[None]:
    """Ask for the capabilities; a server that has no list of them is asked for TLS all the same."""
    conversation.say(b"e1 CAPABILITY\r\n")
    answer, untagged = yield from _tagged(conversation, tag=b"e1")
    listed = _capabilities(untagged)
    if _status(answer) == _OK and listed and b"STARTTLS" not in listed:
        raise Refused("STARTTLS is not offered")


def _tagged(conversation: Conversation, *, tag: bytes) -> Step[tuple[bytes, list[bytes]]]:
    """Read up to the answer with our tag; return it without the tag, and the untagged lines before it."""
    untagged: list[bytes] = []
    while True:
        line = yield from conversation.line()
        if line.startswith(tag + b" "):
            return line.removeprefix(tag + b" "), untagged
        if line.upper().startswith(b"* BYE"):
            raise Refused(line[2:])
        if not line.startswith(b"* "):
            raise OtherProtocol(line)
        untagged.append(line)


def _status(answer: bytes) -> bytes:
    status = answer.split(b" ", 1)[0].upper()
    if status not in {_OK, _NO, _BAD}:
        raise OtherProtocol(answer)
    return status


def _capabilities(lines: list[bytes]) -> set[bytes]:
    found = (_CAPABILITIES.match(line) for line in lines)
    return {word for match in found if match for word in match[1].upper().split()}
