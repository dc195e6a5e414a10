"""Revocation: what authorities say, who is believed, and what an inventory makes of it."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.chains import Chains
from services.inventory.actions.judgements import Judgements
from services.inventory.actions.revocations import Revocations
from services.inventory.domain.chains.verdicts import OWN
from services.inventory.domain.revocation import next_look, settled
from services.inventory.store.tables import RevocationRow
from shared.clock import utc_now
from shared.errors import NotFound, Unavailable
from shared.events import Event
from shared.events.inventory import CertificateRevocationSeen
from shared.events.renewal import CertificateRevoked, RevocationReason
from shared.outbound import Policy
from shared.revocation import published as connectors
from shared.revocation.crls import asked_of, read_crl
from shared.revocation.ocsp import read_response
from shared.revocation.published import Authorities
from shared.revocation.words import Means, Revocation, Word, sources, unreachable
from shared.store import Database
from tests.builders import LOOPBACK
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, place
from tests.servers.ocsp import answer, crl, free_url, names_crl, names_ocsp, openssl_responder
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.webhook import Answer, Webhook

CA = CertificateAuthority("Root", now=NOON)
STRANGER = CertificateAuthority("Root", now=NOON)
"""Of the same name, and with another key."""
LEAF = CA.issue("shop.test", not_after=NOON + 30 * DAY)
SIBLING = CA.issue("other.test", not_after=NOON + 30 * DAY)
URL = "http://ca.test/ca.crl"
DELEGATE = CA.issue("responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING, not_after=NOON + 30 * DAY)
NO_DELEGATE = CA.issue("responder", not_after=NOON + 30 * DAY)
ENDED_DELEGATE = CA.issue(
    "responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING, not_before=NOON - 9 * DAY, not_after=NOON - DAY
)
FALSE_DELEGATE = STRANGER.issue(
    "responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING, not_after=NOON + 30 * DAY
)
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("told", "state", "why"),
    [
        ({}, "good", "good"),
        ({"status": REVOKED}, "revoked", "revoked"),
        ({"status": UNKNOWN}, "unknown", "does not know"),
        ({"signer": DELEGATE}, "good", "good"),
        ({"signer": NO_DELEGATE}, "unreachable", "signed neither"),
        ({"signer": ENDED_DELEGATE}, "unreachable", "signed neither"),
        ({"signer": FALSE_DELEGATE}, "unreachable", "signed neither"),
        ({"authority": STRANGER, "issuer": CA}, "unreachable", "signed neither"),
        ({"issuer": STRANGER}, "unreachable", "another certificate"),
        ({"issued": SIBLING}, "unreachable", "another certificate"),
        ({"next_update": -HOUR, "this_update": -2 * HOUR}, "unreachable", "ended at"),
        ({"this_update": HOUR}, "unreachable", "from the future"),
        ({"next_update": None}, "good", "good"),
        ({"next_update": None, "this_update": -8 * DAY}, "unreachable", "how long it holds"),
    ],
)
def test_an_ocsp_answer_is_believed_or_not(told: dict[str, Any], state: str, why: str):
    body = answer(**{"authority": CA, "issued": LEAF, "now": NOON, **told})
    word = read_response(body, certificate=LEAF.certificate, issuer=CA.certificate, url=URL, now=NOON)
    assert (word.state, word.means) == (state, "ocsp")
    assert why in word.evidence
    assert word.reason == ("keyCompromise" if state == "revoked" else None)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"junk", "unreachable"),
        (b"", "unreachable"),
        (answer(CA, LEAF, now=NOON)[:-9], "unreachable"),
        (
            ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
                Encoding.DER
            ),
            "unreachable",
        ),
        (
            ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED).public_bytes(
                Encoding.DER
            ),
            "unknown",
        ),
    ],
)
def test_what_is_no_answer_says_nothing(body: bytes, state: str):
    word = read_response(body, certificate=LEAF.certificate, issuer=CA.certificate, url=URL, now=NOON)
    assert word.state == state


def scope(*urls: str, **only: bool) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url) for url in urls] or None,
        relative_name=None,
        only_contains_user_certs=only.get("users", False),
        only_contains_ca_certs=only.get("authorities", False),
        only_some_reasons=None,
        indirect_crl=only.get("indirect", False),
        only_contains_attribute_certs=False,
    )


@pytest.mark.parametrize(
    ("told", "state", "why"),
    [
        ({}, "good", "not in the CRL"),
        (
            {"revoked": {LEAF.certificate.serial_number: x509.ReasonFlags.key_compromise}},
            "revoked",
            "is in the CRL",
        ),
        ({"revoked": {SIBLING.certificate.serial_number: x509.ReasonFlags.superseded}}, "good", "not in"),
        ({"ends": -HOUR}, "unreachable", "ended at"),
        ({"signer": STRANGER}, "unreachable", "not signed by"),
        ({"extension": scope(URL)}, "good", "not in"),
        ({"extension": scope("http://ca.test/shard-7.crl")}, "unknown", "other certificates"),
        ({"extension": scope(users=True)}, "good", "not in"),
        ({"extension": scope(authorities=True)}, "unknown", "authorities only"),
        ({"extension": scope(indirect=True)}, "unknown", "indirect"),
        ({"extension": x509.DeltaCRLIndicator(1)}, "unreachable", "critical extensions"),
    ],
)
def test_a_crl_is_believed_or_not(told: dict[str, Any], state: str, why: str):
    body = crl(**{"authority": CA, "now": NOON, **told})
    word = read_crl(body, der(CA.certificate), URL, {"leaf": asked_of(LEAF.certificate)}, NOON)["leaf"]
    assert (word.state, word.means) == (state, "crl")
    assert why in word.evidence
    assert word.reason == ("keyCompromise" if state == "revoked" else None)


def test_a_crl_in_pem_is_read_and_one_of_another_authority_or_of_junk_is_not():
    pem = x509.load_der_x509_crl(crl(CA, now=NOON)).public_bytes(Encoding.PEM)
    other = crl(CertificateAuthority("Other", now=NOON), now=NOON)
    asked = {"leaf": asked_of(LEAF.certificate)}
    said = [read_crl(body, der(CA.certificate), URL, asked, NOON)["leaf"] for body in (pem, other, b"junk")]
    assert [word.state for word in said] == ["good", "unreachable", "unreachable"]


def flipped(body: bytes) -> list[bytes]:
    return [body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :] for at in range(len(body))]


def test_no_byte_of_an_answer_or_a_crl_can_be_changed_so_that_a_revoked_certificate_is_good():
    leaf, ca = LEAF.certificate, CA.certificate
    for body in flipped(answer(CA, LEAF, now=NOON, status=REVOKED)):
        assert read_response(body, certificate=leaf, issuer=ca, url=URL, now=NOON).state != "good"
    listed = {leaf.serial_number: x509.ReasonFlags.key_compromise}
    for body in flipped(crl(CA, listed, now=NOON)):
        assert read_crl(body, der(ca), URL, {"leaf": asked_of(leaf)}, NOON)["leaf"].state != "good"


def word(state: Revocation, **other: Any) -> Word:
    return Word(state=state, evidence="", **other)


def test_an_authority_that_is_away_does_not_take_back_what_it_has_said():
    away = unreachable("away", means=Means.OCSP, url=URL)
    good = word(Revocation.GOOD, next_update=NOON + HOUR)
    revoked = word(Revocation.REVOKED, next_update=NOON - HOUR)
    assert settled(good, away, now=NOON) is good
    assert settled(good, away, now=NOON + 2 * HOUR) is away
    assert settled(revoked, away, now=NOON) is revoked
    assert settled(revoked, word(Revocation.UNKNOWN), now=NOON) is revoked
    assert settled(revoked, good, now=NOON) is good  # a hold was lifted
    assert settled(None, away, now=NOON) is away


@pytest.mark.parametrize(
    ("next_update", "failures", "expected"),
    [
        (NOON + 7 * DAY, 0, NOON + DAY),
        (NOON + 5 * HOUR, 0, NOON + 5 * HOUR),
        (NOON + timedelta(minutes=1), 0, NOON + HOUR),
        (None, 0, NOON + DAY),
        (None, 1, NOON + timedelta(minutes=15)),
        (None, 3, NOON + HOUR),
        (None, 99, NOON + DAY),
    ],
)
def test_it_is_asked_again_before_the_word_ends(
    next_update: datetime | None, failures: int, expected: datetime
):
    said = word(Revocation.GOOD, next_update=next_update)
    assert next_look(said, failures=failures, within=DAY, now=NOON) == expected


def test_only_what_http_leads_to_is_asked():
    ldap = x509.DistributionPoint([x509.UniformResourceIdentifier("ldap://ca.test/")], None, None, None)
    partial = x509.DistributionPoint(
        [x509.UniformResourceIdentifier("http://ca.test/some.crl")],
        None,
        frozenset([x509.ReasonFlags.key_compromise]),
        None,
    )
    usable = names_crl(URL)
    issued = CA.issue(
        "a.test", extensions=[x509.CRLDistributionPoints([ldap, partial, *usable]), names_ocsp("file:///etc")]
    )
    assert (sources(issued.certificate).crl, sources(issued.certificate).ocsp) == (URL, None)


# Fetching

PATIENT = timedelta()
FETCHING = Authorities(Policy(LOOPBACK), pace=PATIENT)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (Answer(status=404), "answered 404"),
        (Answer(body=b"x" * 300), "larger than 256"),
        (Answer(headers={"content-encoding": "gzip"}, body=b"x"), "compressed"),
        (Answer(hang_up=True), "RemoteProtocolError"),
        (Answer(status=302, headers={"location": "http://169.254.169.254/latest/"}), "outbound policy"),
        (Answer(status=302, headers={"location": "file:///etc/passwd"}), "UnsupportedProtocol"),
    ],
)
async def test_what_is_fetched_is_bounded_and_goes_where_the_policy_lets_it(
    webhook: Webhook, told: Answer, why: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connectors, "MOST_CRL", 256)
    webhook.default = told
    with pytest.raises(Unavailable, match=why):
        await FETCHING.crl(f"{webhook.url}/ca.crl")
    webhook.default = Answer(status=302, headers={"location": f"{webhook.url}/again"})
    before = len(webhook.requests)
    with pytest.raises(Unavailable, match="TooManyRedirects"):
        await FETCHING.crl(f"{webhook.url}/ca.crl")
    assert len(webhook.requests) - before == connectors.MOST_REDIRECTS + 1


async def test_one_host_is_asked_at_its_pace_and_another_does_not_wait_for_it(webhook: Webhook):
    asked = Authorities(Policy(LOOPBACK), pace=timedelta(seconds=0.1))
    webhook.default = Answer(body=b"x")
    began = time.monotonic()
    await asked.crl(f"http://localhost:{webhook.port}/")
    await asked.crl(f"http://127.0.0.1:{webhook.port}/")
    unhurried = time.monotonic() - began
    for _ in range(2):
        await asked.crl(f"http://127.0.0.1:{webhook.port}/")
    assert time.monotonic() - began >= 0.2
    assert unhurried < time.monotonic() - began


async def test_a_slow_authority_and_a_forbidden_one_are_unavailable(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connectors, "_CRL_TIME", timedelta(seconds=0.2))
    webhook.default = Answer(delay=timedelta(seconds=1))
    with pytest.raises(Unavailable, match="No answer in"):
        await FETCHING.crl(f"{webhook.url}/ca.crl")
    with pytest.raises(Unavailable, match="EVERLEAF_OUTBOUND_ALLOW"):
        await Authorities(Policy(), pace=PATIENT).crl(f"{webhook.url}/ca.crl")
    assert len(webhook.requests) == 1


# In an inventory, against a real responder and a real server

NOW = utc_now().replace(microsecond=0)
LIVE = CertificateAuthority("Live root", now=NOW)


class Desk:
    """An inventory that knows certificates, and asks about them."""

    def __init__(self, ledger: Ledger, database: Database, authorities: Authorities) -> None:
        self.ledger = ledger
        ledger.now = NOW
        self.places = 0
        self.judgements = Judgements(database)
        self.chains = Chains(
            database,
            stores={OWN: (der(LIVE.certificate),)},
            fetches=None,
            assessing=Assessing(database, timelines=()),
        )
        self.asking = Revocations(
            database,
            authorities,
            within=DAY,
            assessing=Assessing(database, timelines=()),
        )

    async def take_in(self, *issued: Issued) -> None:
        for each in issued:
            self.places += 1
            await self.ledger.hear(found(each, place(self.places), self.ledger.now))
        await self.ask()

    async def ask(self, *, after: timedelta = timedelta()) -> None:
        self.ledger.now += after
        while await self.chains.judge_due(self.ledger.now):
            pass
        await self.asking.ask_due(self.ledger.now)

    async def known(self, issued: Issued) -> RevocationRow:
        return await self.judgements.revocation(issued.fingerprint, scope=None)

    async def states(self, *issued: Issued) -> list[str | None]:
        return [(await self.known(each)).state for each in issued]


@pytest.fixture
def desk(ledger: Ledger, database: Database) -> Desk:
    return Desk(ledger, database, FETCHING)


@pytest.mark.usefixtures("apart_here")
async def test_a_real_responder_is_asked_and_a_revoked_certificate_is_told_once(desk: Desk, tmp_path: Path):
    port, url = free_url("/")
    good, bad, strange = (
        LIVE.issue(f"{name}.test", extensions=[names_ocsp(url)]) for name in ("a", "b", "c")
    )
    delegate = LIVE.issue("responder", usage=ExtendedKeyUsageOID.OCSP_SIGNING)
    desk.ledger.now = utc_now().replace(microsecond=0)  # what a responder says begins when it is asked
    with openssl_responder(
        LIVE,
        {bad.certificate.serial_number: "keyCompromise"},
        good=(good.certificate.serial_number,),
        port=port,
        folder=tmp_path / "ocsp",
        signer=delegate,
    ):
        await desk.take_in(good, bad, strange)
        assert await desk.states(good, bad, strange) == ["good", "revoked", "unknown"]
        await desk.ask(after=2 * DAY)
    await desk.ask(after=9 * DAY)  # it is away, and its word has ended
    assert await desk.states(good, bad, strange) == ["unreachable", "revoked", "unreachable"]
    told = await desk.known(bad)
    assert (told.means, told.reason, told.revoked_at) == (
        "ocsp",
        "keyCompromise",
        datetime(2026, 1, 1, tzinfo=NOW.tzinfo),
    )
    [event] = await desk.ledger.said(CertificateRevocationSeen)
    assert (event.fingerprint, event.reason, event.place_count) == (bad.fingerprint, "keyCompromise", 1)
    row = await desk.ledger.row(bad)
    assert await desk.ledger.told(row.lineage_id) == ["found", "revoked"]
    for wanted in ("revoked", "revocation = revoked"):
        assert [each.fingerprint for each in await desk.ledger.asked(wanted)] == [bad.fingerprint]
    assert len(await desk.ledger.asked("not revoked")) == 2


@pytest.mark.usefixtures("apart_here")
async def test_one_crl_is_fetched_once_for_all_its_certificates_and_again_when_it_has_aged(
    desk: Desk, webhook: Webhook
):
    url = f"http://127.0.0.1:{webhook.port}/ca.crl"
    shops = [LIVE.issue(f"shop-{number}.test", extensions=[names_crl(url)]) for number in range(3)]
    webhook.default = Answer(body=crl(LIVE, now=NOW, ends=7 * DAY))
    await desk.take_in(*shops)
    await desk.take_in(late := LIVE.issue("late.test", extensions=[names_crl(url)]))
    assert await desk.states(*shops, late) == ["good"] * 4
    assert len(webhook.requests) == 1
    webhook.default = Answer(
        body=crl(LIVE, {shops[1].certificate.serial_number: x509.ReasonFlags.superseded}, now=NOW)
    )
    await desk.ask(after=DAY)
    assert await desk.states(*shops, late) == ["good", "revoked", "good", "good"]
    assert len(webhook.requests) == 2
    webhook.stop()
    await desk.ask(after=DAY)
    assert await desk.states(*shops) == ["unreachable", "revoked", "unreachable"]
    assert (await desk.known(shops[0])).failures == 1
    assert "ConnectError" in ((await desk.known(shops[0])).evidence or "")


@pytest.mark.usefixtures("apart_here")
async def test_where_ocsp_says_nothing_the_crl_is_asked_and_what_names_neither_is_not_asked(
    desk: Desk, webhook: Webhook
):
    base = f"http://127.0.0.1:{webhook.port}"
    issued = LIVE.issue("shop.test", extensions=[names_ocsp(f"{base}/ocsp"), names_crl(f"{base}/ca.crl")])
    silent = LIVE.issue("silent.test")
    webhook.answer(Answer(body=b"junk"), Answer(body=crl(LIVE, now=NOW)))
    await desk.take_in(issued, silent)
    assert ((await desk.known(issued)).state, (await desk.known(issued)).means) == ("good", "crl")
    assert [each.path for each in webhook.requests] == ["/ocsp", "/ca.crl"]
    with pytest.raises(NotFound, match="Nothing is known"):
        await desk.known(silent)


@pytest.mark.usefixtures("apart_here")
async def test_who_may_not_be_reached_is_not_reached_and_that_is_told(
    ledger: Ledger, database: Database, webhook: Webhook
):
    desk = Desk(ledger, database, Authorities(Policy(), pace=PATIENT))
    issued = LIVE.issue("shop.test", extensions=[names_crl(f"http://127.0.0.1:{webhook.port}/ca.crl")])
    stranger = CertificateAuthority("Nobody", now=NOW).issue(
        "x.test", extensions=[names_ocsp("http://ca.test/")]
    )
    await desk.take_in(issued, stranger)
    assert webhook.requests == []
    assert await desk.states(issued, stranger) == ["unreachable", "unknown"]
    assert "outbound policy" in ((await desk.known(issued)).evidence or "")
    assert "issuer is not known" in ((await desk.known(stranger)).evidence or "")


@pytest.mark.usefixtures("apart_here")
async def test_what_is_not_in_use_or_has_ended_is_not_asked_about(desk: Desk, webhook: Webhook):
    url = f"http://127.0.0.1:{webhook.port}/ca.crl"
    old, new = (
        LIVE.issue("shop.test", not_before=NOW - age, not_after=NOW + 9 * DAY, extensions=[names_crl(url)])
        for age in (2 * DAY, DAY)
    )
    webhook.default = Answer(
        body=crl(LIVE, {old.certificate.serial_number: x509.ReasonFlags.superseded}, now=NOW)
    )
    await desk.ledger.hear(found(old, place(), NOW), found(new, place(), NOW + HOUR))
    await desk.ask(after=HOUR)
    assert await desk.states(old, new) == [None, "good"]
    await desk.ask(after=20 * DAY)
    assert (await desk.known(new)).due_at is None
    assert await desk.ledger.said(CertificateRevocationSeen) == []


@pytest.mark.usefixtures("apart_here")
async def test_what_we_have_had_revoked_is_looked_for_at_once_in_a_crl_fetched_anew(
    desk: Desk, webhook: Webhook
):
    issued = LIVE.issue("tidy.test", extensions=[names_crl(f"{webhook.url}/live.crl")])
    webhook.default = Answer(body=crl(LIVE, now=NOW))
    await desk.take_in(issued)
    assert await desk.states(issued) == ["good"]
    number = issued.certificate.serial_number
    webhook.default = Answer(body=crl(LIVE, {number: x509.ReasonFlags.superseded}, now=NOW))
    await desk.ask()
    assert await desk.states(issued) == ["good"]
    lineage = (await desk.ledger.row(issued)).lineage_id
    told = CertificateRevoked(
        lineage_id=lineage,
        order_id="order",
        revocation_id="revocation",
        fingerprint=issued.fingerprint,
        names=["tidy.test"],
        authority="house-ca",
        reason=RevocationReason.SUPERSEDED,
        explanation="It was replaced.",
        requested_by="ann",
        revoked_at=NOW,
    )
    await desk.ledger.hear(Event.of(told, source="renewal", now=NOW))
    await desk.ask()
    assert await desk.states(issued) == ["revoked"]
