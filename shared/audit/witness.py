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
from shared.errors import Conflict, Invalid
from shared.events import Event
from shared.events.audit import CheckpointCosigned, CheckpointRefused, TrailCheckpointed
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
        """Co-sign, or say that it cannot be the next. Raises `Conflict`, to be tried again, where one between is not known yet."""
        key = await self._keys.signing_key_in(tx)
        state = (await tx.session.execute(sa.select(AUDIT_STATE))).one()
        told = event.data
        keeper = state.keeper_key or told.signer
        its_digest = digest(told.checkpoint)
        try:
            _, claims = opened(Kind.CHECKPOINT, told.checkpoint, public_keys({"keys": [keeper]}))
        except Invalid:
            return self._refuse(tx, told, state, "It is not signed with the key that the trail is kept with.")
        number = int(claims["number"])
        if state.checkpoint is not None and number <= state.checkpoint:
            if number == state.checkpoint and its_digest != state.digest:
                self._refuse(tx, told, state, "It is not the one of this number that was co-signed.")
            return None
        if state.digest is not None and claims["previous"] != state.digest:
            if number > state.checkpoint + 1:
                raise _not_known_yet(number, state.checkpoint)
            return self._refuse(tx, told, state, "It does not continue the one that was co-signed before.")
        # A key that is followed by another says by which in the last checkpoint that it signs.
        heir = claims.get("next_key", keeper)
        seen = {"keeper_key": heir, "checkpoint": int(claims["number"]), "digest": its_digest}
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

    def _refuse(self, tx: Transaction, told: TrailCheckpointed, state: Any, reason: str) -> None:
        now = self._clock()
        refused = CheckpointRefused(number=told.number, known=state.checkpoint, reason=reason, refused_at=now)
        tx.emit(refused, now=now)


def _said(claims: Mapping[str, Any], its_digest: str) -> dict[str, Any]:
    return {"number": claims["number"], "head": claims["head"], "checkpoint": its_digest}


def _not_known_yet(number: int, known: int) -> Conflict:
    return Conflict(
        f"Checkpoint {number} of the audit trail came before one between it and {known}, which was co-signed here last.",
        next_step="If earlier checkpoints are dead letters, put those back first; else the trail was changed: export and verify it.",
    )
