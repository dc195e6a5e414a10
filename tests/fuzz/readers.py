"""The readers of strangers' bytes, each as a function that may raise nothing but what its callers expect."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import asyncssh
from cryptography.hazmat.primitives.serialization import Encoding
from httpx import Headers

from services.discovery.connectors import keystores
from services.discovery.domain.checkpoints import LogWrong, read_checkpoint
from services.discovery.domain.log_entries import read_data_tile
from services.discovery.domain.targets import Asked
from services.discovery.scanner.banners import protocol_of
from services.discovery.scanner.depth import look_deep
from services.discovery.scanner.flight import Flight, Malformed, NotTls
from services.discovery.scanner.hello import client_hello
from services.discovery.scanner.hsts import hsts_of
from services.discovery.scanner.keys import Keys, RecordKey
from services.discovery.scanner.look import BEFORE_13, FIRST, RETRY, Asker
from services.discovery.scanner.questions import Answer, Ending, Inquiry, Question
from services.discovery.scanner.ssl2 import Ssl2Flight
from services.inventory.domain import certificates
from services.provisioner.connectors import sftp
from services.provisioner.connectors.hello import NotShown, leaf_in
from services.provisioner.connectors.keystores import java_leaf, pkcs12_leaf
from services.renewal.connectors import NotNow
from services.renewal.connectors.builtin.revocation import read_question
from services.renewal.connectors.cmp import messages as cmp
from services.renewal.connectors.cmp.protection import SharedSecret
from services.renewal.connectors.errands import understood
from services.renewal.connectors.est import certificates as certificates_of_est
from services.renewal.connectors.scep import messages as scep
from services.renewal.domain.ct_logs import read_log_list
from shared import x509
from shared.appliances import icontrol_soap
from shared.clock import utc_now
from shared.errors import Invalid, Unavailable
from shared.revocation.crls import asked_of, read_crl
from shared.revocation.ocsp import read_response
from shared.starttls import PROTOCOLS, OtherProtocol, Refused
from shared.web import Answer as Answered
from tests.servers.tls import CertificateAuthority

Read = Callable[[bytes], None]

_KEYS = Keys()
_HELLOS = [client_hello(offer, server_name="fuzz.test", keys=_KEYS) for offer in (BEFORE_13, RETRY, FIRST)]
_ASKER = Asker(_KEYS)
_ASKED = Asked(address="192.0.2.1", port=443, server_name="fuzz.test")
_MOST_QUESTIONS = 5000
"""More than every suite, group and protocol there is, at every version."""
_MOST_WORDS = 1 << 20
"""What a dialogue may say in answer to one input."""


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes as a network might: the first says how."""
    size = data[0] or 1
    return (data[start : start + size] for start in range(1, len(data), size))


def read_flight(data: bytes) -> None:
    """Read a server's first flight, after each hello there is."""
    hello = _HELLOS[data[0] % len(_HELLOS)]
    flight = Flight(hello, _KEYS)
    with contextlib.suppress(Malformed, NotTls):
        for piece in pieces(data[1:] or b"\0"):
            if flight.feed(piece):
                return


def read_ssl2(data: bytes) -> None:
    """Read an SSL 2.0 server's hello."""
    reader = Ssl2Flight()
    with contextlib.suppress(Malformed, NotTls):
        for piece in pieces(data):
            if reader.feed(piece):
                return


def converse(data: bytes) -> None:
    """Speak a STARTTLS protocol, whatever the server says."""
    name = sorted(PROTOCOLS)[data[0] % len(PROTOCOLS)]
    dialogue = PROTOCOLS[name].dialogue("fuzz.test")
    said = len(next(dialogue))
    heard = pieces(data[1:] or b"\0")
    with contextlib.suppress(Refused, OtherProtocol):
        try:
            for piece in heard:
                said += len(dialogue.send(piece))
                assert said < _MOST_WORDS
        except StopIteration as end:
            for piece in heard if end.value is not None else ():
                end.value.unwrap(piece)


def read_certificate(data: bytes) -> None:
    """Read a certificate, whole and in parts."""
    certificates.read("", data)
    with contextlib.suppress(Invalid):
        x509.read(data)


class _InClear(Keys):
    """Keys that encrypt nothing, so that what is behind TLS 1.3's encryption can be tried too."""

    def record_key(self, **_: object) -> RecordKey:
        return _Open()


class _Open(RecordKey):
    def __init__(self) -> None:
        pass

    def open(self, header: bytes, ciphertext: bytes) -> bytes:
        return ciphertext


_SERVER_HELLO = bytes.fromhex(
    "160303005a 02000056 0303" + "00" * 32 + "00 1301 00 002e 002b00020304 00330024001d0020" + "09" * 32
)


def read_decrypted(data: bytes) -> None:
    """Read what a TLS 1.3 server encrypts, in one record."""
    with contextlib.suppress(Malformed, NotTls):
        decrypted_flight(data)


def decrypted_flight(data: bytes) -> Flight:
    """Return a flight of TLS 1.3 whose one encrypted record holds this. Raises `Malformed`, `NotTls`."""
    flight = Flight(_HELLOS[-1], _InClear())
    flight.feed(_SERVER_HELLO)
    flight.feed(b"\x17\x03\x03" + len(data).to_bytes(2, "big") + data)
    return flight


def look_fast(data: bytes) -> None:
    """Look at depth `fast`, whatever the connections hear."""
    _look(_ASKER.look(_ASKED), data)


def look_full(data: bytes) -> None:
    """Look at depth `full`, whatever the connections hear."""
    _look(look_deep(_ASKER, _ASKED), data)


def _look(inquiry: Inquiry, data: bytes) -> None:
    """Answer each question with the next of what the connections hear, and end it there."""
    heard = itertools.cycle(_turns(data))
    asked = 0
    with contextlib.suppress(StopIteration):
        questions = next(inquiry)
        while True:
            asked += len(questions)
            assert asked < _MOST_QUESTIONS
            questions = inquiry.send([_answer(question, next(heard)) for question in questions])


def _answer(question: Question, data: bytes) -> Answer:
    """Return what the engine would, of these bytes and a closed connection."""
    reader = question.reader
    try:
        if data and reader.feed(data):
            return Answer(Ending.HEARD, reader)
    except NotTls as error:
        return Answer(Ending.NOT_TLS, reader, said=error.said)
    except Malformed as error:
        return Answer(Ending.MALFORMED, reader, reason=str(error))
    return Answer(Ending.CUT if data else Ending.HUNG_UP, reader)


def _turns(data: bytes) -> list[bytes]:
    """Cut bytes into what each connection hears: two bytes of length before each."""
    turns, at = [], 0
    while at + 2 < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        turns.append(data[at + 2 : end])
        at = end
    return turns or [b""]


class _Anybody(SharedSecret):
    """Takes whoever answers, so that what is behind the protection can be tried too."""

    def verify(self, *_: object, **__: object) -> None:
        """Take it."""


_CMP = cmp.Question(der=b"", nonce=b"", dialogue=cmp.Dialogue(transaction=b""))


def read_cmp(data: bytes) -> None:
    """Read what a CA says in CMP."""
    with contextlib.suppress(cmp.Unreadable):
        answer = cmp.read(data, question=_CMP, protection=_Anybody(reference=b"", secret=b""))
        for look in (cmp.granted_of, cmp.check_after, cmp.error_of):
            with contextlib.suppress(cmp.Unreadable):
                look(answer)


def read_est(data: bytes) -> None:
    """Read the certificates that a CA sends in EST."""
    with contextlib.suppress(NotNow):
        certificates_of_est(Answered(status=200, headers=Headers(), body=data))


AUTHORITY = CertificateAuthority()
"""Whose revocations are read."""
_ISSUER = AUTHORITY.certificate.public_bytes(Encoding.DER)
_URL = "http://ca.test/"


def read_java(data: bytes) -> None:
    """Read a Java keystore, as a scan of a host and as a target does."""
    keystores.read_java(data)
    java_leaf(data, alias=None)


def read_pkcs7(data: bytes) -> None:
    """Read the certificates of PKCS#7."""
    with contextlib.suppress(Invalid):
        keystores.read_pkcs7(data)


def read_log(data: bytes) -> None:
    """Read what a CT log serves: a data tile, and a checkpoint; and a list of such logs."""
    with contextlib.suppress(Invalid):
        read_log_list(data)
    with contextlib.suppress(LogWrong):
        read_data_tile(data)
    with contextlib.suppress(LogWrong):
        read_checkpoint(data, key=None)


def read_revocation(data: bytes) -> None:
    """Read a CRL, an answer of OCSP and, as a responder, a question."""
    issuer = AUTHORITY.certificate
    read_crl(data, _ISSUER, _URL, {"": asked_of(issuer)}, utc_now())
    read_response(data, certificate=issuer, issuer=issuer, url=_URL, now=utc_now())
    read_question(data, issuer=_ISSUER)


def read_scep(data: bytes) -> None:
    """Read what a CA says in SCEP, as far as its signature."""
    anybody: Any = None
    with contextlib.suppress(scep.Unreadable):
        scep.read(data, question=anybody, sender=anybody, ca=(AUTHORITY.certificate,))


def read_answer(data: bytes) -> None:
    """Read what a server says in clear, what a CA of the house answers an errand, a key store and an appliance."""
    hsts_of(data)
    protocol_of(data)
    with contextlib.suppress(NotNow):
        understood(data)
    pkcs12_leaf(data, passwords=("fuzz",))
    with contextlib.suppress(icontrol_soap.Fault, Unavailable):
        icontrol_soap.texts(data, count=1)


@dataclass
class _Host:
    """Takes whatever is written, and has said everything beforehand."""

    said: Iterator[bytes]

    async def create_session(self, session: Callable[[], Any], *_: object, **__: object) -> None:
        """Say all that there is to say, and be gone."""
        heard = session()
        heard.connection_made(self)
        for piece in self.said:
            heard.data_received(piece, None)
        heard.eof_received()

    def write(self, data: bytes) -> None:
        """Take it."""


async def _ask_for_files(data: bytes) -> None:
    host = cast("Any", _Host(pieces(data)))
    asked = (sftp.real_path("/"), sftp.look("/"), sftp.open_file("/x"), sftp.space("/"))
    *_, space = await (await sftp.Sftp().start(host)).all(*asked)
    sftp.Space.of(space if isinstance(space, bytes) else b"")


def read_host(data: bytes) -> None:
    """Read what a target's host says: its leaf, in clear, and the answers of its SFTP server."""
    with contextlib.suppress(NotShown):
        leaf_in(data)
    with contextlib.suppress(asyncssh.Error, StopIteration):
        _ask_for_files(data).send(None)


READERS: tuple[Read, ...] = (
    read_flight,
    read_ssl2,
    converse,
    read_certificate,
    read_decrypted,
    look_fast,
    look_full,
    read_cmp,
    read_est,
    read_java,
    read_pkcs7,
    read_log,
    read_revocation,
    read_answer,
    read_scep,
    read_host,
)


def read_any(data: bytes) -> None:
    """Let the first byte choose the reader."""
    if len(data) > 1:
        READERS[data[0] % len(READERS)](data[1:])
