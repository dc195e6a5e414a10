"""How FTP comes to TLS: RFC 4217 §4 (AUTH TLS), with the replies of RFC 2228 §5.1."""

from shared.starttls.conversation import Conversation, Dialogue, OtherProtocol, Refused
from shared.starttls.replies import Reply, read_reply

_LATER, _READY = 120, 220
_GO_AHEAD = frozenset({234, 334})  # 334 wants data that TLS does not have; some servers say it all the same


def ftp(_server_name: str | None) -> Dialogue:
    """Greeting, AUTH TLS; FEAT is not asked, many servers leave AUTH out of it. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    greeting = yield from read_reply(conversation)
    if greeting.code == _LATER:  # "ready in a few minutes", then the greeting (RFC 959 §5.4)
        greeting = yield from read_reply(conversation)
    _expect_greeting(greeting)
    conversation.say(b"AUTH TLS\r\n")
    answer = yield from read_reply(conversation)
    if answer.code not in _GO_AHEAD:
        raise _refusal(answer, greeting=greeting)
    return None


def _expect_greeting(greeting: Reply) -> None:
    if greeting.code >= 400:  # noqa: PLR2004 - 421, the service is not available (RFC 959 §5.4)
        raise Refused(greeting.words)
    if greeting.code != _READY:
        raise OtherProtocol(greeting.words)


def _refusal(answer: Reply, *, greeting: Reply) -> Exception:
    """A mail server greets with 220 too, and does not know AUTH TLS."""
    is_mail = any(name in greeting.words.upper() for name in (b"SMTP", b"LMTP"))
    return OtherProtocol(greeting.words) if is_mail else Refused(answer.words)
