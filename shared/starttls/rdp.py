"""How RDP comes to TLS: MS-RDPBCGR 2.2.1.1 (X.224 Connection Request) and 2.2.1.2 (Confirm)."""

import struct

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_TPKT_VERSION, _REQUEST, _CONFIRM = 3, 0xE0, 0xD0
_TPKT = struct.Struct("!BxH")  # version, length with this header (RFC 1006 §6)
_X224 = struct.Struct("!BBHHB")  # length of what follows, code, two references, class
_NEGOTIATION = struct.Struct("<BBHI")  # type, flags, its length, protocols or failure
_NEG_REQUEST, _NEG_RESPONSE, _NEG_FAILURE = 1, 2, 3
_SSL, _HYBRID, _HYBRID_EX = 1, 2, 8
_OVER_TLS = _SSL | _HYBRID | _HYBRID_EX
_LARGEST = 1024
_FAILURES = {  # MS-RDPBCGR 2.2.1.2.2
    1: "SSL_REQUIRED_BY_SERVER",
    2: "SSL_NOT_ALLOWED_BY_SERVER",
    3: "SSL_CERT_NOT_ON_SERVER",
    4: "INCONSISTENT_FLAGS",
    5: "HYBRID_REQUIRED_BY_SERVER",
    6: "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
}


def rdp(_server_name: str | None) -> Dialogue:
    """Ask for TLS, with or without CredSSP in it, which also begins with TLS. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    conversation.say(_connection_request())
    negotiation = yield from _confirm(conversation)
    if len(negotiation) < _NEGOTIATION.size:  # MS-RDPBCGR 2.2.1.2: an old server leaves it out
        raise Refused("only Standard RDP Security")
    kind, _, _, value = _NEGOTIATION.unpack_from(negotiation)
    if kind == _NEG_FAILURE:
        raise Refused(_FAILURES.get(value, f"failure {value}"))
    if kind != _NEG_RESPONSE:
        raise OtherProtocol(negotiation)
    if not value & _OVER_TLS:
        raise Refused("only Standard RDP Security")
    return None


def _connection_request() -> bytes:
    # Without HYBRID a server that insists on network level authentication would refuse.
    negotiation = _NEGOTIATION.pack(_NEG_REQUEST, 0, _NEGOTIATION.size, _SSL | _HYBRID)
    length = _X224.size - 1 + len(negotiation)
    body = _X224.pack(length, _REQUEST, 0, 0, 0) + negotiation
    return _TPKT.pack(_TPKT_VERSION, _TPKT.size + len(body)) + body


def _confirm(conversation: Conversation) -> Step[bytes]:
    """Read the Connection Confirm and return the negotiation in it, if any. Raises `OtherProtocol`."""
    head = yield from conversation.exactly(_TPKT.size)
    version, length = _TPKT.unpack(head)
    if version != _TPKT_VERSION or not _TPKT.size + _X224.size <= length <= _LARGEST:
        raise OtherProtocol(head)
    body = yield from conversation.exactly(length - _TPKT.size)
    if body[1] & 0xF0 != _CONFIRM:
        raise OtherProtocol(head + body)
    return body[_X224.size :]
