"""How ready an endpoint is for quantum computers: an axis of its own, with no part in the letter or in any verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from services.inventory.domain.assessment.facts import HYBRIDS, PURE_KEMS, Subject

_BITS_128 = {"rsa": 3072, "dsa": 3072, "ecdsa": 256}
"""From these sizes on a classical key is as strong as 128 bits (NIST SP 800-57 part 1, table 2)."""
_PQ_SIGNATURES = ("mldsa", "slhdsa", "fndsa")
_PQ_OIDS = frozenset(f"2.16.840.1.101.3.4.3.{number}" for number in range(17, 47))
"""ML-DSA and SLH-DSA, as such and of a hash (RFC 9881, RFC 9909): names that a reader may not know yet."""


class KeyExchange(StrEnum):
    """Whether recorded traffic stays secret."""

    PREFERRED = "preferred"
    """A group that withstands quantum computers is chosen where the client offers all."""
    OFFERED = "offered"
    NONE = "none"
    UNKNOWN = "unknown"


class Signature(StrEnum):
    """What the certificate's key and signature rest on."""

    POST_QUANTUM = "post-quantum"
    CLASSICAL = "classical"
    CLASSICAL_WEAK = "classical-112"
    """Of less than 128 bits of strength, as RSA with 2048."""
    UNKNOWN = "unknown"


class Timeline(BaseModel):
    """The day after which somebody allows something no more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    of: Literal["key-exchange", "signature", "signature-112"]
    meaning: Literal["deprecated", "disallowed"]
    after: date
    """The last day on which it is allowed."""
    applies_to: str


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """The axis of one endpoint or store."""

    key_exchange: KeyExchange
    signature: Signature
    deadlines: tuple[Timeline, ...] = ()
    """Those that what is in use will not meet, the earliest first."""

    @property
    def disallowed_after(self) -> Timeline | None:
        """Return the first of them that disallows."""
        return next((each for each in self.deadlines if each.meaning == "disallowed"), None)


def readiness(subject: Subject, timelines: Sequence[Timeline]) -> Readiness:
    """Return how ready a subject is."""
    exchange, rests_on = _key_exchange(subject), signature(subject)
    concerned = set(_concerned(exchange, rests_on))
    deadlines = sorted((each for each in timelines if each.of in concerned), key=lambda each: each.after)
    return Readiness(key_exchange=exchange, signature=rests_on, deadlines=tuple(deadlines))


def _key_exchange(subject: Subject) -> KeyExchange:
    tls = subject.tls
    if tls is None:
        return KeyExchange.UNKNOWN
    safe = [group in HYBRIDS or group in PURE_KEMS for group in tls.groups]
    if safe[:1] == [True]:
        return KeyExchange.PREFERRED
    if any(safe):
        return KeyExchange.OFFERED
    # Only TLS 1.3 knows them.
    return KeyExchange.NONE if tls.knows_all or tls.is_without("TLSv1.3") else KeyExchange.UNKNOWN


class _Signed(Protocol):
    @property
    def key_type(self) -> str | None: ...
    @property
    def key_bits(self) -> int | None: ...
    @property
    def signature_algorithm(self) -> str | None: ...


def signature(certificate: _Signed) -> Signature:
    """Return what a certificate rests on, wherever it is: its own part of the axis."""
    key, algorithm = _plain(certificate.key_type), _plain(certificate.signature_algorithm)
    if not key or not algorithm:
        return Signature.UNKNOWN
    if _is_safe(key) and _is_safe(algorithm):
        return Signature.POST_QUANTUM
    least = _BITS_128.get((certificate.key_type or "").partition("-")[0])
    is_weak = least is not None and certificate.key_bits is not None and certificate.key_bits < least
    return Signature.CLASSICAL_WEAK if is_weak else Signature.CLASSICAL


def _concerned(exchange: KeyExchange, signature: Signature) -> Iterator[str]:
    if exchange is KeyExchange.NONE:
        yield "key-exchange"
    if signature in (Signature.CLASSICAL, Signature.CLASSICAL_WEAK):
        yield "signature"
    if signature is Signature.CLASSICAL_WEAK:
        yield "signature-112"


def _is_safe(name: str) -> bool:
    return name.startswith(_PQ_SIGNATURES) or name in _PQ_OIDS


def _plain(name: str | None) -> str:
    return (name or "").lower().replace("-", "").replace("_", "")
