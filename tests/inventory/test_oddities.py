"""Certificates nobody should have made, through the real way in: events to rows, on both databases."""

import ssl
import time
from hashlib import sha256
from typing import Any

from services.inventory.domain.assessment.quantum import Signature, signature
from services.inventory.domain.oddities import MOST_INDEXED, Code
from services.inventory.store.certificates import CertificateFilter
from shared.events import Event
from shared.events.discovery import Place
from tests.inventory.ledger import NOON, Ledger, found, found_bytes, place
from tests.oddities import corpus
from tests.servers.tls import Issued

CORPUS = {title: odd for title, odd in corpus() if "mebibyte" not in title}


def where(number: int) -> Place:
    return Place(address=f"198.51.100.{number}", port=443)


async def test_a_batch_of_them_is_kept_each_with_its_bytes_its_fields_and_its_oddities(
    ledger: Ledger, old: Issued
) -> None:
    events: list[Event[Any]] = []
    for number, odd in enumerate(CORPUS.values()):
        der = odd.bytes()
        events.append(found_bytes(sha256(der).hexdigest(), [der], where(number), NOON))
    begun = time.process_time()
    await ledger.hear(*events, found(old, place(), NOON))
    assert time.process_time() - begun < 20
    for title, odd in CORPUS.items():
        name = sha256(odd.bytes()).hexdigest()
        report = await ledger.reading.certificate(name, scope=None)
        assert {each.code for each in report.facts.oddities} == set(odd.codes), title
        assert report.facts.place_count == 1
        pem = (await ledger.reading.pem(name, scope=None)).pem
        assert ssl.PEM_cert_to_DER_cert(pem) == odd.bytes(), title
        if not odd.codes or not odd.codes[0].startswith("unreadable"):
            assert report.row.not_after is not None or "unreadable-validity" in odd.codes, title
    assert (await ledger.reading.certificate(old.fingerprint, scope=None)).facts.oddities == []
    many = CertificateFilter(oddity=Code.TOO_MANY_NAMES)
    [row] = await ledger.reading.certificates(many, after=None, limit=9)
    assert len(row.names) == 20_000
    first = CertificateFilter(name=row.names[0])
    assert [each.id for each in await ledger.reading.certificates(first, after=None, limit=9)] == [row.id]
    beyond = CertificateFilter(name=row.names[MOST_INDEXED])
    assert not await ledger.reading.certificates(beyond, after=None, limit=9)
    await ledger.work()


async def test_algorithms_of_tomorrow_and_of_elsewhere_are_kept_and_named(ledger: Ledger) -> None:
    said = {}
    for number, title in enumerate(("with an ML-DSA key", "with a GOST key", "with an ML-KEM key")):
        der = CORPUS[title].bytes()
        name = sha256(der).hexdigest()
        await ledger.hear(found_bytes(name, [der], where(number), NOON))
        row = (await ledger.reading.certificate(name, scope=None)).row
        said[title] = (row.key_type, row.finding, signature(row))
    assert said == {
        "with an ML-DSA key": ("ml-dsa-65", None, Signature.POST_QUANTUM),
        "with a GOST key": ("gost-2012-256", None, Signature.CLASSICAL),
        "with an ML-KEM key": ("ml-kem-768", None, Signature.CLASSICAL),
    }
