"""A letter by the rules that SSL Labs publishes (rating guide 2009r), and why it is that letter.

The scores give a letter, caps pull it down, warnings make an A an A-. What nobody has looked at is listed as not
checked: the letter is what it is as far as was looked. Post-quantum readiness has no part in it, as SSL Labs gives it
none. Not taken over: that any service with STARTTLS is not trusted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.inventory.domain.assessment import suites
from services.inventory.domain.assessment.caps import FLAWS, Reason, caps, unchecked, warnings
from services.inventory.domain.assessment.facts import SSL2, SSL3, TLS10, TLS11, TLS12, TLS13, Subject, Tls

RULES = "ssllabs-2009r.2"
"""The version of the rules; it changes whenever the same facts may give another letter."""
LETTERS = ("A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T")
"""The best first: M is another name than was asked for, T is no trust."""
_BY_SCORE = ((80, "A"), (65, "B"), (50, "C"), (35, "D"), (20, "E"))
_OF_VERSION = {SSL2: 0, SSL3: 80, TLS10: 90, TLS11: 95, TLS12: 100, TLS13: 100}
_OF_MODULUS = ((512, 20), (1024, 40), (2048, 80), (4096, 90))
_OF_CURVE = ((110, 20), (123, 40), (163, 80), (225, 90))
_OF_CIPHER = ((1, 0), (128, 20), (256, 80))
_SURE_WITHOUT_DEPTH = ("T", "M", "F")
"""No fact that is yet to come makes it better."""
_NEEDED_FOR_PLUS = frozenset({"hsts", "key", "missed-connections", *FLAWS})
_BITS_OF_GROUP = {"secp192r1": 192, "secp224r1": 224}
_EXPORT, _ANONYMOUS = 40, 0


@dataclass(frozen=True, kw_only=True)
class Grade:
    """A letter and its grounds; without a letter, too little is known for one."""

    letter: str | None
    protocol: float | None = None
    """Scores of 0 to 100; None where not everything that is offered is known."""
    key_exchange: float | None = None
    cipher: float | None = None
    reasons: tuple[Reason, ...] = ()
    not_checked: tuple[str, ...] = ()
    rules: str = RULES

    @property
    def total(self) -> float | None:
        """Return the score of all: 30 % protocol, 30 % key exchange, 40 % cipher; 0 where one of them is 0."""
        parts = (self.protocol, self.key_exchange, self.cipher)
        if any(part == 0 for part in parts):
            return 0.0
        if self.protocol is None or self.key_exchange is None or self.cipher is None:
            return None
        return round(0.3 * self.protocol + 0.3 * self.key_exchange + 0.4 * self.cipher, 1)


def grade(subject: Subject, *, now: datetime) -> Grade:
    """Return the letter of an endpoint. A store has reasons and no letter: nothing is spoken there."""
    tls = subject.tls
    key_score = key_exchange_score(subject)
    if not subject.is_endpoint:
        return Grade(letter=None, reasons=tuple(caps(subject, key_score=key_score, now=now)))
    reasons = (*caps(subject, key_score=key_score, now=now), *warnings(subject))
    not_checked = unchecked(subject)
    if tls is None or not tls.is_full:
        sure = [reason.cap for reason in reasons if reason.cap in _SURE_WITHOUT_DEPTH]
        return Grade(letter=worst(sure) if sure else None, reasons=reasons, not_checked=not_checked)
    scored = Grade(
        letter=None,
        protocol=_middle([_OF_VERSION.get(version, 0) for version in tls.versions]),
        key_exchange=key_score,
        cipher=_middle([_below(_OF_CIPHER, suites.suite(name).bits) for name in tls.all_suites]),
        reasons=reasons,
        not_checked=not_checked,
    )
    letter = _letter(scored)
    return Grade(**{**vars(scored), "letter": letter})


def _letter(scored: Grade) -> str | None:
    total = scored.total
    if total is None:
        sure = [reason.cap for reason in scored.reasons if reason.cap in _SURE_WITHOUT_DEPTH]
        return worst(sure) if sure else None
    by_score = next((letter for least, letter in _BY_SCORE if total >= least), "F")
    letter = worst([by_score, *(reason.cap for reason in scored.reasons)])
    is_faultless = letter == "A" and not scored.reasons and _NEEDED_FOR_PLUS.isdisjoint(scored.not_checked)
    return "A+" if is_faultless else letter


def worst(letters: list[str]) -> str:
    """Return the worst of some letters."""
    return max(letters, key=LETTERS.index)


def key_exchange_score(subject: Subject) -> float | None:
    """Return the score of the weakest key: the certificate's, or one that is exchanged; None of no known key."""
    return min(_key_scores(subject), default=None)


def _key_scores(subject: Subject) -> Iterator[float]:
    own = _of_key(subject)
    if own is not None:
        yield own
    if subject.tls is not None:
        yield from _of_exchanges(subject.tls)


def _of_key(subject: Subject) -> float | None:
    if subject.key_kind is None:
        return None
    if subject.key_kind in ("rsa", "dsa"):
        return _below(_OF_MODULUS, subject.key_bits) if subject.key_bits else None
    # Of what has no size in bits, as ML-DSA, the smallest is stronger than any curve here.
    return _below(_OF_CURVE, subject.key_bits) if subject.key_bits else 100


def _of_exchanges(tls: Tls) -> Iterator[float]:
    offered = [suites.suite(name) for name in tls.all_suites]
    if any(suite.is_anonymous for suite in offered):
        yield _ANONYMOUS
    if any(suite.is_export for suite in offered):
        yield _EXPORT
    for bits in tls.dh_bits:
        yield _below(_OF_MODULUS, bits)
    for group in tls.groups:
        yield _below(_OF_CURVE, _BITS_OF_GROUP.get(group, 256))


def _below(steps: tuple[tuple[int, int], ...], bits: int) -> int:
    return next((score for limit, score in steps if bits < limit), 100)


def _middle(scores: list[int]) -> float | None:
    return (max(scores) + min(scores)) / 2 if scores else None
