"""ROBOT: does a server say how an encrypted premaster secret is wrong (Böck, Somorovsky, Young 2018; RFC 5246 §7.4.7.1).

Five secrets are encrypted to the server's RSA key, one right and four wrong in one way each; whoever treats any of them
in another way than the rest is an oracle. That is the paper's full flow: ClientKeyExchange, ChangeCipherSpec, Finished. Where it
shows nothing, a right secret and a wrong one are sent without the last two, as some are oracles only then; a close_notify
behind them lets a sound server end at once, and not at its time-out. What differs is asked for once more, since a busy
server may answer in two ways without being an oracle.
"""

from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from services.discovery.domain.sightings import Flaw
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flaws import sound, unchecked, vulnerable
from services.discovery.scanner.flight import Malformed
from services.discovery.scanner.hello import Offer
from services.discovery.scanner.look import Asker
from services.discovery.scanner.numbers import SUITES
from services.discovery.scanner.parts import Part
from services.discovery.scanner.questions import Answer, Ending, Question
from services.discovery.scanner.talk import (
    ALERT,
    CHANGE_CIPHER,
    HANDSHAKE,
    Conversation,
    Records,
    Talk,
    first_flight,
    record,
)
from shared.errors import Invalid
from shared.x509 import load

_SECRET = bytes(range(1, 47))
"""46 bytes, of which none is zero, after the two of the version: no server gets to use them."""
_FINISHED = bytes(range(64))
"""Stands for an encrypted Finished, which it is under no key."""
_NO_CERTIFICATE = b"\x0b\x00\x00\x03\x00\x00\x00"
_CLOSE_NOTIFY = b"\x01\x00"
_LEAST_BYTES, _MOST_BYTES, _MOST_EXPONENT = 64, 2048, 2**33
"""Of keys that are used: a hostile one must not cost us minutes."""
_KINDS, _SHORT = 5, (0, 1)
"""Of the full flow, and of the short one."""
_HEARD = frozenset({Ending.HEARD, Ending.SILENT, Ending.CUT})


def rsa_suites(suites: Sequence[int]) -> tuple[int, ...]:
    """Return those in which a secret is encrypted to the server's RSA key, with AES-GCM first, of which some fail alone."""
    found = [suite for suite in suites if SUITES[suite].startswith("TLS_RSA_WITH_")]
    return tuple(
        sorted(found, key=lambda suite: "_AES_" not in SUITES[suite] or "_GCM_" not in SUITES[suite])
    )


def robot(asker: Asker, asked: Asked, offer: Offer) -> Part[Flaw]:
    """Ask seven times, and twice more where the answers differ; `offer` holds suites with RSA key exchange alone."""
    is_full, first = True, (yield from _ask(asker, asked, offer, range(_KINDS), is_full=True))
    if None not in first and len(set(first)) == 1:
        is_full, first = False, (yield from _ask(asker, asked, offer, _SHORT, is_full=False))
    if None in first:
        return unchecked("not every handshake came as far as the key exchange")
    other = next((kind for kind, answer in enumerate(first) if answer != first[0]), None)
    if other is None:
        return sound("every encrypted secret is treated alike, right or wrong")
    again = yield from _ask(asker, asked, offer, (0, other), is_full=is_full)
    if again != [first[0], first[other]]:
        return unchecked("its answers to the same secret are not steady")
    if not is_full:
        return vulnerable("it tells secrets that are wrong from right ones before Finished: an oracle")
    if first[1] == first[2] == first[3]:
        return vulnerable("it tells secrets that are wrong from right ones: a weak oracle")
    return vulnerable("it tells in which way an encrypted secret is wrong: a strong oracle")


def _ask(
    asker: Asker, asked: Asked, offer: Offer, kinds: Sequence[int], *, is_full: bool
) -> Part[list[str | None]]:
    """Return how each kind of secret is answered; None where it was not come to."""
    hello = asker.hello_once(asked, offer)
    talks = [Talk(_talk(asker, hello, offer, kind, is_full=is_full)) for kind in kinds]
    answers = yield [Question(talk.hello, talk, asked.starttls) for talk in talks]
    return [_behaviour(talk, answer) for talk, answer in zip(talks, answers, strict=True)]


def _behaviour(talk: Talk[str], answer: Answer) -> str | None:
    if not talk.turns or answer.ending not in _HEARD:
        return None
    return talk.result or answer.ending.name


def _talk(asker: Asker, hello: bytes, offer: Offer, kind: int, *, is_full: bool) -> Conversation[str]:
    """Go as far as Finished, or only to the secret, and return the alert that comes of it."""
    flight = yield from first_flight(hello, asker.keys)
    if flight.alert is not None or not flight.chain:
        raise Malformed("no certificate")
    exchange = client_key_exchange(flight.chain[0], offer.version, kind)
    before = _NO_CERTIFICATE if flight.wants_client_certificate else b""
    after = record(ALERT, offer.version, _CLOSE_NOTIFY)
    if is_full:
        after = record(CHANGE_CIPHER, offer.version, b"\x01") + record(HANDSHAKE, offer.version, _FINISHED)
    records = Records()
    data = yield record(HANDSHAKE, offer.version, before + exchange) + after
    while True:
        for what, fragment in records.take(data):
            if what == ALERT:
                return f"alert {fragment.hex()}"
            return f"record {what}"
        data = yield b""


def client_key_exchange(der: bytes, version: int, kind: int) -> bytes:
    """Return a ClientKeyExchange (RFC 5246 §7.4.7.1) with a secret of this kind. Raises `Malformed` of a key that is of no use."""
    try:
        key = load(der).public_key()
    except (Invalid, UnsupportedAlgorithm, ValueError) as error:
        raise Malformed("no key that is known") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Malformed("no RSA key")
    numbers, size = key.public_numbers(), (key.key_size + 7) // 8
    if not _LEAST_BYTES <= size <= _MOST_BYTES or numbers.e > _MOST_EXPONENT:
        raise Malformed("no RSA key of use")
    plain = int.from_bytes(_padded(size, version.to_bytes(2, "big"), kind), "big")
    encrypted = pow(plain, numbers.e, numbers.n).to_bytes(size, "big")
    body = size.to_bytes(2, "big") + encrypted
    return b"\x10" + len(body).to_bytes(3, "big") + body


def _padded(size: int, version: bytes, kind: int) -> bytes:
    """Return the padded secret: right, or with a wrong start, a zero too early or none, or a wrong version."""
    padding = b"\xab" * (size - 2 - 1 - 2 - len(_SECRET))
    return (
        b"\x00\x02" + padding + b"\x00" + version + _SECRET,
        b"\x41\x17" + padding + b"\x00" + version + _SECRET,
        b"\x00\x02" + padding + b"\x11" + _SECRET + b"\x00\x11",
        b"\x00\x02" + padding + b"\x11\x11\x11" + _SECRET,
        b"\x00\x02" + padding + b"\x00\x02\x02" + _SECRET,
    )[kind]
