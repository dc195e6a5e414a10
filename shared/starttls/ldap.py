"""How LDAP comes to TLS: the StartTLS extended operation, RFC 4511 §4.14."""

from dataclasses import dataclass

from shared.starttls.conversation import (
    MOST_BYTES,
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_OID = b"1.3.6.1.4.1.1466.20037"
_SEQUENCE, _INTEGER, _ENUMERATED, _OCTETS = 0x30, 0x02, 0x0A, 0x04
_REQUEST, _RESPONSE = 0x77, 0x78  # [APPLICATION 23], [APPLICATION 24] (RFC 4511 §4.12)
_MESSAGE_ID, _DISCONNECTION = 1, 0  # the server's own notices carry no id of ours (RFC 4511 §4.4)
_LONG_FORM, _LONGEST_LENGTH = 0x80, 4
_RESULTS = {  # those that RFC 4511 §4.14.2 names, and what servers without a certificate say
    1: "operationsError",
    2: "protocolError",
    10: "referral",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}


@dataclass(frozen=True)
class _Element:
    tag: int
    content: bytes
    rest: bytes


def ldap(_server_name: str | None) -> Dialogue:
    """ExtendedRequest StartTLS; result 0 is the go-ahead. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    conversation.say(_start_tls())
    message = yield from _message(conversation)
    number = _expect(message, tag=_INTEGER)
    response = _expect(number.rest, tag=_RESPONSE)
    if int.from_bytes(number.content) not in {_MESSAGE_ID, _DISCONNECTION}:
        raise OtherProtocol(message)
    _expect_success(response.content, message_id=int.from_bytes(number.content))
    return None


def _start_tls() -> bytes:
    name = bytes([0x80, len(_OID)]) + _OID
    operation = bytes([_INTEGER, 1, _MESSAGE_ID, _REQUEST, len(name)]) + name
    return bytes([_SEQUENCE, len(operation)]) + operation


def _message(conversation: Conversation) -> Step[bytes]:
    """Read an LDAPMessage and return what is in its SEQUENCE; lengths may be long where short would do."""
    head = yield from conversation.exactly(2)
    if head[0] != _SEQUENCE:
        raise OtherProtocol(head)
    length = head[1]
    if length & _LONG_FORM:
        count = length & ~_LONG_FORM
        if not 0 < count <= _LONGEST_LENGTH:
            raise OtherProtocol(head)
        length = int.from_bytes((yield from conversation.exactly(count)))
    if length > MOST_BYTES:
        raise OtherProtocol(f"an LDAP message of {length} bytes")
    return (yield from conversation.exactly(length))


def _expect_success(response: bytes, *, message_id: int) -> None:
    """Read an LDAPResult (RFC 4511 §4.1.9): result code, matched DN, diagnostic message."""
    code = _expect(response, tag=_ENUMERATED)
    matched = _expect(code.rest, tag=_OCTETS)
    diagnostic = _expect(matched.rest, tag=_OCTETS)
    result = int.from_bytes(code.content)
    if result or message_id == _DISCONNECTION:
        named = f"{_RESULTS.get(result, 'result')} ({result}): ".encode()
        raise Refused(named + diagnostic.content)


def _expect(data: bytes, *, tag: int) -> _Element:
    """Take one BER element off the data. Raises `OtherProtocol` if it is not whole or another one."""
    if len(data) < 2 or data[0] != tag:  # noqa: PLR2004 - a tag and a length
        raise OtherProtocol(data)
    length, start = data[1], 2
    if length & _LONG_FORM:
        start += length & ~_LONG_FORM
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        raise OtherProtocol(data)
    return _Element(tag=tag, content=data[start : start + length], rest=data[start + length :])
