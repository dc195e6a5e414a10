"""What discovery says of a look at many endpoints, and the rows that the certificates it has seen come to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.ingest.certificates import names_of
from services.inventory.actions.certificates import Chain, certificate_row
from services.inventory.domain.certificates import read
from services.inventory.store.places import place_id
from shared.bus import Message
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.ids import new_id
from shared.x509 import fingerprint

COLUMNS = (
    "fingerprint",
    "id",
    "lineage_id",
    "serial",
    "subject",
    "issuer",
    "names",
    "not_before",
    "not_after",
    "key_type",
    "key_bits",
    "key_fingerprint",
    "signature_algorithm",
    "is_ca",
    "is_self_issued",
    "finding",
    "chain",
    "is_from_renewal",
    "is_current",
    "first_known_at",
)
"""Of the table `certificates`: those that are read from a certificate, or must not be empty."""


def place(number: int) -> Place:
    """Return an endpoint."""
    address = f"10.{number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
    return Place(address=address, port=443, server_name=names_of(number)[0])


def messages(leaves: Sequence[bytes], above: bytes, *, at: datetime) -> list[Message]:
    """Return the events of a scan that found one certificate at each endpoint."""
    events = [
        Event.of(
            CertificateFound.model_construct(
                place=place(number),
                fingerprint=fingerprint(leaf),
                chain=[leaf, above],
                observed_at=at + timedelta(milliseconds=number),
                scan_id="scan",
                tls_version="TLSv1.3",
                cipher_suite="TLS_AES_128_GCM_SHA256",
                group="x25519",
            ),
            source="discovery",
            now=at,
        )
        for number, leaf in enumerate(leaves)
    ]
    return [Message(id=event.id, type=event.type, body=event.to_bytes()) for event in events]


Rows = list[tuple[Any, ...]]


def certificate_rows(leaves: Sequence[bytes], above: bytes, *, now: datetime) -> Rows:
    """Return rows of the table `certificates`, read already: what the baseline copies."""
    rows = []
    for leaf in leaves:
        print_ = fingerprint(leaf)
        reading = read(print_, leaf)
        chain = Chain(fingerprint=print_, ders=[leaf, above])
        row = certificate_row(reading, chain, lineage_id=new_id(), now=now)
        row.is_current = True
        rows.append(tuple(getattr(row, name) for name in COLUMNS))
    return rows


def sighting_rows(leaves: Sequence[bytes], *, at: datetime) -> Rows:
    """Return what each endpoint serves: its id, the certificate's fingerprint, and when it was seen."""
    return [(place_id(place(number).key), fingerprint(leaf), at) for number, leaf in enumerate(leaves)]
