"""Gives tokens for API keys, and signs them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.inventory.domain import credentials
from services.inventory.domain.attempts import Attempts
from services.inventory.store import access
from services.inventory.store.tables import PrincipalRow, SigningKeyRow, TokenRow
from shared.access import Principal, SigningKey, known
from shared.acting import acting, also
from shared.audit import Change
from shared.errors import Conflict, Invalid, Unauthenticated, Unavailable
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database, Transaction

SEALING_KEY_BYTES = 32
KEPT_AFTER_END = timedelta(days=30)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A token, and when it ends."""

    token: str
    expires_at: datetime


class Access:
    """Who may ask, and with what."""

    def __init__(self, database: Database, *, sealer: Sealer, issuer: str, token_lifetime: timedelta) -> None:
        self._database = database
        self._sealer = sealer
        self.issuer = issuer
        self._token_lifetime = token_lifetime
        self._attempts = Attempts()

    async def exchange(
        self,
        api_key: str,
        *,
        sealing_key: bytes | None = None,
        client_id: str | None = None,
        caller_at: str,
        now: datetime,
    ) -> Granted:
        """Give a token for an API key.

        `client_id` is the id or the name of whose key it must be, where that is said; `caller_at` is
        the address it comes from. Raises `Unauthenticated`, `TooMany` after many failures, or
        `Conflict` for another sealing key.
        """
        who = f"{caller_at} {client_id or credentials.digest(api_key)}"
        self._attempts.check(who, now=now)
        try:
            return await self._exchange(api_key, sealing_key=sealing_key, client_id=client_id, now=now)
        except Unauthenticated:
            self._attempts.failed(who, now=now)
            raise

    async def _exchange(
        self, api_key: str, *, sealing_key: bytes | None, client_id: str | None, now: datetime
    ) -> Granted:
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
            if client_id not in (None, row.id, row.name):
                raise _refused("it is of another client")
            if row.disabled_at is not None:
                raise _refused("whose it is was disabled")
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
        """Sign a token for a principal, whose row is locked, and keep its id."""
        # Clocks of replicas differ: one that is behind must not issue what is void already.
        now = max(now, row.void_until + TICK) if row.void_until else now
        expires_at = now + lifetime
        if acting().id is None:
            also(id=row.id, name=row.name)  # by what was sent it is known who that is
        token = TokenRow(jti=new_id(), principal_id=row.id, issued_at=now, expires_at=expires_at)
        tx.session.add(token)
        key = await self.signing_key(tx)
        speaks_for = Principal(
            id=row.id,
            name=row.name,
            roles=frozenset(row.roles),
            permissions=frozenset(row.permissions),
            groups=frozenset(row.groups),
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

    async def forget_tokens(self, *, now: datetime) -> None:
        """Forget tokens that ended a while ago."""
        async with self._database.transaction() as tx:
            await access.forget_tokens(tx, before=now - KEPT_AFTER_END)


async def _pinned(tx: Transaction, principal_id: str, sealing_key: bytes | None) -> PrincipalRow:
    if sealing_key is not None:
        if len(sealing_key) != SEALING_KEY_BYTES:
            raise Invalid("The sealing key is not a raw X25519 key of 32 bytes.", next_step="Correct it.")
        if await access.pin(tx, principal_id, sealing_key):
            tx.record(
                Change(kind="principal", verb="pinned", id=principal_id, after={"sealing_key": sealing_key})
            )
    row = known(
        await access.principal(tx.session, principal_id, lock="read"), what="principal", name=principal_id
    )
    if sealing_key is not None and row.sealing_key != sealing_key:
        raise Conflict(
            f"{row.name} is pinned to another sealing key.",
            next_step=f"If the change is meant, have an administrator POST /v1/principals/{row.id}/unpin.",
        )
    return row


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"The API key is not accepted: {reason}.",
        next_step="Send an API key from POST /v1/principals/{id}/api-keys as `Authorization: Bearer evl_…`.",
    )


def _signing_row(key_id: str) -> str:
    return f"inventory/signing_keys/{key_id}/private_key"
