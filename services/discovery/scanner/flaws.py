"""Heartbleed, CCS injection and Ticketbleed: asked for as gently as can be told from.

Of what a vulnerable server sends only its length is looked at: it is somebody's memory, so it is neither kept nor logged.
"""

import ssl
from collections.abc import Iterator
from dataclasses import replace

from services.discovery.domain.sightings import Finding, Flaw
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flight import Flight
from services.discovery.scanner.handshakes import Secured
from services.discovery.scanner.hello import Offer
from services.discovery.scanner.look import Asker
from services.discovery.scanner.numbers import ALERTS
from services.discovery.scanner.parts import Part
from services.discovery.scanner.questions import Answer, Ending, Question
from services.discovery.scanner.talk import (
    ALERT,
    CHANGE_CIPHER,
    HANDSHAKE,
    HEARTBEAT,
    Conversation,
    Records,
    Talk,
    first_flight,
    record,
)

_ASKED_TOO_MUCH, _ASKED_FAIRLY = 16, 8
_FAIR = b"\x01" + _ASKED_FAIRLY.to_bytes(2, "big") + bytes(_ASKED_FAIRLY + 16)
_UNFAIR = b"\x01" + _ASKED_TOO_MUCH.to_bytes(2, "big")
_RESPONSE = 2
_DECRYPTS = (20, 21)
"""Alerts of who decrypts by now: bad_record_mac, decryption_failed."""
_SESSION = b"\xeb"
_LEAKED = 32
_NEW_TICKET, _SERVER_HELLO = 4, 2
_ALERT_LENGTH = 2


def vulnerable(reason: str) -> Flaw:
    """Return that a weakness was shown."""
    return Flaw(Finding.VULNERABLE, reason)


def sound(reason: str) -> Flaw:
    """Return that a weakness was looked for, and is not there."""
    return Flaw(Finding.NOT, reason)


def unchecked(reason: str) -> Flaw:
    """Return that it could not be told."""
    return Flaw(Finding.UNCHECKED, reason)


class Prober:
    """Asks one place for weaknesses of TLS 1.2 and older, at the version and with the suites that it speaks."""

    def __init__(self, asker: Asker, asked: Asked, offer: Offer) -> None:
        self._asker = asker
        self._asked = asked
        self._offer = offer

    def heartbleed(self) -> Part[Flaw]:
        """Ask for 16 bytes that were not sent, and then for 8 that were (CVE-2014-0160, RFC 6520 §4)."""
        hello = self._hello(replace(self._offer, with_heartbeat=True))
        talk = Talk(_heartbleed(self._asker, hello, self._offer.version))
        answer = yield from self.converse(talk)
        # Who discards the request in silence, as RFC 6520 demands, may discard the fair one too.
        return talk.result or _unanswered(talk, answer, sound("a heartbeat of false length is not answered"))

    def ccs_injection(self) -> Part[Flaw]:
        """Say ChangeCipherSpec before any key is agreed, twice: who goes along cannot decrypt the second (CVE-2014-0224)."""
        hello = self._hello(self._offer)
        talk = Talk(_ccs_injection(self._asker, hello, self._offer.version))
        answer = yield from self.converse(talk)
        return talk.result or _unanswered(talk, answer, sound("an early ChangeCipherSpec ends the handshake"))

    def ticketbleed(self) -> Part[Flaw]:
        """Take up a session by its ticket under an id of one byte: more must not come back (CVE-2016-9244)."""
        talk = Talk(_ticket(self._asked))
        answer = yield from self.converse(talk)
        if talk.result is None:
            return _unanswered(talk, answer, unchecked("the handshake for a ticket was not finished"))
        ticket = talk.result
        if isinstance(ticket, Flaw):
            return ticket
        lengths = []
        # Who makes an id of its own may begin it with our byte by chance, but not twice.
        for _ in range(2):
            hello = self._hello(replace(self._offer, ticket=ticket, with_ticket=True, session=_SESSION))
            echo = Talk(_session_length(hello))
            answer = yield from self.converse(echo)
            if echo.result is None:
                return unchecked(f"it did not answer to a ticket: {_ending(answer)}")
            lengths.append(echo.result)
            if echo.result != _LEAKED:
                return sound("an id of one byte does not come back longer")
        return vulnerable("of an id of one byte, 32 bytes come back")

    def converse(self, talk: Talk[object]) -> Part[Answer]:
        """Have a conversation, in the protocol that is spoken before TLS where there is one."""
        (answer,) = yield [Question(talk.hello, talk, self._asked.starttls)]
        return answer

    def _hello(self, offer: Offer) -> bytes:
        return self._asker.hello_once(self._asked, offer)


def _heartbleed(asker: Asker, hello: bytes, version: int) -> Conversation[Flaw]:
    flight = yield from first_flight(hello, asker.keys)
    if flight.alert is not None:
        return unchecked(_refused(flight))
    if not flight.has_heartbeat:
        return sound("heartbeats are not spoken")
    requests = record(HEARTBEAT, version, _UNFAIR) + record(HEARTBEAT, version, _FAIR)
    records = Records()
    data = yield requests
    while True:
        for kind, fragment in records.take(data):
            if kind == HEARTBEAT and fragment[:1] == bytes([_RESPONSE]):
                # A response to the fair one alone is no longer than that was.
                is_fair = len(fragment) <= len(_FAIR)
                return sound("a heartbeat of false length is not answered") if is_fair else _BLEEDS
            if kind == ALERT:
                return sound("a heartbeat of false length ends the connection")
        data = yield b""


_BLEEDS = vulnerable("a heartbeat is answered with more than it held")


def _ccs_injection(asker: Asker, hello: bytes, version: int) -> Conversation[Flaw]:
    flight = yield from first_flight(hello, asker.keys)
    if flight.alert is not None:
        return unchecked(_refused(flight))
    records = Records()
    data = yield 2 * record(CHANGE_CIPHER, version, b"\x01")
    while True:
        for kind, fragment in records.take(data):
            if kind == ALERT:
                if len(fragment) == _ALERT_LENGTH and fragment[1] in _DECRYPTS:
                    return vulnerable("an early ChangeCipherSpec is taken: it decrypts what comes after it")
                return sound("an early ChangeCipherSpec ends the handshake")
        data = yield b""


def _ticket(asked: Asked) -> Conversation[bytes | Flaw]:
    """Return the ticket of a finished handshake; before TLS 1.3 it is sent in clear (RFC 5077 §3.3)."""
    secured = Secured(asked.server_name, only_12=True)
    try:
        heard = yield from secured.handshake()
    except ssl.SSLError as error:
        return unchecked(f"the handshake for a ticket was not finished: {error.reason or 'it was closed'}")
    for kind, body in _messages(heard):
        if kind == _NEW_TICKET:
            ticket = body[6 : 6 + int.from_bytes(body[4:6], "big")]
            return ticket or sound("no session tickets are handed out")
    return sound("no session tickets are handed out")


def _session_length(hello: bytes) -> Conversation[int]:
    """Return how many bytes of id come back that begin with ours; 0 where none do, or no session at all."""
    records, handshake = Records(), b""
    data = yield hello
    while True:
        for kind, fragment in records.take(data):
            if kind == ALERT and fragment[:1] == b"\x02":
                return 0
            handshake += fragment if kind == HANDSHAKE else b""
            if len(handshake) > 39:  # noqa: PLR2004 - type, length, version and random before the id's length
                is_ours = handshake[0] == _SERVER_HELLO and handshake[39:40] == _SESSION
                return handshake[38] if is_ours else 0
        data = yield b""


def _messages(heard: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the handshake messages before the server's ChangeCipherSpec."""
    joined = b""
    for kind, fragment in Records().take(heard):
        if kind == CHANGE_CIPHER:
            break
        joined += fragment if kind == HANDSHAKE else b""
    while len(joined) >= 4:  # noqa: PLR2004 - a message's header
        end = 4 + int.from_bytes(joined[1:4], "big")
        yield joined[0], joined[4:end]
        joined = joined[end:]


def _unanswered(talk: Talk[object], answer: Answer, then: Flaw) -> Flaw:
    """Return what it means that a conversation did not come to its end: after the hello, before or after our part."""
    if talk.turns and answer.ending in (Ending.SILENT, Ending.CUT):
        return then
    return unchecked(f"it did not answer: {_ending(answer)}")


def _refused(flight: Flight) -> str:
    return f"the hello was refused with TLS alert {flight.alert} ({ALERTS.get(flight.alert or 0, 'unknown')})"


def _ending(answer: Answer) -> str:
    return answer.ending.name.lower().replace("_", " ")
