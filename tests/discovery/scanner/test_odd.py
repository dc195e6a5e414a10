"""Servers that are old, strict or slow and mean well: the certificate is found, and what they speak is told."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import Asked
from services.discovery.scanner.flight import Flight
from services.discovery.scanner.hello import Offer
from services.discovery.scanner.look import BEFORE_13, FIRST, Asker
from shared.x509 import fingerprint
from tests.discovery.scanner.looking import look
from tests.servers import odd
from tests.servers.odd import Dislike, Talk, serving
from tests.servers.s_server import openssl_server
from tests.servers.tls import CertificateAuthority, Issued

SSL3, TLS10, TLS11 = 0x0300, 0x0301, 0x0302
VERSIONS = {SSL3: "SSLv3", TLS10: "TLSv1", TLS11: "TLSv1.1"}
LONGEST = 65_535


@pytest.fixture
def issued(lab_ca: CertificateAuthority) -> Issued:
    return lab_ca.issue("odd.test", kind="rsa")


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize(
    ("talk", "version"),
    [
        (odd.ssl3_only, "SSLv3"),
        (odd.ssl2_only, "SSLv2"),
        (lambda chain: odd.dripping(odd.flight(chain), pause=0.0002), "TLSv1.2"),
        (lambda chain: odd.deaf_to(range(256, LONGEST), chain), "TLSv1.2"),
        (lambda chain: odd.deaf_to(range(256, 512), chain), "TLSv1.2"),
        (lambda chain: odd.deaf_to(range(513, LONGEST), chain), "TLSv1.2"),
    ],
    ids=[
        "SSL 3.0 only",
        "SSL 2.0 only",
        "byte by byte",
        "deaf to hellos over 255 bytes",
        "deaf to hellos of 256 to 511 bytes",
        "deaf to hellos over 512 bytes",
    ],
)
def test_the_certificate_of_an_odd_server_is_found(
    talk: Callable[[Sequence[bytes]], Talk], version: str, reach: Reach, issued: Issued
) -> None:
    with serving(talk(odd.chain_of(issued))) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=1)
    assert (sighting.outcome, sighting.tls_version) == (Outcome.TLS, version)
    assert fingerprint(sighting.chain[0]) == issued.fingerprint
    if reach is Reach.FULL:
        assert sighting.depth is not None
        assert version in sighting.depth.versions


@pytest.mark.parametrize(
    ("newest", "dislike"),
    [(newest, dislike) for newest in VERSIONS for dislike in (Dislike.CLOSE, Dislike.ALERT)]
    + [(newest, Dislike.SILENCE) for newest in (TLS10, TLS11)],
)
def test_who_sends_newer_clients_away_is_asked_as_older_ones_do(
    newest: int, dislike: Dislike, issued: Issued
) -> None:
    talk = odd.version_intolerant(odd.chain_of(issued), newest=newest, dislike=dislike)
    with serving(talk) as port:
        sighting = look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST, timeout=1)
    assert sighting.tls_version == VERSIONS[newest]
    assert fingerprint(sighting.chain[0]) == issued.fingerprint


@pytest.mark.parametrize("reach", list(Reach))
def test_a_server_that_serves_by_name_only_is_told_from_one_that_serves_nobody(
    reach: Reach, issued: Issued
) -> None:
    with serving(odd.by_name_only(odd.chain_of(issued), name="odd.test")) as port:
        nameless = look(Asked(address="127.0.0.1", port=port), reach=reach, timeout=1)
        named = look(Asked(address="127.0.0.1", port=port, server_name="odd.test"), reach=reach, timeout=1)
    assert (nameless.outcome, nameless.chain) == (Outcome.TLS, ())
    assert "unrecognized_name" in nameless.reason
    assert fingerprint(named.chain[0]) == issued.fingerprint


@pytest.mark.parametrize(
    ("option", "offer"), [("-tls1_2", BEFORE_13), ("-tls1_2", FIRST), ("-tls1_3", FIRST)]
)
def test_a_real_flight_that_ends_at_any_byte_is_read_as_far_as_it_goes(
    option: str, offer: Offer, issued: Issued, tmp_path: Path
) -> None:
    asker, asked = Asker(), Asked(address="127.0.0.1", port=0)
    hello = asker.question(asked, offer, starttls=None).hello
    with openssl_server(option, issued=issued, folder=tmp_path) as port:
        said = odd.answer_of(port, hello)
    ends: list[bool] = []
    for length in range(1, len(said) + 1):
        flight = Flight(hello, asker.keys)
        ends.append(flight.feed(said[:length]))
        assert flight.chain == () or fingerprint(flight.chain[0]) == issued.fingerprint
    assert ends == sorted(ends), "once it is done it stays so"
    assert ends[-1]
    assert not ends[len(said) // 3]


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_a_server_that_hangs_up_in_the_middle_of_its_flight_gives_a_reason_or_its_certificate(
    option: str, issued: Issued, tmp_path: Path
) -> None:
    shown: list[bool] = []
    with openssl_server(option, issued=issued, folder=tmp_path) as behind:
        for length in (1, 4, 5, 6, 11, 43, 44, 60, *range(80, 2400, 131)):
            with serving(odd.cutting(behind, after=length)) as port:
                sighting = look(Asked(address="127.0.0.1", port=port), reach=Reach.FAST, timeout=1)
            shown.append(bool(sighting.chain))
            assert sighting.chain or sighting.reason
            assert sighting.outcome in (Outcome.TLS, Outcome.FAILED), sighting
    assert shown == sorted(shown), "what is shown of a longer beginning is shown of no shorter one"
    assert (shown[0], shown[-1]) == (False, True)
