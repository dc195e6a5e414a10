"""What is kept of what was seen, on SQLite and on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery import store
from services.discovery.actions.sightings import keep
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Depth, Sighting
from services.discovery.domain.targets import AUTO, Asked
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import CertificateFound, PlaceLost, ScanCounts, TlsFacts
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.tls import CertificateAuthority, Issued


def chain_of(issued: Issued) -> tuple[bytes, ...]:
    return (issued.certificate.public_bytes(Encoding.DER),)


def showing(asked: Asked, issued: Issued, **more: Any) -> Sighting:
    return Sighting(asked=asked, outcome=Outcome.TLS, chain=chain_of(issued), **more)


async def kept(database: Database, *sightings: Sighting) -> ScanCounts:
    async with database.transaction() as tx:
        return await keep(tx, sightings, now=utc_now(), misses_until_lost=1, scan_id="one")


async def found_in(database: Database) -> Sequence[CertificateFound]:
    async with database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "certificate.found").order_by(OUTBOX.c.id)
        return [Event.parse(body, CertificateFound).data for body in await session.scalars(query)]


def news(counts: ScanCounts) -> dict[str, int]:
    return {name: n for name, n in counts.model_dump().items() if n}


async def test_what_is_found_is_new_then_known_then_changed(
    database: Database, lab_ca: CertificateAuthority
) -> None:
    one, two = lab_ca.issue("a.test"), lab_ca.issue("a.test")
    asked = [Asked(address="192.0.2.1", port=port) for port in (443, 8443)]
    first = await kept(database, *(showing(each, one) for each in asked))
    assert news(first) == {"found": 2, "new": 2}
    second = await kept(database, showing(asked[0], one), showing(asked[1], two))
    assert news(second) == {"found": 2, "known": 1, "changed": 1}


async def test_what_depth_full_has_found_is_told_and_whether_something_may_be_missing(
    database: Database, lab_ca: CertificateAuthority
) -> None:
    issued = lab_ca.issue("a.test")
    looks = {
        1: None,
        2: Depth(versions=("TLSv1.2",), suites={"TLSv1.2": ("TLS_RSA_WITH_NULL_SHA",)}, dh_bits=(1024,)),
        3: Depth(versions=("TLSv1.3",), unreached=2),
    }
    for port, depth in looks.items():
        await kept(database, showing(Asked(address="192.0.2.1", port=port), issued, depth=depth))
    quick, whole, missed = [found.tls for found in await found_in(database)]
    assert quick is None
    assert whole == TlsFacts(
        versions=["TLSv1.2"], suites={"TLSv1.2": ["TLS_RSA_WITH_NULL_SHA"]}, dh_bits=[1024]
    )
    assert missed == TlsFacts(versions=["TLSv1.3"], is_complete=False)


async def test_a_place_is_named_by_the_starttls_that_was_really_spoken(
    database: Database, lab_ca: CertificateAuthority
) -> None:
    asked = Asked(address="192.0.2.1", port=25, starttls=AUTO)
    await kept(database, showing(asked, lab_ca.issue("mx.test"), starttls="smtp"))
    (event,) = await found_in(database)
    assert event.place.starttls == "smtp"
    assert event.place.key == "smtp+tls://192.0.2.1:25/"
    missed = Sighting(asked=asked, outcome=Outcome.SILENT)
    await kept(database, missed)
    async with database.read() as session:
        query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == "place.lost")
        (lost,) = [Event.parse(body, PlaceLost).data for body in await session.scalars(query)]
    assert lost.place == event.place, "a look that leaves STARTTLS open misses the place that was seen"


async def test_a_miss_of_another_protocol_is_none(database: Database, lab_ca: CertificateAuthority) -> None:
    asked = Asked(address="192.0.2.1", port=25, starttls=AUTO)
    await kept(database, showing(asked, lab_ca.issue("mx.test"), starttls="smtp"))
    await kept(
        database, Sighting(asked=Asked(address="192.0.2.1", port=25, starttls=None), outcome=Outcome.NO_TLS)
    )
    async with database.read() as session:
        (place,) = await store.list_places(session, after=None, limit=10)
    assert place.misses == 0


async def test_the_second_certificate_of_an_endpoint_is_a_place_of_its_own(
    database: Database, lab_ca: CertificateAuthority
) -> None:
    ec, rsa = lab_ca.issue("both.test", kind="ec"), lab_ca.issue("both.test", kind="rsa")
    asked = Asked(address="192.0.2.1", port=443)
    counts = await kept(
        database, showing(asked, ec, other_chains={"rsa": chain_of(rsa)}, group="X25519MLKEM768")
    )
    assert news(counts) == {"found": 2, "new": 2}
    events = {event.place.key: event for event in await found_in(database)}
    assert {key: event.fingerprint for key, event in events.items()} == {
        "tls://192.0.2.1:443/": ec.fingerprint,
        "tls://192.0.2.1:443/?key=rsa": rsa.fingerprint,
    }
    assert events["tls://192.0.2.1:443/?key=rsa"].place.key_type == "rsa"
    assert events["tls://192.0.2.1:443/"].group == "X25519MLKEM768"
