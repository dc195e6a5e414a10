"""Principals: who may ask, with which rights on which groups, and their API keys."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.inventory.domain import credentials, rights
from services.inventory.domain.credentials import Kind
from services.inventory.domain.rights import Rights
from services.inventory.store import access, sessions
from services.inventory.store.locks import hold
from services.inventory.store.tables import ApiKeyRow, PrincipalRow
from shared.access import Principal, known
from shared.audit import Change as Recorded
from shared.errors import Conflict, Invalid, NotFound, Stale
from shared.events.inventory import AccessChanged, Change
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.void_tokens import VoidTokens


@dataclass(frozen=True, kw_only=True)
class NewPrincipal:
    """What is needed to make a principal."""

    name: str
    kind: Kind
    roles: Sequence[str] = ()
    permissions: Sequence[str] = ()
    groups: Sequence[str] = ()

    @property
    def rights(self) -> Rights:
        """Return what it may do."""
        return Rights(kind=self.kind, roles=self.roles, permissions=self.permissions, groups=self.groups)


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """An API key, in clear for this once."""

    row: ApiKeyRow
    key: str


class Principals:
    """Whom the caller administers: nobody beyond the caller's own rights and groups."""

    def __init__(self, database: Database, void_tokens: VoidTokens) -> None:
        self._database = database
        self._void_tokens = void_tokens

    async def create(self, new: NewPrincipal, *, caller: Principal, now: datetime) -> PrincipalRow:
        """Make a principal. Raises `Invalid`, `Forbidden`, and `Conflict` where the name is taken."""
        credentials.check_rights(kind=new.kind, roles=new.roles, permissions=new.permissions)
        rights.check_covers(caller, new.rights)
        row = principal_row(new, created_by=caller.id, now=now)
        async with self._database.transaction() as tx:
            if not await access.add_principal(tx, row):
                raise Conflict(f"There is a principal {new.name!r}.", next_step="Choose another name.")
            tx.record_row(row, "created")
        return row

    async def page(self, *, caller: Principal, after: str | None, limit: int) -> Sequence[PrincipalRow]:
        """Return `limit + 1` principals, the oldest first."""
        shown: list[PrincipalRow] = []
        async with self._database.read() as session:
            while len(shown) <= limit:
                rows = await access.principals(session, after=after, limit=limit)
                shown += [row for row in rows if rights.is_in_scope(caller, row.groups)]
                if len(rows) <= limit:
                    break
                after = rows[-1].id
        return shown[: limit + 1]

    async def names(self, ids: Sequence[str], *, caller: Principal) -> dict[str, str]:
        """Return the names of principals by their ids; of those whom nothing joins with the caller there is none.

        What is done to what the caller sees is done by who reaches it: by who is limited to nothing, or shares a group.
        """
        async with self._database.read() as session:
            return await access.names(session, ids=ids, scope=caller.scope, limit=len(ids))

    async def names_with(self, text: str, *, caller: Principal, limit: int) -> dict[str, str]:
        """Return the names that contain a text, by the ids of those principals: no more than `limit`."""
        async with self._database.read() as session:
            return await access.names(session, containing=text, scope=caller.scope, limit=limit)

    async def get(self, principal_id: str, *, caller: Principal) -> tuple[PrincipalRow, Sequence[ApiKeyRow]]:
        """Return a principal and its API keys. Raises `NotFound`."""
        async with self._database.read() as session:
            row = _seen(await access.principal(session, principal_id), principal_id, caller)
            return row, await access.api_keys(session, principal_id)

    async def set_rights(
        self, principal_id: str, wanted: Rights, *, expected: int, caller: Principal, now: datetime
    ) -> PrincipalRow:
        """Give a principal other rights. Raises `NotFound`, `Forbidden`, `Invalid`, `Conflict`, `Stale`."""
        rights.check_not_oneself(caller, principal_id)
        async with self._database.transaction() as tx:
            row = await self._held(tx, principal_id, caller)
            if row.version != expected:
                raise Stale("It was changed since you read it.", next_step="Read it again.")
            if row.identity is not None:
                raise Conflict(
                    f"What {row.name} may do is decided at the OpenID provider.",
                    next_step="Change their groups there, or the setting EVERLEAF_INVENTORY_OIDC_RIGHTS.",
                )
            wanted = replace(wanted, kind=Kind(row.kind))
            credentials.check_rights(kind=wanted.kind, roles=wanted.roles, permissions=wanted.permissions)
            rights.check_covers(caller, wanted)
            if rights_of(row).is_admin_of_everything and not wanted.is_admin_of_everything:
                await _check_an_admin_is_left(tx, row)
            await self.give(tx, row, wanted, changed_by=caller.id, now=now)
        return row

    async def give(
        self, tx: Transaction, row: PrincipalRow, wanted: Rights, *, changed_by: str, now: datetime
    ) -> None:
        """Write other rights into a locked row and let its tokens be void, where that changes anything."""
        new = [sorted(set(each)) for each in (wanted.roles, wanted.permissions, wanted.groups)]
        if [row.roles, row.permissions, row.groups] == new:
            return
        row.roles, row.permissions, row.groups = new
        await self._changed(tx, row, Change.RIGHTS, changed_by=changed_by, now=now)

    async def disable(self, principal_id: str, *, caller: Principal, now: datetime) -> PrincipalRow:
        """Let a principal do nothing any more. Raises `NotFound`, `Forbidden` or `Conflict`."""
        rights.check_not_oneself(caller, principal_id)
        async with self._database.transaction() as tx:
            row = await self._held(tx, principal_id, caller)
            if row.disabled_at is None:
                if rights_of(row).is_admin_of_everything:
                    await _check_an_admin_is_left(tx, row)
                row.disabled_at = now
                await sessions.end_all(tx, principal_id)
                await self._changed(tx, row, Change.DISABLED, changed_by=caller.id, now=now)
        return row

    async def enable(self, principal_id: str, *, caller: Principal, now: datetime) -> PrincipalRow:
        """Let a principal that was disabled ask again. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, principal_id, caller)
            if row.disabled_at is not None:
                row.disabled_at = None
                await self._changed(tx, row, Change.ENABLED, changed_by=caller.id, now=now)
        return row

    async def create_api_key(
        self, principal_id: str, *, lifetime: timedelta, caller: Principal, now: datetime
    ) -> MadeKey:
        """Make an API key, shown this once. Raises `NotFound`, `Forbidden`, or `Invalid` for more than a year."""
        if not timedelta() < lifetime <= credentials.LONGEST:
            raise Invalid(
                "An API key lives for at least a day and at most 365 days.",
                next_step="Ask for a shorter time, and make another key before it ends.",
            )
        async with self._database.transaction() as tx:
            await self._held(tx, principal_id, caller)
            return add_api_key(tx, principal_id, created_by=caller.id, now=now, expires_at=now + lifetime)

    async def revoke_api_key(self, key_id: str, *, caller: Principal, now: datetime) -> None:
        """Let an API key, and the tokens of its holder, be worth nothing. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            key = await access.api_key_of_id(tx.session, key_id)
            holder = key.principal_id if key is not None else ""
            row = await access.principal(tx.session, holder, lock="write")
            if key is None or row is None or not rights.is_in_scope(caller, row.groups):
                raise NotFound(
                    f"There is no API key {key_id}.", next_step="See the principal's keys for their ids."
                )
            rights.check_covers(caller, rights_of(row))
            if key.revoked_at is None:
                key.revoked_at = now
                # One of them may have been begun with it.
                await sessions.end_all(tx, row.id)
                await self._changed(tx, row, Change.KEY_REVOKED, changed_by=caller.id, now=now)

    async def unpin(self, principal_id: str, *, caller: Principal) -> PrincipalRow:
        """Forget a principal's sealing key: the next one it sends is kept. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await self._held(tx, principal_id, caller)
            row.sealing_key = None
        return row

    async def sign_out(self, principal_id: str, session: str, *, now: datetime) -> None:
        """End a browser's session; let the tokens of whose it is be void where the provider knows them."""
        async with self._database.transaction() as tx:
            row = await access.principal(tx.session, principal_id, lock="write")
            if await sessions.end(tx, session) and row is not None:
                tx.record(_signed_out(row, session))
                # Who signed in with a credential keeps that.
                if row.identity is not None:
                    await self._changed(tx, row, Change.SIGNED_OUT, changed_by=row.id, now=now)

    async def _held(self, tx: Transaction, principal_id: str, caller: Principal) -> PrincipalRow:
        """Return a principal to change, locked; nobody changes who may do more than they."""
        await hold(tx, "principals")
        found = await access.principal(tx.session, principal_id, lock="write")
        row = _seen(found, principal_id, caller)
        rights.check_covers(caller, rights_of(row))
        return row

    async def _changed(
        self, tx: Transaction, row: PrincipalRow, change: Change, *, changed_by: str, now: datetime
    ) -> None:
        """Let all tokens issued so far be void: here with this transaction, elsewhere by the event."""
        latest = await access.latest_token(tx.session, row.id)
        # A replica whose clock is ahead may have issued one in what is the future here.
        row.void_until = max(filter(None, (now, latest, row.void_until)))
        row.version += 1
        await self._void_tokens.add(tx, row.id, issued_until=row.void_until)
        tx.emit(
            AccessChanged(
                principal_id=row.id, change=change, void_until=row.void_until, changed_by=changed_by
            ),
            now=now,
        )


def _signed_out(row: PrincipalRow, session: str) -> Recorded:
    return Recorded(
        kind="session",
        verb="ended",
        id=session,
        name=row.name,
        groups=tuple(row.groups),
        actor=(row.id, row.name),
    )


async def _check_an_admin_is_left(tx: Transaction, row: PrincipalRow) -> None:
    others = await access.count_admins(tx.session, but=row.id)
    rights.check_an_admin_is_left(others=others)


def _seen(row: PrincipalRow | None, principal_id: str, caller: Principal) -> PrincipalRow:
    seen = row if row is not None and rights.is_in_scope(caller, row.groups) else None
    return known(seen, what="principal", name=principal_id)


def rights_of(row: PrincipalRow) -> Rights:
    """Return what a principal may do."""
    return Rights(kind=Kind(row.kind), roles=row.roles, permissions=row.permissions, groups=row.groups)


def principal_row(new: NewPrincipal, *, created_by: str, now: datetime) -> PrincipalRow:
    """Return the row of a new principal."""
    return PrincipalRow(
        id=new_id(),
        name=new.name,
        kind=new.kind,
        roles=sorted(set(new.roles)),
        permissions=sorted(set(new.permissions)),
        groups=sorted(set(new.groups)),
        created_at=now,
        created_by=created_by,
    )


def add_api_key(
    tx: Transaction, principal_id: str, *, created_by: str, now: datetime, expires_at: datetime
) -> MadeKey:
    """Make an API key and keep its hash."""
    key = credentials.api_key(secrets.token_bytes(credentials.RANDOM_BYTES))
    return keep_api_key(tx, principal_id, key, created_by=created_by, now=now, expires_at=expires_at)


def keep_api_key(
    tx: Transaction, principal_id: str, key: str, *, created_by: str, now: datetime, expires_at: datetime
) -> MadeKey:
    """Keep the hash of an API key that was made elsewhere."""
    row = ApiKeyRow(
        id=new_id(),
        principal_id=principal_id,
        digest=credentials.digest(key),
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    tx.session.add(row)
    return MadeKey(row=row, key=key)
