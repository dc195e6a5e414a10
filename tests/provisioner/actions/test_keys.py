import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.provisioner import store
from services.provisioner.actions.keys import OwnKey, sealing_public_key
from shared.sealing import CannotOpen, KeyEncryptionKey, Sealer
from shared.store import Database
from tests.provisioner.workshop import Workshop


async def test_the_database_is_asked_once_for_the_key_and_what_is_remembered_is_sealed(shop: Workshop):
    sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
    public_key = await sealing_public_key(shop.database, sealer, shop.time())
    own = OwnKey(shop.database, sealer)
    opened = await own.opened()
    assert X25519PrivateKey.from_private_bytes(opened).public_key().public_bytes_raw() == public_key
    await _forget(shop.database)
    assert await own.opened() == opened
    assert opened not in vars(own).values()


async def test_a_key_that_another_key_has_sealed_is_not_opened(shop: Workshop):
    own = OwnKey(shop.database, Sealer([KeyEncryptionKey(b"another" + b"k" * 25)]))
    for _ in "ab":
        with pytest.raises(CannotOpen):
            await own.opened()


async def _forget(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.session.execute(sa.delete(store.SealingKey))
