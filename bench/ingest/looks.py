"""What discovery says of a look at many endpoints, and the rows that the certificates it has seen come to."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.ingest.certificates import names_of
from services.inventory.actions.certificates import Chain, certificate_row
from services.inventory.domain.certificates import chain_digest, read, reversed_name
from services.inventory.store.places import place_id
from services.inventory.store.tables import Certificate
from shared.bus import Message
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.ids import new_id
from shared.x509 import fingerprint

COLUMNS = {
    "certificates": (
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
    ),
    "certificate_names": ("fingerprint", "name", "backwards"),
    "certificate_ders": ("fingerprint", "der"),
    "places": ("id", "key", "kind", "address", "port", "server_name", "starttls", "key_type", "path"),
    "place_tls": ("place_id", "version", "suite", "group", "negotiated_at"),
    "sightings": (
        "place_id",
        "fingerprint",
        "chain_digest",
        "first_seen",
        "last_seen",
        "is_watched",
        "is_awaited",
        "is_proof",
        "negotiated_digest",
    ),
}
"""What is read from an event, by table: columns that come from it, or must not be empty."""
_AS_JSON = ("names", "chain")
_TLS = ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "x25519")


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
                tls_version=_TLS[0],
                cipher_suite=_TLS[1],
                group=_TLS[2],
            ),
            source="discovery",
            now=at,
        )
        for number, leaf in enumerate(leaves)
    ]
    return [Message(id=event.id, type=event.type, body=event.to_bytes()) for event in events]


Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""By table, as the driver takes them."""


def rows(leaves: Sequence[bytes], above: bytes, *, now: datetime) -> list[Rows]:
    """Return the rows of each endpoint, read already: what the baseline copies."""
    kept_above = [(fingerprint(above), above)]
    found: list[Rows] = []
    for number, leaf in enumerate(leaves):
        row = _certificate(leaf, above, now=now)
        seen = place(number)
        at = place_id(seen.key)
        digest = chain_digest([row.fingerprint, *row.chain])
        found.append(
            {
                "certificates": [_written(row)],
                "certificate_names": [(row.fingerprint, name, reversed_name(name)) for name in row.names],
                "certificate_ders": [(row.fingerprint, leaf), *([] if number else kept_above)],
                "places": [(at, seen.key, *seen.model_dump().values())],
                "place_tls": [(at, *_TLS, now)],
                "sightings": [(at, row.fingerprint, digest, now, now, False, False, True, number)],
            }
        )
    return found


def _certificate(leaf: bytes, above: bytes, *, now: datetime) -> Certificate:
    chain = Chain(fingerprint=fingerprint(leaf), ders=[leaf, above])
    row = certificate_row(read(chain.fingerprint, leaf), chain, lineage_id=new_id(), now=now)
    row.is_current = True
    return row


def _written(row: Certificate) -> tuple[Any, ...]:
    return tuple(
        json.dumps(getattr(row, name)) if name in _AS_JSON else getattr(row, name)
        for name in COLUMNS["certificates"]
    )
