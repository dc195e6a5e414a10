"""A service as witness of the trail: it co-signs a checkpoint only where that continues the one it co-signed before.

So who keeps the trail cannot make it anew: the others hold, each in a store of its own, what it was.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared.access import public_keys
from shared.audit.keys import AuditKeys
from shared.audit.signed import Kind, digest, opened, signed
from shared.clock import Clock
from shared.errors import Conflict
from shared.events import Event
from shared.events.audit import CheckpointCosigned, TrailCheckpointed
from shared.reactions import Reaction
from shared.store import Transaction
from shared.store.plumbing import AUDIT_STATE


class Witness:
    """Co-signs for one service."""

    def __init__(self, keys: AuditKeys, *, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    @property
    def reaction(self) -> Reaction[TrailCheckpointed]:
        """Return what a service does on `audit.checkpointed`."""
        return Reaction(TrailCheckpointed, self._checkpointed)

    async def _checkpointed(self, tx: Transaction, event: Event[TrailCheckpointed]) -> None:
        """Co-sign. Raises `Conflict`, so that it is tried again, where the one before is not known here (yet)."""
        key = await self._keys.signing_key_in(tx)
        state = (await tx.session.execute(sa.select(AUDIT_STATE))).one()
        told = event.data
        keeper = state.keeper_key or told.signer
        _, claims = opened(Kind.CHECKPOINT, told.checkpoint, public_keys({"keys": [keeper]}))
        its_digest = digest(told.checkpoint)
        if state.checkpoint is not None and int(claims["number"]) <= state.checkpoint:
            return _refuse_another(state, claims, its_digest)
        if state.digest is not None and claims["previous"] != state.digest:
            raise _does_not_follow(claims, state.checkpoint)
        seen = {"keeper_key": keeper, "checkpoint": int(claims["number"]), "digest": its_digest}
        await tx.session.execute(sa.update(AUDIT_STATE).values(seen))
        now = self._clock()
        said = _said(claims, its_digest)
        tx.emit(
            CheckpointCosigned(
                number=told.number,
                signature=signed(Kind.COSIGNATURE, said, key, now=now),
                signer=key.jwk(),
            ),
            now=now,
        )
        return None


def _said(claims: Mapping[str, Any], its_digest: str) -> dict[str, Any]:
    return {"number": claims["number"], "head": claims["head"], "checkpoint": its_digest}


def _refuse_another(state: Any, claims: Mapping[str, Any], its_digest: str) -> None:
    if int(claims["number"]) == state.checkpoint and its_digest != state.digest:
        raise _does_not_follow(claims, state.checkpoint)


def _does_not_follow(claims: Mapping[str, Any], known: int | None) -> Conflict:
    return Conflict(
        f"Checkpoint {claims['number']} of the audit trail does not continue checkpoint {known}, which was co-signed here.",
        next_step="If earlier checkpoints are dead letters, put those back first; else the trail was changed: export and verify it.",
    )
