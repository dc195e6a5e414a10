"""Keys of orders in the PKCS#11 token: what they are called, and that none stays there without an order."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio.to_thread
import structlog

from services.renewal import store
from shared.ids import new_id
from shared.pkcs11 import Token
from shared.store import Database

log = structlog.get_logger(__name__)

WHERE_TO_SET_IT = "Set EVERLEAF_PKCS11_MODULE, EVERLEAF_PKCS11_TOKEN and EVERLEAF_PKCS11_PIN."
UNTIL_KEPT = timedelta(hours=1)
"""How long a key may be there before its order says so: the process may have died in between."""
_PREFIX = "everleaf-order-"


def new_key_name() -> str:
    """Return a name for a key: it says when it was made."""
    return f"{_PREFIX}{new_id()}"


def made_at(name: str) -> datetime | None:
    """Return when a key was made, by its name (RFC 9562 §5.7); None where the name is none of ours."""
    try:
        value = UUID(name.removeprefix(_PREFIX)).int
    except ValueError:
        return None
    return datetime.fromtimestamp((value >> 80) / 1000, UTC)


class TokenKeys:
    """The keys of orders in the token."""

    def __init__(self, database: Database, token: Token) -> None:
        self._database = database
        self._token = token

    async def sweep(self, now: datetime) -> bool:
        """Destroy what no order has any more: a failed one, one that is replaced, or one whose process died. Raises `Unavailable`."""
        names = await anyio.to_thread.run_sync(self._token.names, _PREFIX)
        old = [name for name in names if (at := made_at(name)) is not None and at <= now - UNTIL_KEPT]
        async with self._database.read() as session:
            kept = await store.token_keys(session, old)
        for name in sorted(set(old) - kept):
            await anyio.to_thread.run_sync(self._token.destroy, name)
            log.info("token_key.destroyed", name=name)
        return False
