"""Holds all that a batch of events bears upon before any of it is taken in.

Two replicas that held it bit by bit would each come to wait for what the other holds. So everybody holds kind after kind in
one order, and each kind in one order: addresses (whoever holds one holds all places there), certificates, fronts, private
keys, lineages. Rows are written after that, and who writes what belongs to certificates holds those first, all at once.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from services.inventory.store import certificates, joins, lineages, places
from services.inventory.store.locks import are_several, hold, hold_in_turn, hold_lineages
from services.inventory.store.places import place_id
from shared.events import Event, Payload
from shared.events.discovery import CertificateFound, PlaceLost, SourceRead
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed, CertificateRevoked, LineageEnrolled, LineageWithdrawn
from shared.store import Transaction
from shared.x509 import fingerprint

Seen = CertificateFound | PlaceLost
Managed = LineageEnrolled | LineageWithdrawn


async def hold_all(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Hold what events bear upon, and keep the bytes of the authorities that they bring.

    Those are the one thing that batches have in common, so each keeps all of its own at once, and in the same order.
    """
    data = [event.data for event in events]
    if are_several(tx):
        await _hold(tx, data)
    above = {der for each in data for der in _above(each)}
    await certificates.keep_ders(tx, {fingerprint(der): der for der in above})


async def hold_certificates(tx: Transaction, fingerprints: Collection[str]) -> None:
    """Hold certificates, and the lineages that are written with them."""
    await hold(tx, *fingerprints)
    await hold_lineages(tx, of=fingerprints)


async def _hold(tx: Transaction, data: Sequence[Payload]) -> None:
    seen = [each for each in data if isinstance(each, Seen)]
    addresses = {each.place.address for each in seen} | {
        address for each in seen for address in _held_addresses(each)
    }
    await hold(tx, *map(_address, addresses))
    prints = {print_ for each in data for print_ in _certificates(each)}
    prints |= await places.served_around(tx, [(place_id(each.place.key), each.observed_at) for each in seen])
    managed = [each.lineage_id for each in data if isinstance(each, Managed)]
    if managed:
        prints |= await lineages.certificates_of(tx, managed)
    fronts, keys = await _fronts_and_keys(tx, data, addresses)
    await hold_in_turn(tx, prints, map(_front, fronts), map(_key, keys))
    await hold_lineages(tx, of=prints, beside=list(_lineages(data)))


async def _fronts_and_keys(
    tx: Transaction, data: Sequence[Payload], addresses: Collection[str]
) -> tuple[set[str], set[str]]:
    """Return the fronts that events bear upon, those that are to be made among them, and the private keys."""
    fronts = {front.id for at in (await joins.fronts_at(tx.session, addresses)).values() for front in at}
    keys = set[str]()
    stores = {
        place_id(each.place.key) for each in data if isinstance(each, Seen) and each.place.kind == "store"
    }
    if stores:
        before = await joins.fronts_and_keys_of(tx, stores)
        fronts, keys = fronts | before[0], keys | before[1]
    for each in data:
        held = each.held if isinstance(each, CertificateFound) else None
        if held is not None and held.addresses:
            fronts.add(joins.front_id(held.addresses))
        if held is not None and held.key is not None and held.key.fingerprint:
            keys.add(held.key.fingerprint)
    runs = [each.run_id for each in data if isinstance(each, SourceRead)]
    return fronts | (await joins.fronts_of_runs(tx, runs) if runs else set()), keys


def _held_addresses(each: Seen) -> Sequence[str]:
    """Return the addresses of the host whose store an event tells of."""
    return each.held.addresses if isinstance(each, CertificateFound) and each.held is not None else ()


def _certificates(data: Payload) -> Iterator[str]:
    """Return the fingerprints of the certificates that an event is about."""
    if isinstance(
        data, CertificateFound | PlaceLost | CertificateRenewed | CertificateDeployed | CertificateRevoked
    ):
        yield data.fingerprint
    if isinstance(data, CertificateRenewed | CertificateDeployed) and data.old_fingerprint is not None:
        yield data.old_fingerprint
    if isinstance(data, CertificateRenewed) and data.root:
        yield fingerprint(data.root)


def _lineages(data: Sequence[Payload]) -> Iterator[str]:
    """Return the ids of the lineages that events name."""
    for each in data:
        if isinstance(each, CertificateRenewed | CertificateDeployed | CertificateRevoked | Managed):
            yield each.lineage_id


def _above(data: Payload) -> Iterator[bytes]:
    """Return the certificates that an event brings beside the one that it is about."""
    if isinstance(data, CertificateFound | CertificateRenewed):
        yield from data.chain[1:]
    if isinstance(data, CertificateRenewed) and data.root:
        yield data.root


def _address(address: str) -> str:
    return f"address {address}"


def _front(front: str) -> str:
    return f"front {front}"


def _key(key: str) -> str:
    return f"key {key}"
