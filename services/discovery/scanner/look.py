"""Depth `fast`: the chain, and the best that a server negotiates, with one connection and no handshake at most places.

The first hello offers TLS 1.3 and all that came before it. Who speaks TLS 1.3 shows the chain encrypted, for a
key that costs us nothing (`keys.py`); who does not shows it in clear. Who would rather have a group of which
no share was sent says so in a HelloRetryRequest (RFC 8446 §4.1.4), with version and suite in clear, and is asked
for the chain by TLS 1.2. Who says nothing of use to these is asked as old clients do.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import AUTO, Asked
from services.discovery.scanner.banners import protocol_of
from services.discovery.scanner.flight import Flight
from services.discovery.scanner.hello import (
    ALL_GROUPS,
    CLASSIC_GROUPS,
    SCHEMES_OF,
    Offer,
    client_hello,
    only_13,
)
from services.discovery.scanner.keys import FIRST_OFFER, Keys
from services.discovery.scanner.numbers import (
    ALERTS,
    COMMON_SUITES,
    GROUPS,
    SSL3,
    SUITES,
    SUITES_13,
    TLS10,
    TLS13,
    VERSIONS,
    key_type,
)
from services.discovery.scanner.questions import Answer, Ending, Inquiry, Question, unanswered
from services.discovery.scanner.ssl2 import Ssl2Flight, ssl2_hello
from shared.errors import Invalid
from shared.starttls import by_banner, by_port
from shared.x509 import load

Asking = Generator[list[Question], list[Answer], Answer]
"""Part of an inquiry: asks, and returns the answer."""

_NO_APPLICATION_PROTOCOL, _UNRECOGNIZED_NAME = 120, 112

FIRST = Offer(suites=(*SUITES_13, *COMMON_SUITES), groups=ALL_GROUPS, shares=FIRST_OFFER)
BEFORE_13 = Offer()
RETRY = only_13()
SHORT = Offer(
    version=TLS10,
    suites=(0xC014, 0xC013, 0x0039, 0x0033, 0x0035, 0x002F, 0x000A, 0x0005, 0x0004),
    groups=CLASSIC_GROUPS,
    alpn=(),
)
"""Under 255 bytes, which some old servers take for the longest there is."""
OLD = Offer(version=SSL3, with_extensions=False, alpn=())


def for_key_type(offer: Offer, kind: str | None) -> Offer:
    """Return the offer as a client makes it that verifies only this kind of key."""
    if kind is None:
        return offer
    suites = tuple(suite for suite in offer.suites if suite in SUITES_13 or key_type(suite) == kind)
    return replace(offer, suites=suites, schemes=SCHEMES_OF[kind])


@dataclass
class Asker:
    """Makes questions; a hello that was made once is kept, since one scan sends the same to everybody."""

    keys: Keys = field(default_factory=Keys)

    def __post_init__(self) -> None:
        self._hello = lru_cache(maxsize=4096)(self._make)

    def _make(self, offer: Offer, server_name: str | None, kind: str | None) -> bytes:
        return client_hello(for_key_type(offer, kind), server_name=server_name, keys=self.keys)

    def question(
        self,
        asked: Asked,
        offer: Offer,
        *,
        starttls: str | None,
        otherwise: Callable[[], Question] | None = None,
    ) -> Question:
        """Return the question that makes this offer."""
        hello = self._hello(offer, asked.server_name, asked.key_type)
        return Question(hello, Flight(hello, self.keys), starttls, otherwise)

    def question_once(self, asked: Asked, offer: Offer, *, starttls: str | None) -> Question:
        """Return the question that makes this offer, which is not made again."""
        hello = self.hello_once(asked, offer)
        return Question(hello, Flight(hello, self.keys), starttls)

    def hello_once(self, asked: Asked, offer: Offer) -> bytes:
        """Return the hello that makes this offer, which is not made again."""
        return self._make(offer, asked.server_name, asked.key_type)

    def look(self, asked: Asked) -> Inquiry:
        """Look at one place at depth `fast`."""
        return _Look(self, asked).run()


def inquiry_of(reach: Reach, asker: Asker) -> Callable[[Asked], Inquiry]:
    """Return how places are looked at."""
    if reach is Reach.FAST:
        return asker.look
    from services.discovery.scanner.depth import look_deep  # noqa: PLC0415 - a quick look does not wait for it

    return partial(look_deep, asker)


class _Look:
    """One place: what was asked so far, and the best that came of it."""

    def __init__(self, asker: Asker, asked: Asked) -> None:
        self._asker = asker
        self._asked = asked
        self._best: Sighting | None = None
        self._starttls = first_starttls(asked)

    def run(self) -> Inquiry:
        answer = yield from self._ask_first()
        if answer.ending is Ending.NOT_TLS and self._asked.starttls == AUTO:
            answer = yield from self._ask_as_it_speaks(answer)
        if is_alert(answer, _NO_APPLICATION_PROTOCOL):
            answer = yield from self._ask(_without_alpn(FIRST))
        if has_chain(answer):
            return (yield from self._ask_for_13(answer))
        if is_retry(answer):
            return (yield from self._ask_for_chain(answer.flight))
        if might_speak_other(answer):
            return (yield from self._ask_otherwise(answer))
        return self._sighting(answer)

    def _ask_first(self) -> Asking:
        """Ask, and where nobody says a word with a short hello beside: some do not answer long ones."""
        asker, asked, starttls = self._asker, self._asked, self._starttls
        short = partial(asker.question, asked, SHORT, starttls=starttls)
        (answer,) = yield [asker.question(asked, FIRST, starttls=starttls, otherwise=short)]
        return answer

    def _ask(self, offer: Offer) -> Asking:
        question = self._asker.question(self._asked, offer, starttls=self._starttls)
        (answer,) = yield [question]
        return answer

    def _ask_as_it_speaks(self, answer: Answer) -> Asking:
        """Ask with the STARTTLS that the greeting suggests; or without the one that the port had suggested."""
        spoken = by_banner(answer.said)
        if spoken is not None and spoken != self._starttls:
            self._starttls = spoken
        elif self._starttls is not None and not answer.said:
            self._starttls = None
        else:
            return answer
        return (yield from self._ask(FIRST))

    def _ask_for_13(self, shown: Answer) -> Inquiry:
        """Return what was seen, with what a server negotiates at TLS 1.3 that went lower, and says it need not."""
        if shown.flight.sentinel != TLS13:
            return self._sighting(shown)
        retry = yield from self._ask(RETRY)
        best = retry.flight if retry.flight.version == TLS13 else shown.flight
        return tls_sighting(self._asked, shown.flight, best=best, starttls=self._starttls)

    def _ask_for_chain(self, retry: Flight) -> Inquiry:
        """Return what was seen of a server that would go on with another group: what it negotiates is known."""
        shown = yield from self._ask_without_alpn_at_last(BEFORE_13)
        wanted = retry.group
        if not has_chain(shown) and wanted is not None and self._asker.keys.share(wanted) is not None:
            offer = replace(FIRST, groups=(wanted,), shares=(wanted,), alpn=("http/1.1",))
            shown = yield from self._ask(offer)
        flight = shown.flight if has_chain(shown) else retry
        return tls_sighting(self._asked, flight, best=retry, starttls=self._starttls)

    def _ask_without_alpn_at_last(self, offer: Offer) -> Asking:
        answer = yield from self._ask(offer)
        if is_alert(answer, _NO_APPLICATION_PROTOCOL):
            answer = yield from self._ask(_without_alpn(offer))
        return answer

    def _ask_otherwise(self, first: Answer) -> Inquiry:
        """Ask without TLS 1.3, then as clients did long ago; the first certificate ends it."""
        answers = [first]
        for offer in (BEFORE_13, SHORT, OLD):
            answer = yield from self._ask_without_alpn_at_last(offer)
            if has_chain(answer):
                return (yield from self._ask_for_13(answer))
            answers.append(answer)
            if not might_speak_other(answer):
                break
        sightings = [self._sighting(each) for each in answers]
        if might_speak_other(answer):
            sightings.append((yield from self._ask_ssl2()))
        return max(sightings, key=worth)

    def _ask_ssl2(self) -> Inquiry:
        reader = Ssl2Flight()
        (answer,) = yield [Question(ssl2_hello(), reader, self._starttls)]
        if answer.ending is not Ending.HEARD:
            return Sighting(asked=self._asked, outcome=Outcome.FAILED, reason="")
        return Sighting(
            asked=self._asked,
            outcome=Outcome.TLS,
            reason=remark(reader.chain[0]) if reader.chain else "SSLv2, but no certificate was shown",
            starttls=self._starttls,
            chain=reader.chain,
            tls_version="SSLv2",
        )

    def _sighting(self, answer: Answer) -> Sighting:
        return sighting_of(self._asked, answer, starttls=self._starttls)


def first_starttls(asked: Asked) -> str | None:
    """Return the protocol to speak before the first hello."""
    return by_port(asked.port) if asked.starttls == AUTO else asked.starttls


@lru_cache
def _without_alpn(offer: Offer) -> Offer:
    """Return the same again for the same offer: `Asker` keeps its hello by it."""
    return replace(offer, alpn=())


def is_retry(answer: Answer) -> bool:
    """Return whether the server speaks TLS 1.3, and wants another group than those of which it was sent shares."""
    return answer.ending is Ending.HEARD and answer.flight.is_retry


def has_chain(answer: Answer) -> bool:
    """Return whether a certificate was shown; whatever came after it."""
    return isinstance(answer.reader, Flight) and bool(answer.reader.chain)


def is_alert(answer: Answer, number: int) -> bool:
    """Return whether the server refused with this alert."""
    return answer.ending is Ending.HEARD and answer.flight.alert == number


def might_speak_other(answer: Answer) -> bool:
    """Return whether the server may yet answer another hello: it heard this one, and did not like it."""
    if answer.ending in (Ending.HUNG_UP, Ending.CUT, Ending.MALFORMED):
        return True
    return answer.ending is Ending.HEARD and not has_chain(answer)


def worth(sighting: Sighting) -> int:
    """Say how much a sighting tells: a certificate most, then that TLS is spoken, then anything else."""
    if sighting.chain:
        return 3
    return {Outcome.TLS: 2, Outcome.NO_TLS: 1}.get(sighting.outcome, 1 if sighting.reason else 0)


_PLAIN = {
    Ending.SILENT: (Outcome.SILENT, "it took the connection, and gave no answer in time"),
    Ending.HUNG_UP: (Outcome.NO_TLS, "it hung up on the ClientHello"),
    Ending.CUT: (Outcome.FAILED, "the connection was closed in the middle of the answer"),
}


def sighting_of(asked: Asked, answer: Answer, *, starttls: str | None) -> Sighting:
    """Put an answer into the words of the trade."""
    if has_chain(answer) or answer.ending is Ending.HEARD:
        return tls_sighting(asked, answer.flight, best=answer.flight, starttls=starttls)
    if answer.ending is Ending.NOT_TLS:
        protocol = protocol_of(answer.said)
        said = f"it speaks {protocol}" if protocol else "the answer is not TLS"
        return Sighting(asked=asked, outcome=Outcome.NO_TLS, reason=answer.reason or said, protocol=protocol)
    if answer.ending is Ending.NO_STARTTLS:
        reason = f"it does not start TLS: {answer.reason}"
        return Sighting(asked=asked, outcome=Outcome.NO_TLS, reason=reason, protocol=starttls)
    if answer.ending is Ending.SILENT and answer.has_heard:
        reason = "it began to answer, and had not finished in time"
        return Sighting(asked=asked, outcome=Outcome.FAILED, reason=reason)
    if answer.ending in _PLAIN:
        outcome, reason = _PLAIN[answer.ending]
        return Sighting(asked=asked, outcome=outcome, reason=reason)
    nothing = unanswered(asked, answer)
    return nothing or Sighting(asked=asked, outcome=Outcome.FAILED, reason=answer.reason)


def tls_sighting(asked: Asked, flight: Flight, *, best: Flight, starttls: str | None) -> Sighting:
    """Return what a flight shows, with what was negotiated in the best one: the highest version's."""
    return Sighting(
        asked=asked,
        outcome=Outcome.TLS,
        reason=remark(flight.chain[0]) if flight.chain else _why_no_chain(flight),
        starttls=starttls,
        chain=flight.chain,
        tls_version=VERSIONS.get(best.version or 0),
        cipher_suite=SUITES.get(best.suite or 0),
        group=GROUPS.get(best.group or 0),
        alpn=flight.alpn,
        wants_client_certificate=flight.wants_client_certificate,
        is_stapled=flight.is_stapled,
    )


def _why_no_chain(flight: Flight) -> str:
    if flight.alert == _UNRECOGNIZED_NAME:
        return (
            "TLS alert 112 (unrecognized_name): it shows certificates only to who asks for a name it serves"
        )
    if flight.alert is not None:
        name = ALERTS.get(flight.alert)
        return f"TLS alert {flight.alert} ({name})" if name else f"TLS alert {flight.alert}"
    if flight.is_retry:
        return f"TLS, but only with the group {GROUPS.get(flight.group or 0, flight.group)}"
    return "TLS, but no certificate was shown"


@lru_cache(maxsize=1024)
def remark(der: bytes) -> str:
    """Return why a certificate does not parse, nothing where it does."""
    try:
        load(der)
    except Invalid as error:
        return error.detail
    return ""
