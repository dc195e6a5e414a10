"""How NNTP comes to TLS: RFC 4642 §2.2 (STARTTLS) and RFC 3977 §5.2 (CAPABILITIES)."""

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)
from shared.starttls.replies import Reply, read_reply

_READY = frozenset({200, 201})
_UNAVAILABLE = frozenset({400, 502})  # for now, and for good (RFC 3977 §5.1)
_LIST, _GO_AHEAD = 101, 382


def nntp(_server_name: str | None) -> Dialogue:
    """Greeting, CAPABILITIES, STARTTLS. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    _expect_greeting((yield from read_reply(conversation)))
    yield from _ask_for_offer(conversation)
    conversation.say(b"STARTTLS\r\n")
    answer = yield from read_reply(conversation)
    if answer.code != _GO_AHEAD:
        raise Refused(answer.words)
    return None


def _expect_greeting(greeting: Reply) -> None:
    if greeting.code in _UNAVAILABLE:
        raise Refused(greeting.words)
    if greeting.code not in _READY:
        raise OtherProtocol(greeting.words)


def _ask_for_offer(conversation: Conversation) -> Step[None]:
    """Ask for the capabilities; a server older than RFC 3977 is asked for TLS all the same."""
    conversation.say(b"CAPABILITIES\r\n")
    answer = yield from read_reply(conversation)
    if answer.code != _LIST:
        return
    offered = set()
    while (line := (yield from conversation.line())) != b".":
        offered.add(line.strip().upper())
    if b"STARTTLS" not in offered:
        raise Refused("STARTTLS is not offered")
