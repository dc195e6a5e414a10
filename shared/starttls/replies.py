"""What counts as a reply of three digits, as SMTP, LMTP, FTP and NNTP have it."""

import re
from dataclasses import dataclass

from shared.starttls.conversation import Conversation, OtherProtocol, Step

_FIRST = re.compile(rb"([1-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """A whole reply: its code, its lines without their codes, and its text as it came."""

    code: int
    lines: tuple[bytes, ...]
    words: bytes

    @property
    def is_good(self) -> bool:
        """Say whether the server did what was asked (2yz)."""
        return self.code // 100 == 2  # noqa: PLR2004 - the code's first digit (RFC 5321 §4.2.1)


def read_reply(conversation: Conversation) -> Step[Reply]:
    """Read a reply of one or many lines (RFC 5321 §4.2.1, RFC 959 §4.2). Raises `OtherProtocol`.

    As FTP has it, a line inside a reply may be anything but the end: its code and a space.
    """
    first = yield from conversation.line()
    found = _FIRST.fullmatch(first)
    if found is None:
        raise OtherProtocol(first)
    code, lines, words = found[1], [found[3] or b""], [first]
    while found[2] == b"-":
        line = yield from conversation.line()
        lines.append(line[4:] if line.startswith(code) else line)
        words.append(line)
        if line[:4] in {code, code + b" "}:
            break
    return Reply(code=int(code), lines=tuple(lines), words=b" ".join(words))
