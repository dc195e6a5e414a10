"""How PostgreSQL comes to TLS: "SSL Session Encryption" in its frontend/backend protocol."""

import struct

from shared.starttls.conversation import (
    Conversation,
    Dialogue,
    OtherProtocol,
    Refused,
    Step,
)

_SSL_REQUEST = struct.pack("!II", 8, 80877103)  # its length, and the code 1234.5679
_LONGEST_ERROR = 30000  # libpq's own bound for an error before authentication


def postgres(_server_name: str | None) -> Dialogue:
    """SSLRequest; one byte answers: S for yes, N for no, E begins an error. Raises `Refused`, `OtherProtocol`."""
    conversation = Conversation()
    conversation.say(_SSL_REQUEST)
    answer = yield from conversation.exactly(1)
    if answer == b"E":
        raise Refused((yield from _error(conversation)))
    if answer not in {b"S", b"N"} or conversation.has_more:  # "SSH-2.0" begins with S too
        raise OtherProtocol(answer)
    if answer == b"N":
        raise Refused("SSL is not offered")
    return None


def _error(conversation: Conversation) -> Step[bytes]:
    """Read an ErrorResponse and return its message, the field M. Raises `OtherProtocol`."""
    head = yield from conversation.exactly(4)
    (length,) = struct.unpack("!I", head)
    if not len(head) < length <= _LONGEST_ERROR:
        raise OtherProtocol(b"E" + head)
    body = yield from conversation.exactly(length - len(head))
    return next((field[1:] for field in body.split(b"\0") if field.startswith(b"M")), body)
