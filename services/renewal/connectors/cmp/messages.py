"""The messages of CMP (RFC 9810): what is asked, what is answered, and that an answer is to us and from the CA.

Written by hand, for the protection is over the very bytes of header and body.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from services.renewal.connectors.cmp.protection import NotProtected, Protection
from services.renewal.connectors.cmp.writing import TIME, bits, explicit, integer, octets, sequence, tagged
from shared import der

_VERSION = 2
_NONCE = 16
_DIRECTORY_NAME, _SEQUENCE, _BITS, _INTEGER = 0xA4, 0x30, 0x03, 0x02
_KIND, _CONTEXT, _NUMBER = 0xE0, 0xA0, 0x1F
"""Of an identifier octet: class and form, those of an explicit tag, and the tag's number."""


class Body(IntEnum):
    """The kinds of body that are used here, by their tags (RFC 9810 §5.1.2)."""

    CP = 3
    P10CR = 4
    RR = 11
    RP = 12
    PKI_CONF = 19
    ERROR = 23
    CERT_CONF = 24
    POLL_REQ = 25
    POLL_REP = 26


class Status(IntEnum):
    """What has become of a request (RFC 9810 §5.2.3)."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3


FAILURES = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
]
"""The bits of PKIFailureInfo (RFC 9810 §5.2.3)."""


class Unreadable(Exception):
    """A message that is none, is not from the CA, or is not the answer to ours."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """What ties messages together: one transaction, and the nonce that the other side has said last."""

    transaction: bytes
    their_nonce: bytes | None = None

    @classmethod
    def begin(cls) -> "Dialogue":
        """Return a new one."""
        return cls(transaction=secrets.token_bytes(_NONCE))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A message to the CA, and what its answer has to repeat."""

    der: bytes
    nonce: bytes
    dialogue: Dialogue


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the CA has answered: the kind and the content of the body, and the dialogue as it is now."""

    body: int
    content: der.Value = field(repr=False)
    dialogue: Dialogue
    certificates: tuple[bytes, ...] = field(repr=False)
    """What came along, in DER."""
    is_protected: bool = True


@dataclass(frozen=True, kw_only=True)
class Told:
    """A status, in the CA's own words."""

    status: int
    text: str = ""
    failures: frozenset[str] = frozenset()


def ask(body: Body, content: bytes, *, protection: Protection, dialogue: Dialogue, now: datetime) -> Question:
    """Return a message with this body (DER)."""
    sealing, nonce = protection.begin(), secrets.token_bytes(_NONCE)
    header = sequence(
        integer(_VERSION),
        protection.sender,
        tagged(_DIRECTORY_NAME, sequence()),
        explicit(0, tagged(TIME, now.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())),
        explicit(1, sealing.algorithm),
        explicit(2, octets(protection.key_id)) if protection.key_id is not None else b"",
        explicit(4, octets(dialogue.transaction)),
        explicit(5, octets(nonce)),
        explicit(6, octets(dialogue.their_nonce)) if dialogue.their_nonce is not None else b"",
    )
    wrapped = explicit(body, content)
    value = sealing.protect(sequence(header, wrapped))
    extra = explicit(1, sequence(*protection.certificates)) if protection.certificates else b""
    message = sequence(header, wrapped, explicit(0, bits(value)), extra)
    return Question(der=message, nonce=nonce, dialogue=dialogue)


def read(message: bytes, *, question: Question, protection: Protection) -> Answer:
    """Return what the CA has answered. Raises `Unreadable`; an error need not be protected, and is marked so."""
    try:
        header, body, *others = der.value(message).expect(_SEQUENCE).inside()
        fields = {each.tag & _NUMBER: each for each in header.inside() if each.tag & _KIND == _CONTEXT}
        extra = {each.tag & _NUMBER: each for each in others}
        certificates = _certificates(extra.get(1))
        is_protected = 0 in extra and 1 in fields
        if is_protected:
            value = next(extra[0].inside()).expect(_BITS).content[1:]
            algorithm = next(fields[1].inside()).encoded
            protection.verify(
                algorithm, sequence(header.encoded, body.encoded), value, certificates=certificates
            )
        said: dict[int, bytes] = {
            number: next(fields[number].inside()).content for number in (4, 5, 6) if number in fields
        }
        kind, content = body.tag & _NUMBER, next(body.inside())
    except (der.Malformed, ValueError, StopIteration) as error:
        raise Unreadable("it is no message of CMP") from error
    except NotProtected as error:
        raise Unreadable(str(error)) from error
    if is_protected:
        _require_answer(said, question)
    elif kind != Body.ERROR:
        raise Unreadable("it is not protected")
    return Answer(
        body=kind,
        content=content,
        dialogue=Dialogue(transaction=question.dialogue.transaction, their_nonce=said.get(5)),
        certificates=tuple(certificates),
        is_protected=is_protected,
    )


def _require_answer(said: Mapping[int, bytes], question: Question) -> None:
    if (said.get(4), said.get(6)) != (question.dialogue.transaction, question.nonce):
        raise Unreadable("it answers something else")


def _certificates(extra: der.Value | None) -> Sequence[bytes]:
    return [each.encoded for each in next(extra.inside()).inside()] if extra is not None else []


def status_of(info: der.Value) -> Told:
    """Return what a PKIStatusInfo says. Raises `Malformed`."""
    parts = list(info.expect(_SEQUENCE).inside())
    if not parts:
        raise der.Malformed("a status says nothing")
    number, *others = parts
    text, failures = "", frozenset[str]()
    for each in others:
        if each.tag == _SEQUENCE:
            text = "; ".join(one.content.decode(errors="replace") for one in each.inside())
        elif each.tag == _BITS:
            failures = frozenset(name for bit, name in enumerate(FAILURES) if _is_set(each.content[1:], bit))
    return Told(status=int.from_bytes(number.expect(_INTEGER).content), text=text, failures=failures)


def _is_set(content: bytes, bit: int) -> bool:
    return bit // 8 < len(content) and bool(content[bit // 8] & (0x80 >> bit % 8))


def error_of(answer: Answer) -> Told:
    """Return what an error says. Raises `Unreadable`."""
    try:
        return status_of(next(answer.content.inside()))
    except (der.Malformed, StopIteration) as error:
        raise Unreadable("its error cannot be read") from error


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What a request was answered with."""

    told: Told
    request_id: int
    certificate: bytes | None
    others: tuple[bytes, ...]
    """Further certificates that came along, in DER."""


def granted_of(answer: Answer) -> Granted:
    """Return what a certification response says (RFC 9810 §5.3.4). Raises `Unreadable`."""
    try:
        *before, responses = answer.content.inside()
        public = [each.encoded for part in before for each in next(part.inside()).inside()]
        request_id, info, *pair = next(responses.inside()).inside()
        certificate = None
        if pair and pair[0].tag == _SEQUENCE:
            chosen = next(pair[0].inside())
            certificate = next(chosen.expect(_CONTEXT).inside()).encoded
        return Granted(
            told=status_of(info),
            request_id=int.from_bytes(request_id.content, signed=True),
            certificate=certificate,
            others=(*answer.certificates, *public),
        )
    except (der.Malformed, ValueError, StopIteration) as error:
        raise Unreadable("its certificate cannot be read") from error


def check_after(answer: Answer) -> int:
    """Return in how many seconds the CA wants to be asked again (RFC 9810 §5.3.22). Raises `Unreadable`."""
    try:
        _, seconds, *_ = next(answer.content.inside()).inside()
        return int.from_bytes(seconds.content)
    except (der.Malformed, ValueError, StopIteration) as error:
        raise Unreadable("it does not say when to ask again") from error
