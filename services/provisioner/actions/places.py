"""Where a binding shows, in the words of discovery, and what is told when somebody else changes it."""

from datetime import datetime

from services.provisioner import store
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain.drift import Strange
from shared.events.discovery import Place
from shared.events.provisioner import BindingDrifted, BindingSettled


def place_of(endpoint: Endpoint) -> Place:
    """Return an endpoint as discovery names it."""
    return Place(
        address=endpoint.address,
        port=endpoint.port,
        server_name=endpoint.server_name,
        starttls=endpoint.starttls,
    )


def places_of(binding: store.Binding, target: store.Target) -> frozenset[str]:
    """Return the keys of all places that show what is in the slot of a binding: its endpoints, and its file on a host."""
    shown = {place_of(Endpoint.model_validate(each)).key for each in binding.endpoints}
    if target.host is not None:
        shown.add(Place(kind="store", address=target.host, path=binding.slot_key).key)
    return frozenset(shown)


def drifted(
    binding: store.Binding, strange: Strange, *, target: store.Target, is_put_right: bool, at: datetime
) -> BindingDrifted:
    """Return what is told of a slot that somebody else has changed."""
    return BindingDrifted(
        binding_id=binding.id,
        lineage_id=binding.lineage_id,
        target=target.name,
        slot=binding.slot_key,
        place=strange.place,
        fingerprint=binding.fingerprint or "",
        found=strange.fingerprint,
        is_put_right=is_put_right,
        drifted_at=at,
    )


def settled(binding: store.Binding, *, at: datetime) -> BindingSettled:
    """Return what is told when that is over."""
    return BindingSettled(binding_id=binding.id, lineage_id=binding.lineage_id, settled_at=at)
