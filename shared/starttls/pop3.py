"""How POP3 comes to TLS: RFC 2595 §4 (STLS) and RFC 2449 §5 (CAPA)."""

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)


def pop3(_server_name: str | None) -> Dialogue:
    """Greeting, CAPA, STLS. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    _expect_ok((yield from conversation.line()))
    yield from _ask_for_offer(conversation)
    conversation.say(b"STLS\r\n")
    _expect_ok((yield from conversation.line()))
    return None


def _ask_for_offer(conversation: Conversation) -> Step[None]:
    """Ask for the capabilities; a server older than CAPA is asked for TLS all the same."""
    conversation.say(b"CAPA\r\n")
    answer = yield from conversation.line()
    if not _is_ok(answer):
        return
    offered = set()
    while (line := (yield from conversation.line())) != b".":
        offered.add(line.strip().upper())
    if b"STLS" not in offered:
        raise Refused("STLS is not offered")


def _expect_ok(line: bytes) -> None:
    if not _is_ok(line):
        raise Refused(line)


def _is_ok(line: bytes) -> bool:
    """Tell the two status indicators apart (RFC 1939 §3). Raises `OtherProtocol`."""
    indicator = line.split(b" ", 1)[0].upper()
    if indicator not in {b"+OK", b"-ERR"}:
        raise OtherProtocol(line)
    return indicator == b"+OK"
