"""`Idempotency-Key` on creating POSTs: the same request sent twice is done once.

draft-ietf-httpapi-idempotency-key-header: the same key with another body is refused (422), while
the first is still running it is a conflict (409), afterwards the first answer is given again. A
key is remembered for 24 hours.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, TypeVar

import anyio
import sqlalchemy as sa
from fastapi import Header, Request
from pydantic import BaseModel

from shared.access import Principal
from shared.clock import Clock
from shared.errors import Conflict, Invalid
from shared.store import Database, insert
from shared.store.plumbing import REQUESTS

KEPT = timedelta(hours=24)
RUNNING = timedelta(minutes=1)
"""After this long a request without an answer is taken for dead, and may be repeated."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", max_length=255, description="Repeat a request safely: same key, one effect."
    ),
]
V = TypeVar("V", bound=BaseModel)
_SECRET = {"credential"}
"""Fields that hold secrets as free documents: a hash of one that is easily guessed would give it away. Typed secrets mask themselves."""


class Once:
    """Runs a creating request once per caller, route and key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run(
        self,
        request: Request,
        *,
        key: str | None,
        caller: Principal,
        body: BaseModel,
        view: type[V],
        create: Callable[[], Awaitable[V]],
    ) -> V:
        """Return `create()`'s answer, now or from the first time. Raises `Conflict` or `Invalid`."""
        if key is None:
            return await create()
        route = f"{request.method} {request.url.path}"[:200]
        row = {"principal": caller.id, "route": route, "key": key}
        # With the caller's groups: who has lost some since is not shown the answer of then.
        asked = [body.model_dump_json(exclude=_SECRET), *sorted(caller.groups)]
        fingerprint = sha256("\n".join(asked).encode()).hexdigest()
        earlier = await self._begin(row, fingerprint)
        if earlier is not None:
            return view.model_validate(earlier)
        try:
            answer = await create()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._forget(row)
            raise
        await self._keep(row, answer)
        return answer

    async def _begin(self, row: dict[str, str], fingerprint: str) -> dict[str, Any] | None:
        now = self._clock()
        async with self._database.transaction() as tx:
            await tx.session.execute(sa.delete(REQUESTS).where(REQUESTS.c.created_at < now - KEPT))
            values = {**row, "fingerprint": fingerprint, "created_at": now}
            fresh = insert(tx, REQUESTS).values(values).on_conflict_do_nothing().returning(REQUESTS.c.key)
            if (await tx.session.execute(fresh)).first():
                return None
            query = sa.select(REQUESTS).where(*_same(row)).with_for_update()
            found = (await tx.session.execute(query)).one()
            if found.fingerprint != fingerprint:
                raise Invalid(
                    "This Idempotency-Key was used with another body, or other groups.",
                    next_step="Use a fresh key.",
                )
            if found.response is None and now - found.created_at < RUNNING:
                raise Conflict("The first request is still running.", next_step="Try again shortly.")
            if found.response is not None:
                return dict(found.response)
            # The dead request's place is taken, so that of two repetitions only one runs.
            await tx.session.execute(sa.update(REQUESTS).where(*_same(row)).values(created_at=now))
            return None

    async def _keep(self, row: dict[str, str], answer: BaseModel) -> None:
        async with self._database.transaction() as tx:
            values = {"response": answer.model_dump(mode="json")}
            await tx.session.execute(sa.update(REQUESTS).where(*_same(row)).values(values))

    async def _forget(self, row: dict[str, str]) -> None:
        async with self._database.transaction() as tx:
            await tx.session.execute(sa.delete(REQUESTS).where(*_same(row)))


def _same(row: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [REQUESTS.c[name] == value for name, value in row.items()]
