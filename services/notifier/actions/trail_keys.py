"""The keys that the trail is signed with, one after the other: each names its heir in the last checkpoint that it signs.

So who co-signs, and who verifies an export years later, knows by the old key which one is the next. The private half of a
key goes with its last checkpoint; the public one is published for good.
"""

from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.notifier.store import trail as store
from services.notifier.store.trail import TrailKey
from shared.access import Principal, SigningKey
from shared.audit import Change
from shared.audit.keys import AuditKeys
from shared.errors import Conflict
from shared.ids import new_id
from shared.store import Transaction

log = structlog.get_logger(__name__)


class TrailKeys(AuditKeys):
    """The key that signs, those that have signed before, and the one that is to follow."""

    async def published(self) -> list[dict[str, str]]:
        """Return the public halves of all that sign or have signed, the present one first."""
        async with self._database.read() as session:
            retired = await store.retired_keys(session)
        owner = {"service": self._database.source}
        return [*await super().published(), *({**row.jwk, **owner} for row in retired)]

    async def rotate(self, *, caller: Principal, now: datetime) -> TrailKey:
        """Make the key that follows; it signs from the checkpoint after next on. Raises `Conflict` where one waits."""
        heir = SigningKey(id=new_id(), private=Ed25519PrivateKey.generate())
        sealed = self._sealer.seal(heir.private.private_bytes_raw(), row=_row(heir.id))
        row = TrailKey(id=heir.id, jwk=heir.jwk(), private_key=sealed, made_at=now)
        async with self._database.transaction() as tx:
            present = await self.signing_key_in(tx)
            if await store.waiting_key(tx) is not None:
                raise Conflict(
                    "A new key waits for the next checkpoint already.",
                    next_step="Wait for it: GET /v1/audit/checkpoints shows when it was signed.",
                )
            tx.session.add(row)
            tx.record(
                Change(
                    kind="audit_key",
                    verb="rotated",
                    id=row.id,
                    before={"key": present.id},
                    after={"key": row.id},
                )
            )
        log.info("audit.key_rotated", key=row.id, by=caller.id)
        return row

    async def heir_in(self, tx: Transaction) -> SigningKey | None:
        """Return the key that is to follow the present one, where one waits."""
        row = await store.waiting_key(tx)
        if row is None:
            return None
        raw = self._sealer.open(row.private_key or b"", row=_row(row.id))
        return SigningKey(id=row.id, private=Ed25519PrivateKey.from_private_bytes(raw))

    async def hand_over(
        self, tx: Transaction, present: SigningKey, heir: SigningKey, *, now: datetime
    ) -> None:
        """Let the heir sign from now on; of the present key the public half is left."""
        await self.replace_in(tx, heir)
        await store.retire_key(tx, present.id, jwk=present.jwk(), heir=heir.id, now=now)


def _row(key_id: str) -> str:
    return f"notifier/audit_keys/{key_id}/private_key"
