"""Principals, their API keys, and the tokens given for those."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.inventory.domain import credentials
from services.inventory.domain.credentials import Kind
from services.inventory.store import access
from services.inventory.store.tables import ApiKeyRow, PrincipalRow, SigningKeyRow, TokenRow
from shared.access import Principal, SigningKey
from shared.errors import Conflict, Invalid, NotFound, Unauthenticated, Unavailable
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database, Transaction

SEALING_KEY_BYTES = 32
KEPT_AFTER_END = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class NewPrincipal:
    """What is needed to make a principal."""

    name: str
    kind: Kind
    roles: Sequence[str] = ()
    permissions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A token, and when it ends."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """An API key, in clear for this once."""

    row: ApiKeyRow
    key: str


class Access:
    """Who may ask, and with what."""

    def __init__(self, database: Database, *, sealer: Sealer, issuer: str, token_lifetime: timedelta) -> None:
        self._database = database
        self._sealer = sealer
        self.issuer = issuer
        self._token_lifetime = token_lifetime

    async def exchange(self, api_key: str, *, sealing_key: bytes | None, now: datetime) -> Granted:
        """Give a token for an API key. Raises `Unauthenticated`, or `Conflict` for another sealing key."""
        if not credentials.is_api_key(api_key):
            raise _refused("it is not complete")
        async with self._database.transaction() as tx:
            # Found by its hash: how long that takes tells nothing about any key.
            key = await access.api_key(tx.session, credentials.digest(api_key))
            if key is None:
                raise _refused("nobody has it")
            if key.revoked_at is not None or key.expires_at <= now:
                raise _refused("it was revoked" if key.revoked_at else "it has ended")
            key.last_used_at = now
            row = await _pinned(tx, key.principal_id, sealing_key)
            return await self.grant(tx, row, sealing_key=sealing_key, lifetime=self._token_lifetime, now=now)

    async def grant(
        self,
        tx: Transaction,
        row: PrincipalRow,
        *,
        sealing_key: bytes | None,
        lifetime: timedelta,
        now: datetime,
    ) -> Granted:
        """Sign a token for a principal and keep its id."""
        expires_at = now + lifetime
        token = TokenRow(jti=new_id(), principal_id=row.id, issued_at=now, expires_at=expires_at)
        tx.session.add(token)
        key = await self.signing_key(tx)
        speaks_for = Principal(
            id=row.id,
            name=row.name,
            roles=frozenset(row.roles),
            permissions=frozenset(row.permissions),
            sealing_key=sealing_key,
        )
        text = key.token(speaks_for, issuer=self.issuer, token_id=token.jti, now=now, lifetime=lifetime)
        return Granted(token=text, expires_at=expires_at)

    async def signing_key(self, tx: Transaction) -> SigningKey:
        """Return the key that tokens are signed with. Raises `Unavailable` where there is none yet."""
        rows = await access.signing_keys(tx.session)
        if not rows:
            raise Unavailable("There is no signing key yet.", next_step="Try again in a moment.")
        return self._opened(rows[-1])

    async def add_signing_key(self, tx: Transaction, *, now: datetime) -> None:
        """Make a fresh key, sealed."""
        key_id = new_id()
        private = Ed25519PrivateKey.generate().private_bytes_raw()
        sealed = self._sealer.seal(private, row=_signing_row(key_id))
        tx.session.add(SigningKeyRow(id=key_id, private_key=sealed, created_at=now))

    def _opened(self, row: SigningKeyRow) -> SigningKey:
        private = self._sealer.open(row.private_key, row=_signing_row(row.id))
        return SigningKey(id=row.id, private=Ed25519PrivateKey.from_private_bytes(private))

    async def published_keys(self) -> list[dict[str, str]]:
        """Return the public keys, as JWKs."""
        async with self._database.read() as session:
            return [self._opened(row).jwk() for row in await access.signing_keys(session)]

    async def create_principal(self, new: NewPrincipal, *, caller: Principal, now: datetime) -> PrincipalRow:
        """Make a principal. Raises `Invalid` for wrong rights and `Conflict` where the name is taken."""
        credentials.check_rights(kind=new.kind, roles=new.roles, permissions=new.permissions)
        row = principal_row(new, created_by=caller.id, now=now)
        async with self._database.transaction() as tx:
            if not await access.add_principal(tx, row):
                raise Conflict(f"There is a principal {new.name!r}.", next_step="Choose another name.")
        return row

    async def principals(self, *, after: str | None, limit: int) -> Sequence[PrincipalRow]:
        """Return `limit + 1` principals, the oldest first."""
        async with self._database.read() as session:
            return await access.principals(session, after=after, limit=limit)

    async def principal(self, principal_id: str) -> tuple[PrincipalRow, Sequence[ApiKeyRow]]:
        """Return a principal and its API keys. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await access.principal(session, principal_id)
            return _known(row, principal_id), await access.api_keys(session, principal_id)

    async def create_api_key(
        self, principal_id: str, *, lifetime: timedelta, caller: Principal, now: datetime
    ) -> MadeKey:
        """Make an API key, shown this once. Raises `NotFound`, or `Invalid` for more than a year."""
        if not timedelta() < lifetime <= credentials.LONGEST:
            raise Invalid(
                "An API key lives for at least a day and at most 365 days.",
                next_step="Ask for a shorter time, and make another key before it ends.",
            )
        async with self._database.transaction() as tx:
            _known(await access.principal(tx.session, principal_id), principal_id)
            return add_api_key(tx, principal_id, created_by=caller.id, now=now, expires_at=now + lifetime)

    async def revoke_api_key(self, key_id: str, *, now: datetime) -> None:
        """Let an API key be worth nothing. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            if not await access.revoke_api_key(tx, key_id, now=now):
                raise NotFound(
                    f"There is no API key {key_id}.", next_step="See the principal's keys for their ids."
                )

    async def unpin(self, principal_id: str) -> PrincipalRow:
        """Forget a principal's sealing key: the next one it sends is kept. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = _known(await access.principal(tx.session, principal_id), principal_id)
            row.sealing_key = None
        return row

    async def forget_tokens(self, *, now: datetime) -> None:
        """Forget tokens that ended a while ago."""
        async with self._database.transaction() as tx:
            await access.forget_tokens(tx, before=now - KEPT_AFTER_END)


def principal_row(new: NewPrincipal, *, created_by: str, now: datetime) -> PrincipalRow:
    """Return the row of a new principal."""
    return PrincipalRow(
        id=new_id(),
        name=new.name,
        kind=new.kind,
        roles=sorted(set(new.roles)),
        permissions=sorted(set(new.permissions)),
        created_at=now,
        created_by=created_by,
    )


def add_api_key(
    tx: Transaction, principal_id: str, *, created_by: str, now: datetime, expires_at: datetime
) -> MadeKey:
    """Make an API key and keep its hash."""
    key = credentials.api_key(secrets.token_bytes(credentials.RANDOM_BYTES))
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


async def _pinned(tx: Transaction, principal_id: str, sealing_key: bytes | None) -> PrincipalRow:
    if sealing_key is not None:
        if len(sealing_key) != SEALING_KEY_BYTES:
            raise Invalid("The sealing key is not a raw X25519 key of 32 bytes.", next_step="Correct it.")
        await access.pin(tx, principal_id, sealing_key)
    row = _known(await access.principal(tx.session, principal_id), principal_id)
    if sealing_key is not None and row.sealing_key != sealing_key:
        raise Conflict(
            f"{row.name} is pinned to another sealing key.",
            next_step=f"If the change is meant, have an administrator POST /v1/principals/{row.id}/unpin.",
        )
    return row


def _known(row: PrincipalRow | None, principal_id: str) -> PrincipalRow:
    if row is None:
        raise NotFound(
            f"There is no principal {principal_id}.", next_step="List them with GET /v1/principals."
        )
    return row


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"The API key is not accepted: {reason}.",
        next_step="Send an API key from POST /v1/principals/{id}/api-keys as `Authorization: Bearer evl_…`.",
    )


def _signing_row(key_id: str) -> str:
    return f"inventory/signing_keys/{key_id}/private_key"
