"""Every dialogue, whatever its protocol: answers in any pieces, hostile answers, bounds."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.starttls import PROTOCOLS, OtherProtocol, Refused
from shared.starttls.conversation import MOST_BYTES, MOST_LINES, MOST_WORDS
from tests.shared.starttls.talks import GOOD, Talk, drive, feed

PREFIXES = sorted({b"", *(talk.answers[0] for talk in GOOD), *(b"".join(talk.answers[:-1]) for talk in GOOD)})
NOISE = (b"\0", b"a", b"x\r\n", b" ", b"<a>", b"* x\r\n", b":s NOTICE x\r\n", b"220-x\r\n")
SECRETS = (b"AUTH PLAIN", b"USER ", b"PASS ", b"LOGIN ", b"NICK ")


def test_every_protocol_has_a_good_transcript():
    assert {talk.protocol for talk in GOOD} == set(PROTOCOLS)


@pytest.mark.parametrize("talk", GOOD, ids=str)
def test_a_good_server_leads_to_tls_however_its_answers_are_cut(talk: Talk):
    whole = drive(talk)
    longest = max(len(answer) for answer in talk.answers)
    for pieces in range(1, longest):
        assert drive(talk, pieces=pieces).sent == whole.sent


@pytest.mark.parametrize("talk", GOOD, ids=str)
def test_a_good_server_is_not_believed_before_its_last_byte(talk: Talk):
    *before, last = talk.answers
    for cut in range(len(last.rstrip(b"\r\n"))):
        rest = (last[:cut],) if cut else ()
        with pytest.raises(LookupError):
            drive(Talk(talk.protocol, (*before, *rest)))


@pytest.mark.parametrize("talk", GOOD, ids=str)
def test_nothing_sent_is_a_credential(talk: Talk):
    sent = b"".join(drive(talk).sent).upper()
    assert not any(secret in sent for secret in SECRETS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "other",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x0a" + bytes(64),
        b"<html><body>400</body></html>\r\n",
    ],
)
def test_another_protocol_is_told_at_once(protocol: str, other: bytes):
    with pytest.raises(OtherProtocol):
        feed(protocol, data=[other])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_endless_answer_ends_at_the_bound(protocol: str):
    for prefix, noise in itertools.product(PREFIXES, NOISE):
        data = itertools.chain([prefix] if prefix else [], itertools.repeat(noise * 200))
        try:
            feed(protocol, data=_counted(data))
        except (Refused, OtherProtocol):
            continue


def _counted(data: Iterable[bytes]) -> Iterator[bytes]:
    taken = 0
    for each in data:
        assert taken <= MOST_BYTES, "it takes more than the bound"
        yield each
        taken += len(each)


@pytest.mark.parametrize(
    ("protocol", "prefix", "line"),
    [
        ("smtp", b"220-hi\r\n", b"220-more\r\n"),
        ("imap", b"* OK hi\r\n", b"* OK still\r\n"),
        ("pop3", b"+OK\r\n+OK\r\n", b"TOP\r\n"),
        ("sieve", b'"IMPLEMENTATION" "x"\r\n', b'"X" "y"\r\n'),
        ("irc", b"PING :1\r\n", b":irc.test NOTICE * :wait\r\n"),
    ],
)
def test_more_lines_than_the_bound_are_another_protocol(protocol: str, prefix: bytes, line: bytes):
    with pytest.raises(OtherProtocol, match=f"more than {MOST_LINES} lines"):
        feed(protocol, data=[prefix, *([line] * (MOST_LINES + 1))])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(st.sampled_from(PREFIXES), st.lists(st.binary(min_size=1, max_size=300), max_size=12))
def test_anything_at_all_ends_well_or_as_a_reason(protocol: str, prefix: bytes, rest: list[bytes]):
    with contextlib.suppress(Refused, OtherProtocol, LookupError):
        feed(protocol, data=[*([prefix] if prefix else []), *rest])


@given(st.sampled_from(GOOD), st.data())
def test_a_good_answer_with_some_bytes_changed_ends_well_or_as_a_reason(talk: Talk, data: st.DataObject):
    changed = [bytearray(answer) for answer in talk.answers]
    for _ in range(data.draw(st.integers(1, 4))):
        answer = changed[data.draw(st.integers(0, len(changed) - 1))]
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused, OtherProtocol, LookupError):
        drive(Talk(talk.protocol, tuple(map(bytes, changed))))


@given(st.one_of(st.binary(max_size=2000), st.text(max_size=2000)))
def test_a_reason_can_be_shown_anywhere(words: bytes | str):
    for reason in (str(Refused(words)), str(OtherProtocol(words))):
        assert len(reason) <= MOST_WORDS
        assert reason.isprintable()


def test_a_server_that_refuses_without_a_word_has_a_reason_all_the_same():
    assert str(Refused(b"\r\n")) == "no reason given"


def test_an_answer_that_announces_more_than_the_bound_is_not_waited_for():
    with pytest.raises(OtherProtocol):
        feed("ldap", data=[b"\x30\x84\x7f\xff\xff\xff"])
    with pytest.raises(OtherProtocol):
        feed("rdp", data=[b"\x03\x00\x0f\xff"])
