"""Depth `full`: everything that a server would negotiate, asked for one offer at a time, without a handshake.

A hello with every suite there is brings the server's favourite; left out of the next hello, it brings the
second, and so on, until nothing is left: as many connections as suites, and their order with them.
Groups are told apart the same way. What only a finished handshake could tell is not claimed: whether a
session is really resumed, and whether a client may start a renegotiation. At the end come the few checks that
say more than a hello (`checks.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Depth, Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.checks import checks
from services.discovery.scanner.flight import Flight
from services.discovery.scanner.hello import ALL_GROUPS, CLASSIC_GROUPS, Offer, only_13
from services.discovery.scanner.look import FIRST, OLD, SHORT, Asker, has_chain, is_alert, tls_sighting
from services.discovery.scanner.numbers import (
    COMMON_SUITES,
    FALLBACK_SCSV,
    GROUPS,
    SSL3,
    SUITES,
    SUITES_12,
    SUITES_13,
    TLS10,
    TLS11,
    TLS12,
    TLS13,
    VERSIONS,
    key_type,
)
from services.discovery.scanner.parts import Part, T, side_by_side
from services.discovery.scanner.questions import Answer, Ending, Inquiry, Question
from services.discovery.scanner.ssl2 import Ssl2Flight, ssl2_hello

PROTOCOLS = (
    "h2",
    "http/1.1",
    "http/1.0",
    "acme-tls/1",
    "imap",
    "pop3",
    "ftp",
    "xmpp-client",
    "mqtt",
    "postgresql",
)
_INAPPROPRIATE_FALLBACK = 86
_SHARED = replace(FIRST, groups=CLASSIC_GROUPS, alpn=())
"""Groups of which the server would go on with one that we sent a share of, if it can."""
_NEVER_STOOD = frozenset({Ending.REFUSED, Ending.UNREACHED, Ending.FAILED})
_CHUNK = 30
"""Suites in one hello for servers that do not take a long one."""
_ONLY_12 = ("_GCM_", "_CCM", "CHACHA20", "_SHA256", "_SHA384")
_BY_VERSION = {
    TLS12: tuple(SUITES_12),
    TLS11: tuple(number for number, name in SUITES_12.items() if not any(part in name for part in _ONLY_12)),
}
_BY_VERSION[TLS10] = _BY_VERSION[SSL3] = _BY_VERSION[TLS11]


def look_deep(asker: Asker, asked: Asked) -> Inquiry:
    """Look at one place at depth `full`: at depth `fast` first, and no further where TLS shows no certificate."""
    tally = _Tally()
    sighting = yield from tally.count(asker.look(asked))
    if not sighting.chain or sighting.outcome is not Outcome.TLS:
        return sighting
    search = _Search(asker, replace(asked, starttls=sighting.starttls), tally)
    seen = yield from tally.count(search.run(sighting))
    if not tally.unreached:
        return seen
    missed = (
        f"{tally.unreached} of {tally.connections} connections did not come about: there may be more to it"
    )
    depth = replace(seen.depth, unreached=tally.unreached) if seen.depth is not None else None
    return replace(seen, reason=seen.reason or missed, depth=depth)


@dataclass
class _Tally:
    """What is noted of every answer, whatever was asked for."""

    connections: int = 0
    unreached: int = 0
    """Those of them that never stood, though others did: it limits how many there are, or went away."""
    dh_bits: set[int] = field(default_factory=set)
    is_stapled: bool = False

    def count(self, part: Part[T]) -> Part[T]:
        """Pass questions and answers through."""
        answers: list[Answer] | None = None
        while True:
            try:
                questions = next(part) if answers is None else part.send(answers)
            except StopIteration as end:
                result: T = end.value
                return result
            answers = yield questions
            self.connections += len(questions)
            for answer in answers:
                self._note(answer)

    def _note(self, answer: Answer) -> None:
        self.unreached += answer.ending in _NEVER_STOOD
        if isinstance(answer.reader, Flight):
            self.is_stapled = self.is_stapled or answer.reader.is_stapled
            if answer.reader.dh_bits:
                self.dh_bits.add(answer.reader.dh_bits)


@dataclass(frozen=True, kw_only=True)
class _Habits:
    compresses: bool = False
    resumes_by_ticket: bool | None = None
    fallback_scsv: bool | None = None


class _Search:
    """The search at one place."""

    def __init__(self, asker: Asker, asked: Asked, tally: _Tally) -> None:
        self._asker = asker
        self._asked = asked
        self._tally = tally

    def run(self, sighting: Sighting) -> Inquiry:
        firsts, ssl2 = yield from self._versions()
        versions = [version for version, flight in firsts.items() if flight.version == version]
        if not versions and ssl2 is None:
            return sighting
        suites = dict(
            zip(versions, (yield from side_by_side([self._suites(each) for each in versions])), strict=True)
        )
        old = [version for version in versions if version != TLS13]
        preferences = yield from side_by_side([self._preference(each, suites[each]) for each in versions])
        groups = yield from self._groups(suites)
        alpn = yield from self._alpn(versions)
        habits = yield from self._habits(versions)
        others = yield from self._other_chains(sighting, suites)
        wants_certificate = sighting.wants_client_certificate
        flaws, hsts = yield from checks(
            self._asker, self._asked, suites, wants_client_certificate=wants_certificate
        )
        named = {VERSIONS[each]: tuple(SUITES[suite] for suite in suites[each]) for each in versions}
        depth = Depth(
            versions=(*(VERSIONS[each] for each in versions), *(["SSLv2"] if ssl2 is not None else [])),
            suites=named | ({"SSLv2": ssl2} if ssl2 is not None else {}),
            preference={
                VERSIONS[version]: whose
                for version, whose in zip(versions, preferences, strict=True)
                if whose is not None
            },
            groups=tuple(GROUPS[group] for group in groups),
            alpn=alpn,
            dh_bits=tuple(sorted(self._tally.dh_bits)),
            is_stapled=self._tally.is_stapled,
            downgrade_sentinel=firsts[TLS12].sentinel == TLS13 if {TLS12, TLS13} <= set(versions) else None,
            secure_renegotiation=firsts[old[0]].renegotiates_securely if old else None,
            resumes_by_id=firsts[old[0]].has_session_id if old else None,
            connections=self._tally.connections,
            compresses=habits.compresses,
            resumes_by_ticket=habits.resumes_by_ticket,
            fallback_scsv=habits.fallback_scsv,
            flaws=flaws,
            hsts=hsts,
        )
        return replace(self._best(sighting, firsts), depth=depth, other_chains=others)

    def _best(self, sighting: Sighting, firsts: dict[int, Flight]) -> Sighting:
        """Return the sighting with what TLS 1.3 negotiates where no share of ours has led the choice."""
        if firsts[TLS13].version != TLS13:
            return sighting
        best = tls_sighting(self._asked, firsts[TLS13], best=firsts[TLS13], starttls=sighting.starttls)
        return replace(
            sighting, tls_version=best.tls_version, cipher_suite=best.cipher_suite, group=best.group
        )

    def _ask(self, *offers: Offer) -> Part[list[Answer]]:
        if not offers:
            return []
        starttls = self._asked.starttls
        return (yield [self._asker.question_once(self._asked, offer, starttls=starttls) for offer in offers])

    def _versions(self) -> Part[tuple[dict[int, Flight], tuple[str, ...] | None]]:
        """Ask for each version alone. Of SSL 2.0, return the ciphers, None where it is not spoken."""
        offers = {TLS13: only_13()} | {
            version: Offer(version=version, alpn=()) for version in (TLS12, TLS11, TLS10)
        }
        offers[SSL3] = OLD
        questions = [
            self._asker.question_once(self._asked, offer, starttls=self._asked.starttls)
            for offer in offers.values()
        ]
        reader = Ssl2Flight()
        *answers, answer = yield [*questions, Question(ssl2_hello(), reader, self._asked.starttls)]
        unheard = [
            version
            for version, each in zip(offers, answers, strict=True)
            if each.ending is not Ending.HEARD and version in _BY_VERSION and version != SSL3
        ]
        shorter = yield from self._ask(*(replace(SHORT, version=version) for version in unheard))
        flights = {version: each.flight for version, each in zip(offers, answers, strict=True)}
        flights |= {version: each.flight for version, each in zip(unheard, shorter, strict=True)}
        return flights, reader.suites if answer.ending is Ending.HEARD else None

    def _suites(self, version: int) -> Part[list[int]]:
        if version == TLS13:
            return (yield from self._picked(list(SUITES_13), lambda left: replace(only_13(), suites=left)))
        pool = _BY_VERSION[version]
        found = yield from self._picked(pool, lambda left: _of(version, left))
        if found:
            return found
        # It spoke this version when it was asked with a shorter hello.
        chunks = [pool[start : start + _CHUNK] for start in range(0, len(pool), _CHUNK)]
        parts = [self._picked(chunk, lambda left: _of(version, left)) for chunk in chunks]
        return [suite for part in (yield from side_by_side(parts)) for suite in part]

    def _picked(self, pool: Iterable[int], offer: Callable[[tuple[int, ...]], Offer]) -> Part[list[int]]:
        """Return what the server picks from a pool of suites, one after the other, until it picks none."""
        left, found = list(pool), []
        while left:
            (answer,) = yield from self._ask(offer(tuple(left)))
            suite = _suite(answer)
            if suite not in left:
                break
            found.append(suite)
            left.remove(suite)
        return found

    def _preference(self, version: int, suites: Sequence[int]) -> Part[str | None]:
        """Ask for the same two suites both ways round: who decides?"""
        if len(suites) < 2:  # noqa: PLR2004 - of one there is no order
            return None
        both = (suites[0], suites[-1])
        offers = [
            replace(only_13(), suites=pair) if version == TLS13 else _of(version, pair)
            for pair in (both, both[::-1])
        ]
        first, second = yield from self._ask(*offers)
        return "server" if _suite(first) == _suite(second) else "client"

    def _groups(self, suites: dict[int, list[int]]) -> Part[list[int]]:
        parts = []
        if TLS13 in suites:
            parts.append(self._groups_13())
        for version in (TLS12, TLS11, TLS10):
            ecdhe = [suite for suite in suites.get(version, ()) if "_ECDHE_" in SUITES[suite]]
            if ecdhe:
                parts.append(self._groups_before_13(version, ecdhe))
                break
        found = yield from side_by_side(parts)
        return list(dict.fromkeys(group for part in found for group in part))

    def _groups_13(self) -> Part[list[int]]:
        left, found = list(ALL_GROUPS), []
        while left:
            (answer,) = yield from self._ask(only_13(groups=tuple(left)))
            group = answer.flight.group if answer.flight.is_retry else None
            if group is None or group not in left:
                break
            found.append(group)
            left.remove(group)
        return found

    def _groups_before_13(self, version: int, ecdhe: Sequence[int]) -> Part[list[int]]:
        """Ask by a suite with RSA if there is one: else the groups also bound the certificate's own curve."""
        by_rsa = tuple(suite for suite in ecdhe if key_type(suite) == "rsa")
        if not by_rsa:
            return (yield from self._groups_with_the_certificates(version, tuple(ecdhe)))
        left, found = [group for group in ALL_GROUPS if GROUPS[group].startswith(("X", "secp", "brain"))], []
        while left:
            (answer,) = yield from self._ask(_of(version, by_rsa, groups=tuple(left)))
            group = answer.flight.group
            if group is None or group not in left:
                break
            found.append(group)
            left.remove(group)
        return found

    def _groups_with_the_certificates(self, version: int, ecdhe: tuple[int, ...]) -> Part[list[int]]:
        """Ask for each group beside the usual curves of certificates, which must stay on offer."""
        curves = (0x0017, 0x0018, 0x0019)
        groups = [group for group in ALL_GROUPS if GROUPS[group].startswith(("X2", "X4", "secp"))]
        offers = [
            _of(version, ecdhe, groups=(group, *(each for each in curves if each != group)))
            for group in groups
        ]
        answers = yield from self._ask(*offers)
        return [group for group, answer in zip(groups, answers, strict=True) if answer.flight.group == group]

    def _alpn(self, versions: Sequence[int]) -> Part[tuple[str, ...]]:
        left, found = list(PROTOCOLS), []
        base = _SHARED if versions[:1] == [TLS13] else Offer(alpn=())
        while left:
            (answer,) = yield from self._ask(replace(base, alpn=tuple(left)))
            if answer.flight.alpn not in left:
                break
            found.append(answer.flight.alpn)
            left.remove(answer.flight.alpn)
        return tuple(found)

    def _habits(self, versions: Sequence[int]) -> Part["_Habits"]:
        """Ask for compression, tickets, and a downgrade that the server ought to refuse."""
        old = [version for version in versions if version in (TLS12, TLS11, TLS10)]
        if not old:
            return _Habits()
        # The second best that it speaks, said to be the best that we do (RFC 7507 §3).
        lower = old[0] if TLS13 in versions else old[1] if len(old) > 1 else None
        offers = [
            replace(_of(old[0], COMMON_SUITES), compressions=b"\x01\0"),
            replace(_of(old[0], COMMON_SUITES), with_ticket=True),
        ]
        if lower is not None:
            offers.append(_of(lower, (*COMMON_SUITES, FALLBACK_SCSV)))
        compressed, with_ticket, *downgraded = yield from self._ask(*offers)
        return _Habits(
            compresses=compressed.flight.compression == 1,
            resumes_by_ticket=with_ticket.flight.has_ticket,
            fallback_scsv=is_alert(downgraded[0], _INAPPROPRIATE_FALLBACK) if downgraded else None,
        )

    def _other_chains(
        self, sighting: Sighting, suites: dict[int, list[int]]
    ) -> Part[dict[str, tuple[bytes, ...]]]:
        """Ask as clients that verify only RSA, or only ECDSA: is it another certificate?"""
        kinds = ["rsa", "ecdsa"]
        base = Offer(alpn=()) if suites.keys() - {TLS13} else _SHARED
        answers = yield [
            self._asker.question_once(
                replace(self._asked, key_type=kind), base, starttls=self._asked.starttls
            )
            for kind in kinds
        ]
        return {
            kind: answer.flight.chain
            for kind, answer in zip(kinds, answers, strict=True)
            if has_chain(answer) and answer.flight.chain[0] != sighting.chain[0]
        }


def _of(version: int, suites: tuple[int, ...], *, groups: tuple[int, ...] | None = None) -> Offer:
    if version == SSL3:
        return replace(OLD, suites=suites)
    offer = Offer(version=version, suites=suites, alpn=())
    return offer if groups is None else replace(offer, groups=groups)


def _suite(answer: Answer) -> int | None:
    flight = answer.flight
    return flight.suite if answer.ending is Ending.HEARD and flight.alert is None else None
