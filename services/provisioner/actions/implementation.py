"""What exactly an approval to put a certificate in place is for: this certificate, these slots, this way, in these waves."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.store.approvals import APPROVALS, Kind
from shared.approvals import PASSED, digest


async def document(session: AsyncSession, rollout: store.Rollout, renewal: store.Renewal) -> dict[str, Any]:
    """Return what would be done by a rollout, as it stands."""
    rows = await store.deployments_of_rollout(session, rollout.id)
    places = [await place_of(session, row) for row in rows]
    names = ", ".join(renewal.names)
    return {
        "kind": Kind.ROLLOUT,
        "rollout_id": rollout.id,
        "order_id": rollout.order_id,
        "lineage_id": rollout.lineage_id,
        "names": renewal.names,
        "fingerprint": rollout.fingerprint,
        "replaces": renewal.old_fingerprint,
        "waves": {
            "canaries": rollout.canaries,
            "share": rollout.share,
            "soak": rollout.soak,
            "stop_after": rollout.stop_after,
        },
        "places": [place for place in places if place is not None],
        "summary": f"Put the certificate for {names} in place in {slots(places)}.",
    }


def slots(places: Sequence[object]) -> str:
    """Return how many slots that is, in words."""
    return "1 slot" if len(places) == 1 else f"{len(places)} slots"


async def place_of(session: AsyncSession, row: store.Deployment) -> dict[str, Any] | None:
    """Return what would be done by a deployment and where; None where its binding was taken back."""
    binding = await session.get(store.Binding, row.binding_id)
    if binding is None:
        return None
    target = await session.get_one(store.Target, binding.target_id)
    return {
        "binding_id": binding.id,
        "wave": row.wave,
        "slot": binding.slot,
        "endpoints": binding.endpoints,
        "after": sorted(binding.after),
        "target": {
            "id": target.id,
            "name": target.name,
            "kind": target.kind,
            "host": target.host,
            "port": target.port,
            "username": target.username,
            # Commands are in here: what is run is approved, not only where.
            "options": digest({"options": target.options}),
        },
    }


async def is_as_approved(session: AsyncSession, rollout: store.Rollout, row: store.Deployment) -> bool:
    """Return whether a deployment is a part of what was approved, as it was then."""
    approval = await APPROVALS.latest(session, Kind.ROLLOUT, rollout.id)
    if approval is None or approval.state not in PASSED:
        return False
    return is_place_in(approval.document, await place_of(session, row))


def is_place_in(document: Mapping[str, Any], place: Mapping[str, Any] | None) -> bool:
    """Return whether exactly this is one of the places of a document."""
    return _plain(place) in [_plain(each) for each in document["places"]]


def _plain(place: Mapping[str, Any] | None) -> str | None:
    return digest(place) if place is not None else None
