"""The signed report of a campaign: what was replaced by what, when, on whose word, and seen where."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.renewal import store
from services.renewal.actions.campaigns import Campaigns
from services.renewal.domain.campaigns import CampaignState
from shared.access import Principal, SigningKey, jwk_of
from shared.errors import Conflict
from shared.evidence import Writer
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database

_NOT_STARTED = (CampaignState.PLANNING, CampaignState.PLANNED)


class Evidence:
    """Reports of campaigns, and what they are signed with."""

    def __init__(self, database: Database, campaigns: Campaigns, *, sealer: Sealer) -> None:
        self._database = database
        self._campaigns = campaigns
        self._sealer = sealer

    async def keys(self, *, now: datetime) -> list[dict[str, str]]:
        """Return the public keys of reports, as JWKs, the present one first."""
        await self._key(now=now)
        async with self._database.read() as session:
            rows = await store.evidence_keys(session)
        return [jwk_of(Ed25519PublicKey.from_public_bytes(row.public), key_id=row.id) for row in rows]

    async def report(self, campaign_id: str, *, caller: Principal, now: datetime) -> AsyncIterator[bytes]:
        """Return the lines of a report as they are read. Raises `NotFound`, or `Conflict` before there is anything to report."""
        row = await self._campaigns.get(campaign_id, caller=caller)
        if row.state in _NOT_STARTED:
            raise Conflict(f"The campaign is {row.state}.", next_step="Start it first.")
        return self._lines(row, await self._key(now=now), now=now)

    async def _lines(self, row: store.Campaign, key: SigningKey, *, now: datetime) -> AsyncIterator[bytes]:
        writer = Writer()
        async with self._database.read() as session:
            yield writer.line({"campaign": _head(row), "reported_at": now.isoformat()})
            async for item in store.item_lines(session, row.id):
                yield writer.line({"certificate": _told(item)})
        yield writer.signature(key, subject=row.id, now=now)

    async def _key(self, *, now: datetime) -> SigningKey:
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, "evidence key")
            rows = await store.evidence_keys(tx.session)
            row = rows[0] if rows else self._made(now=now)
            if not rows:
                tx.session.add(row)
            raw = self._sealer.open(row.private, row=_sealed_row(row.id))
        return SigningKey(id=row.id, private=Ed25519PrivateKey.from_private_bytes(raw))

    def _made(self, *, now: datetime) -> store.EvidenceKey:
        private, key_id = Ed25519PrivateKey.generate(), new_id()
        return store.EvidenceKey(
            id=key_id,
            private=self._sealer.seal(private.private_bytes_raw(), row=_sealed_row(key_id)),
            public=private.public_key().public_bytes_raw(),
            created_at=now,
        )


_HEAD = [
    "id",
    "name",
    "query",
    "reason",
    "deadline",
    "profiles",
    "not_from",
    "waves",
    "revoke",
    "state",
    "plan_digest",
    "created_at",
    "created_by",
    "started_at",
    "started_by",
    "finished_at",
]
_TOLD = [
    "lineage_id",
    "fingerprint",
    "names",
    "issuer",
    "not_after",
    "owner",
    "profile",
    "authority",
    "is_bound",
    "wave",
    "state",
    "order_id",
    "new_fingerprint",
    "ordered_at",
    "renewed_at",
    "observed_at",
    "obstacle",
    "next_step",
]


def _head(row: store.Campaign) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in _HEAD}


def _told(item: store.CampaignItem) -> dict[str, Any]:
    return {name: _plain(getattr(item, name)) for name in _TOLD}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _sealed_row(key_id: str) -> str:
    return f"renewal/evidence_keys/{key_id}"
