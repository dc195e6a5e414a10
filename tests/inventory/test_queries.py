from collections.abc import Mapping
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.query import CATALOGUE, Asked, Subject, parse
from services.inventory.store import patience
from services.inventory.store.queries import condition, place_condition
from services.inventory.store.queries.fields import CERTIFICATE_FIELDS, PLACE_FIELDS
from services.inventory.store.tables import (
    Certificate,
    PlaceRow,
    Sighting,
)
from shared.errors import TooLarge
from shared.store import Database
from tests.inventory.estate import fill
from tests.inventory.ledger import DAY, NOON

CERTIFICATES: Mapping[str, str] = {
    "": "abcde",
    f"fingerprint = {'AA:' * 31}AA": "a",
    "fingerprint ~ bb*": "b",
    "serial in (00:a, b, f)": "ab",
    "subject = 'CN=c.example.com'": "c",
    "subject": "abc",
    "not subject": "de",
    "issuer ~ 'other'": "c",
    "issuer ~ 'cn=h*ca'": "abd",
    "issuer != 'CN=House CA'": "ce",
    "not issuer ~ house": "ce",
    "name = example.com": "a",
    "name = *.example.com": "b",
    "name ~ *.example.com": "ab",
    "name under example.com": "ab",
    "name under www.example.com": "a",
    "name under xample.com": "",
    "name under test": "c",
    "name ~ shop*": "c",
    "name ~ s*p.t*t": "c",
    "name ~ w*.com": "a",
    "name ~ *hop.te*": "c",
    "name ~ ampl": "ab",
    "name ~ '%_'": "c",
    "name ~ '_'": "c",
    "name ~ *": "abc",
    "name in (shop.test, EXAMPLE.com)": "ac",
    "name = 192.0.2.7": "c",
    "not name": "de",
    "name != example.com": "bcde",
    "wildcard": "b",
    "wildcard = false": "acde",
    "not wildcard": "acde",
    "expires < 30d": "bc",
    "not expires < 30d": "ade",
    "expires < now": "c",
    "expires >= 2026-05-02": "ad",
    "expires = 2026-05-02": "ad",
    "expires != 2026-05-02": "bce",
    "expires <= 2026-05-02": "abcd",
    "expires > 2026-05-02": "",
    "expires > 2026-05-02T11:59:59Z": "ad",
    "expires": "abcd",
    "issued > -31d": "abc",
    "lifetime > 398d": "d",
    "lifetime <= 40d": "c",
    "lifetime = 2592001s": "",
    "lifetime = 7776001s": "a",
    "key.type = rsa": "acd",
    "key.type = ecdsa": "b",
    "key.type = ecdsa-p256": "b",
    "key.type in (ecdsa, ed25519)": "b",
    "key.type != rsa": "be",
    "not key.type in (rsa, ecdsa)": "e",
    "key.size < 2048": "bc",
    "key.size in (1024, 256)": "bc",
    "not key.size": "e",
    "key.fingerprint = " + "c" * 64: "c",
    "signature ~ ecdsa": "b",
    "ca": "d",
    "ca = false": "abce",
    "ca != true": "abce",
    "self_issued": "d",
    "not readable": "e",
    "lineage = lineage": "abcde",
    "current and not urgency >= error": "a",
    "urgency >= error": "b",
    "urgency < error": "a",
    "urgency <= critical": "ab",
    "urgency > critical": "",
    "urgency = critical": "b",
    "urgency in (warning, expired)": "a",
    "not urgency": "cde",
    "renewal": "c",
    "replacement": "c",
    "replacement = stale": "c",
    "replacement != stale": "abde",
    "seen > -2h": "abcde",
    "place.address": "abc",
    "not place.address": "de",
    "place.port = 443": "a",
    "place.port = 8443": "ab",
    "place.port != 8443": "cde",
    "place.address = 192.0.2.1 and place.port = 8443": "b",
    "place.address = 192.0.2.2 and (place.port = 443 or place.name ~ www)": "",
    "place.address = 192.0.2.1 and (place.port = 8443 or place.name ~ www)": "ab",
    "not (place.address = 192.0.2.1 and place.port = 8443)": "acde",
    "place.address = 192.0.2.1 and not place.port = 8443": "",
    "place.port = 443 or ca": "ad",
    "(place.port = 443 or ca) and key.type = rsa": "ad",
    "place.address = 192.0.2.2 and place.port != 443": "",
    "place.address = 192.0.2.2 and not place.port = 25": "a",
    "place.name = www.example.com": "a",
    "place.kind = store": "b",
    "place.path ~ /etc/*": "b",
    "place.starttls": "c",
    "place.starttls in (smtp, imap)": "c",
    "place.since > -2d and place.seen < now": "abc",
    "place.flaw": "b",
    "place.flaw = unused": "b",
    "place.flaw = key-shared": "",
    "place.flaw = unused and place.port = 8443": "b",
    "place.flaw = unused and place.kind = store": "",
    "not place.flaw": "acde",
    "expires < 30d and key.type = rsa and key.size < 2048 and place.port = 25 and not current": "c",
    'subject ~ "\'; drop table certificates; --"': "",
    "issuer.expires": "abc",
    "issuer.expires < 41d": "ab",
    "issuer.expires > 41d": "bc",
    "not issuer.expires < 41d": "cde",
    "issuer.outlived": "a",
    "issuer.outlived = false": "bcde",
    "issuer.outlived or ca": "ad",
    "issuer.finding": "ab",
    "not issuer.finding": "cde",
    "issuer.finding = pkix.made_up": "ab",
    "issuer.finding ~ cabf.*": "",
    "issuer.finding != pkix.made_up and place.port": "c",
    "issuer.finding.severity >= error": "ab",
    "issuer.finding.severity in (warning, fatal)": "",
    "issuer.finding.severity = error and issuer.expires < 41d and key.type = ecdsa": "b",
    "not not ca": "d",
    "not (ca or not readable)": "abc",
    "not (ca and readable)": "abce",
}
"""What is asked, and the certificates that it finds."""

PLACES: Mapping[str, int] = {
    "": 6,
    "place.port = 443": 2,
    "place.port = 443 and name under example.com": 1,
    "not name": 1,
    "expires < 30d": 3,
    "not expires < 30d": 3,
    "place.flaw = unused": 1,
    "place.kind = store and current": 1,
    "name ~ ampl or place.port = 25": 5,
    "current and key.type = ecdsa and place.address = web-1": 1,
    "key.type = ecdsa and place.address = 192.0.2.3": 0,
    "not (current and place.port = 8443)": 4,
}
"""What is asked, and how many places are found."""


async def test_a_query_finds_what_it_asks_for(database: Database):
    await fill(database)
    found: dict[str, str] = {}
    async with database.read() as session:
        for text in CERTIFICATES:
            asked = sa.select(col(Certificate.fingerprint)).where(condition(parse(text), now=NOON))
            rows = await session.scalars(asked.order_by(col(Certificate.fingerprint)))
            found[text] = "".join(fingerprint[0] for fingerprint in rows)
        counted: dict[str, int] = {}
        for text in PLACES:
            every = (
                sa.select(sa.func.count())
                .select_from(PlaceRow)
                .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
            )
            counted[text] = await session.scalar(every.where(place_condition(parse(text), now=NOON))) or 0
    assert found == CERTIFICATES
    assert counted == PLACES


async def test_each_certificate_is_what_is_asked_or_is_not_it(database: Database):
    """In every way that every field can be asked."""
    await fill(database)
    words = {"text": "a", "number": "443", "boolean": "true", "instant": "2026-03-01", "span": "50d"}
    every = sa.func.count()
    async with database.read() as session:
        for asked in CATALOGUE.fields:
            value = asked.choices[0] if asked.choices else words[asked.kind]
            for operator in asked.operators:
                right = {"has": "", "in": f"in ({value}, {value})"}.get(operator, f"{operator} {value}")
                is_so, is_not = (
                    every.filter(condition(parse(f"{negated}{asked.name} {right}"), now=NOON))
                    for negated in ("", "not ")
                )
                counted = await session.execute(sa.select(is_so + is_not).select_from(Certificate))
                assert counted.scalar() == 5, f"{asked.name} {right}"


async def test_what_keeps_postgresql_busy_for_too_long_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(patience, "LONGEST_MS", 20)
    asked = Asked(query=parse("subject ~ a"), now=NOON)
    async with database.read() as session:
        if database.is_sqlite:
            async with patience.patience(session, asked):
                return
        with pytest.raises(TooLarge, match="look at too much"):
            async with patience.patience(session, asked):
                await session.execute(sa.text("SELECT pg_sleep(5)"))
    async with database.read() as session, patience.patience(session, None):
        await session.execute(sa.text("SELECT pg_sleep(0.05)"))


def test_every_field_of_the_catalogue_has_its_sql_and_the_reverse():
    of = {subject: {f.name for f in CATALOGUE.fields if f.subject is subject} for subject in Subject}
    assert of[Subject.CERTIFICATE] == CERTIFICATE_FIELDS.keys()
    assert of[Subject.PLACE] == PLACE_FIELDS.keys()


def test_the_lifetime_in_the_cases_counts_the_last_second():
    assert (NOON + 60 * DAY) - (NOON - 30 * DAY) + timedelta(seconds=1) == timedelta(seconds=7_776_001)
