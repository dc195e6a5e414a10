"""Issuers that are not to be relied on any more: all that they have issued is renewed now, from somebody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.renewal import store
from services.renewal.actions.profiles import unknown
from services.renewal.domain.schedule import Reason
from shared.access import Principal
from shared.errors import Fault, Invalid, NotFound
from shared.ids import new_id
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class NewDistrust:
    """Who is not trusted: an authority by its name, an issuer by its name (RFC 4514), or by its key (SHA-256 of the SPKI)."""

    reason: str
    authority: str | None = None
    issuer: str | None = None
    issuer_key: str | None = None


class Distrusts:
    """Who is not trusted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, new: NewDistrust, *, caller: Principal, now: datetime
    ) -> tuple[store.Distrust, int]:
        """Trust somebody no more; return that, and how many lineages are due by it. Raises `Forbidden` or `Invalid`."""
        caller.require_everything()
        if [new.authority, new.issuer, new.issuer_key].count(None) != len(("authority", "issuer")):
            text = "Exactly one of authority, issuer and issuer_key says who is not trusted."
            raise Invalid(
                text, next_step="Name one of them.", faults=[Fault(pointer="/body/authority", message=text)]
            )
        async with self._database.transaction() as tx:
            authority = (
                await store.authority_named(tx.session, new.authority) if new.authority is not None else None
            )
            if new.authority is not None and authority is None:
                raise unknown("authority", new.authority, path="/v1/authorities")
            row = store.Distrust(
                id=new_id(),
                authority_id=authority.id if authority is not None else None,
                issuer=new.issuer,
                issuer_key=new.issuer_key.lower() if new.issuer_key is not None else None,
                reason=new.reason,
                created_at=now,
                created_by=caller.id,
            )
            tx.session.add(row)
            await tx.session.flush()
            count = await store.make_due(tx, row, reason=Reason.DISTRUSTED, because=new.reason, now=now)
        return row, count

    async def all(self, *, caller: Principal) -> Sequence[store.Distrust]:
        """Return all there are, newest first. Raises `Forbidden`."""
        caller.require_everything()
        async with self._database.read() as session:
            return await store.distrusts(session)

    async def lift(self, distrust_id: str, *, caller: Principal) -> None:
        """Trust again; what was made due by it stays due. Raises `NotFound` or `Forbidden`."""
        caller.require_everything()
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Distrust, distrust_id)
            if row is None:
                raise NotFound(
                    f"There is no distrust {distrust_id}.", next_step="List them with GET /v1/distrusts."
                )
            await tx.session.delete(row)
