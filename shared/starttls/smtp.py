"""How SMTP and LMTP come to TLS: RFC 3207 (STARTTLS) after RFC 5321 (EHLO) or RFC 2033 (LHLO)."""

from shared.starttls.conversation import (
    OUR_NAME,
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
)
from shared.starttls.replies import Reply, read_reply

_READY = 220


def smtp(_server_name: str | None) -> Dialogue:
    """Greeting, EHLO, STARTTLS (RFC 3207 §4). Raises `Refused`, `OtherProtocol`."""
    return _mail(hello=b"EHLO")


def lmtp(_server_name: str | None) -> Dialogue:
    """Greeting, LHLO, STARTTLS (RFC 2033 §4.1, RFC 3207 §4). Raises `Refused`, `OtherProtocol`."""
    return _mail(hello=b"LHLO")


def _mail(*, hello: bytes) -> Dialogue:
    conversation = Conversation()
    greeting = yield from read_reply(conversation)
    _expect_greeting(greeting)
    conversation.say(hello + b" " + OUR_NAME + b"\r\n")
    answer = yield from read_reply(conversation)
    _expect_offer(answer, greeting=greeting)
    conversation.say(b"STARTTLS\r\n")
    answer = yield from read_reply(conversation)
    if answer.code != _READY:
        raise Refused(answer.words)
    return None


def _expect_greeting(greeting: Reply) -> None:
    if greeting.code >= 400:  # noqa: PLR2004 - 554 and 421 are refusals (RFC 5321 §3.1, §3.8)
        raise Refused(greeting.words)
    if greeting.code != _READY:
        raise OtherProtocol(greeting.words)


def _expect_offer(answer: Reply, *, greeting: Reply) -> None:
    """Find STARTTLS among the keywords, which come after the first line (RFC 5321 §4.1.1.1)."""
    if not answer.is_good:
        # FTP greets with 220 too, and only then proves to be another protocol.
        raise OtherProtocol(greeting.words) if b"FTP" in greeting.words.upper() else Refused(answer.words)
    keywords = {line.split()[0].upper() for line in answer.lines[1:] if line.split()}
    if b"STARTTLS" not in keywords:
        raise Refused("STARTTLS is not offered")
