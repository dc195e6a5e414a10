"""The verb on the keys that authorities know us by: have one changed for a fresh one."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.connectors import ChangesKey
from services.renewal.connectors.registry import authority_kind
from shared.access import Principal
from shared.errors import Conflict, Invalid
from shared.store import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ChangedKey:
    """An authority knows us by a fresh key since."""

    authority_id: str
    changed_at: datetime


class AccountKeys:
    """The keys of our accounts."""

    def __init__(self, database: Database, authorities: Authorities) -> None:
        self._database = database
        self._authorities = authorities

    async def change(self, authority_id: str, *, caller: Principal, now: datetime) -> ChangedKey:
        """Have an authority take a fresh key of ours in place of the present one.

        The fresh key is kept before the authority is asked: whatever happens in between, we have the right one, and
        doing it again ends it. Raises `NotFound`, `Invalid` where this kind has none, `Conflict`, `Refused` or
        `Unavailable`.
        """
        await self._authorities.get(authority_id, caller=caller)
        row = await self._prepare(authority_id)
        async with self._authorities.open(row) as opened:
            if not isinstance(opened, ChangesKey):
                raise _has_none(row)
            private = await opened.change_key()
        await self._keep(row, private)
        log.info("authority.key_changed", authority_id=authority_id, by=caller.id)
        return ChangedKey(authority_id=authority_id, changed_at=now)

    async def _prepare(self, authority_id: str) -> store.Authority:
        async with self._database.transaction() as tx:
            row = await tx.session.get_one(store.Authority, authority_id, with_for_update=True)
            kind = authority_kind(row.kind)
            if not issubclass(kind, ChangesKey):
                raise _has_none(row)
            present = self._authorities.open_private(row)
            private = kind.with_next_key(present)
            if private != present:
                row.private = self._authorities.seal_private(private, authority_id=row.id)
        return row

    async def _keep(self, prepared: store.Authority, private: bytes) -> None:
        async with self._database.transaction() as tx:
            row = await tx.session.get_one(store.Authority, prepared.id, with_for_update=True)
            if row.private != prepared.private:
                raise Conflict(
                    "The account was changed by somebody else meanwhile; which key it has is found out by itself.",
                    next_step="Change the key once more, so that the one before is not used any more.",
                )
            row.private = self._authorities.seal_private(private, authority_id=row.id)


def _has_none(row: store.Authority) -> Invalid:
    return Invalid(
        f"{row.name} knows us by no key that could be changed.",
        next_step="Only an authority of the kind `acme` does.",
    )
