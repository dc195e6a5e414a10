"""The key that a service signs checkpoints of the trail with: sealed in its own store, its public half published."""

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.access import SigningKey
from shared.http import Routes, View, public
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database, Transaction, insert
from shared.store.plumbing import AUDIT_STATE

PUBLISHED = "verification keys are public"


class AuditKeys:
    """The one key of a service."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    @property
    def _row(self) -> str:
        return f"{self._database.source}/audit_state/1/private_key"

    async def published(self) -> list[dict[str, str]]:
        """Return the public half as a JWKS has it, with whose it is."""
        return [{**(await self.signing_key()).jwk(), "service": self._database.source}]

    async def signing_key(self) -> SigningKey:
        """Return the key, made where there is none yet."""
        async with self._database.read() as session:
            row = (await session.execute(sa.select(AUDIT_STATE))).one_or_none()
        if row is not None and row.private_key is not None:
            return self._opened(row.key_id, row.private_key)
        async with self._database.transaction() as tx:
            return await self.signing_key_in(tx)

    async def signing_key_in(self, tx: Transaction) -> SigningKey:
        """Return the key, made in this transaction where there is none yet."""
        await tx.session.execute(insert(tx, AUDIT_STATE).values(id=1, sequence=0).on_conflict_do_nothing())
        row = (await tx.session.execute(sa.select(AUDIT_STATE).with_for_update())).one()
        if row.private_key is not None:
            return self._opened(row.key_id, row.private_key)
        private, key_id = Ed25519PrivateKey.generate(), new_id()
        sealed = self._sealer.seal(private.private_bytes_raw(), row=self._row)
        await tx.session.execute(sa.update(AUDIT_STATE).values(key_id=key_id, private_key=sealed))
        return SigningKey(id=key_id, private=private)

    async def replace_in(self, tx: Transaction, key: SigningKey) -> None:
        """Let another key be the one from now on; the private half of the one before is gone with this."""
        sealed = self._sealer.seal(key.private.private_bytes_raw(), row=self._row)
        await tx.session.execute(sa.update(AUDIT_STATE).values(key_id=key.id, private_key=sealed))

    def _opened(self, key_id: str, sealed: bytes) -> SigningKey:
        raw = self._sealer.open(sealed, row=self._row)
        return SigningKey(id=key_id, private=Ed25519PrivateKey.from_private_bytes(raw))


class AuditKeysView(View):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


def audit_key_routes(keys: AuditKeys) -> Routes:
    """Build the route that every service has: what it co-signs the audit trail with."""
    routes = Routes(prefix="/v1/audit-keys")

    @routes.get(
        "", summary="Show what this service signs the audit trail with", openapi_extra=public(PUBLISHED)
    )
    async def list_audit_keys() -> AuditKeysView:
        return AuditKeysView(keys=await keys.published())

    return routes
