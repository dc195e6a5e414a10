"""Holds all that a batch of events bears upon before any of it is taken in.

Two replicas that held it bit by bit would each come to wait for what the other holds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from services.inventory.store import places
from services.inventory.store.locks import hold, hold_in_turn
from services.inventory.store.places import place_id
from shared.events import Event, Payload
from shared.events.discovery import CertificateFound, PlaceLost
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed, CertificateRevoked
from shared.store import Transaction
from shared.x509 import fingerprint


async def hold_all(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Hold the places that events name, the certificates they name and those that are served there, and their addresses.

    Kind after kind in this order, as who takes in one event does; and each kind in one order.
    """
    data = [event.data for event in events]
    named = [each.place for each in data if isinstance(each, CertificateFound | PlaceLost)]
    ids = sorted({place_id(place.key) for place in named})
    await hold(tx, *ids)
    served = await places.served_at(tx, ids)  # which only changes while they are held
    prints = {print_ for each in data for print_ in _certificates(each)}
    await hold_in_turn(tx, prints | served, {f"address {place.address}" for place in named})


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
