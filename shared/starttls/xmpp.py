"""How XMPP comes to TLS: RFC 6120 §5, for the streams of clients and of servers."""

import re
from dataclasses import dataclass
from html import escape

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_STREAMS = "http://etherx.jabber.org/streams"
_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
_BLANK = b" \r\n\t\xef\xbb\xbf"  # white space, and a byte order mark
# Tags are told by pattern: a parser of XML would be more for a hostile server to play with.
_TAG = re.compile(rb"(/?)(?:[\w.-]+:)?([\w.-]+)(.*?)(/?)>", re.DOTALL)


@dataclass(frozen=True)
class _Tag:
    name: bytes
    """Without its prefix; "?xml" for the declaration, and "/features" for an end."""
    text: bytes
    """What comes before the tag."""
    is_whole: bool
    """Whether it closes itself."""


def xmpp(server_name: str | None) -> Dialogue:
    """A client's stream, its features, `<starttls/>`, `<proceed/>`. Raises `Refused`, `OtherProtocol`.

    A server with several domains, or one that insists on `to`, wants its name.
    """
    return _stream("jabber:client", server_name=server_name)


def xmpp_server(server_name: str | None) -> Dialogue:
    """A server's stream, its features, `<starttls/>`, `<proceed/>`. Raises `Refused`, `OtherProtocol`."""
    return _stream("jabber:server", server_name=server_name)


def _stream(namespace: str, *, server_name: str | None) -> Dialogue:
    conversation = Conversation()
    conversation.say(_opening(namespace, server_name=server_name))
    yield from _expect_stream(conversation)
    yield from _expect_offer(conversation)
    conversation.say(f"<starttls xmlns='{_TLS}'/>".encode())
    tag = yield from _tag(conversation)
    if tag.name != b"proceed":
        raise Refused((yield from _reason(conversation)) if tag.name == b"error" else tag.name)
    return None


def _opening(namespace: str, *, server_name: str | None) -> bytes:
    to = f" to='{escape(server_name)}'" if server_name else ""
    text = f"<?xml version='1.0'?><stream:stream{to} xmlns='{namespace}' xmlns:stream='{_STREAMS}' version='1.0'>"
    return text.encode(errors="replace")


def _expect_stream(conversation: Conversation) -> Step[None]:
    """Read the server's stream header. Raises `OtherProtocol` as soon as it cannot be one."""
    start = yield from conversation.peek(1)
    if start not in b"<" + _BLANK:
        raise OtherProtocol(start)
    tag = yield from _tag(conversation)
    if tag.name == b"?xml":
        tag = yield from _tag(conversation)
    if tag.name != b"stream" or tag.text.strip(_BLANK):
        raise OtherProtocol(tag.text + b"<" + tag.name)


def _expect_offer(conversation: Conversation) -> Step[None]:
    """Read the features, all of them, and find `<starttls/>` there (RFC 6120 §5.4.1)."""
    is_offered = False
    while True:
        tag = yield from _tag(conversation)
        if tag.name == b"error":
            raise Refused((yield from _reason(conversation)))
        is_offered = is_offered or tag.name == b"starttls"
        if tag.name == b"/features" or (tag.name == b"features" and tag.is_whole):
            break
    if not is_offered:
        raise Refused("STARTTLS is not offered")


def _reason(conversation: Conversation) -> Step[bytes]:
    """Read a stream error to its end: its condition, and its text if it has one (RFC 6120 §4.9.2)."""
    words: list[bytes] = []
    while True:
        tag = yield from _tag(conversation)
        words.append(tag.text)
        if tag.name in {b"/error", b"/stream"}:
            return b" ".join(words)
        if not tag.name.startswith(b"/") and tag.name != b"text":
            words.append(tag.name)


def _tag(conversation: Conversation) -> Step[_Tag]:
    raw = yield from conversation.until(b">")
    text, _, tag = raw.partition(b"<")
    if tag.startswith(b"?xml"):
        return _Tag(name=b"?xml", text=text, is_whole=True)
    found = _TAG.fullmatch(tag)
    if found is None:
        raise OtherProtocol(raw)
    return _Tag(name=found[1] + found[2], text=text, is_whole=bool(found[4]))
