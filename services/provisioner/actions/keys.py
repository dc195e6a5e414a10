"""The key that private keys are sealed to on their way here."""

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.provisioner import store
from shared.sealing import Sealer
from shared.store import Database
from shared.store.reader import Found

_NAME = "current"
_ROW = f"provisioner/sealing_keys/{_NAME}/private_key"


async def sealing_public_key(database: Database, sealer: Sealer, now: datetime) -> bytes:
    """Return the raw X25519 public key, made and kept at first."""
    fresh = X25519PrivateKey.generate()
    key = store.SealingKey(
        name=_NAME,
        public_key=fresh.public_key().public_bytes_raw(),
        private_key=sealer.seal(fresh.private_bytes_raw(), row=_ROW),
        created_at=now,
    )
    async with database.transaction() as tx:
        await store.keep_sealing_key(tx, key)
    public_key: bytes = (await _kept(database)).public_key
    return public_key


class OwnKey:
    """The private half of it. In memory it is as sealed as in the database, which is asked once for it."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._sealed: bytes | None = None

    async def opened(self) -> bytes:
        """Return the raw X25519 private key; keep it no longer than it is needed. Raises `CannotOpen`."""
        if self._sealed is None:
            self._sealed = (await _kept(self._database)).private_key
        return self._sealer.open(self._sealed, row=_ROW)


async def _kept(database: Database) -> Found:
    async with database.reader() as reader:
        [found] = await reader.rows(store.SEALING_KEY, name=_NAME)
        return found
