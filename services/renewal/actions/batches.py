"""Many orders of one profile at a time, where the authority is our own: three transactions for all instead of six for each.

Only what is plain is done so: a fresh order of a profile that asks for no approval, at an authority that is trusted, bound by
no forum and by no budget. Whatever does not go well is left to an attempt of its own (`attempt.py`), which knows what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio.to_thread
import sqlalchemy as sa
import structlog

from services.renewal import store
from services.renewal.actions.authorities import roots_of
from services.renewal.actions.budgets import budget_of
from services.renewal.actions.keys import key_row
from services.renewal.actions.means import Means
from services.renewal.actions.order_approvals import named_authorities, terms_digest
from services.renewal.actions.outcomes import Obtained, conclude, step_row
from services.renewal.actions.profiles import terms_of
from services.renewal.connectors import Issued, IssuesAtOnce, Request
from services.renewal.domain.budgets import UNLIMITED
from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, new_key, new_request, to_pem
from services.renewal.domain.policy import Trust
from services.renewal.domain.validation import ASKED_FOR, Passed, check_usage
from shared import x509
from shared.clock import Clock
from shared.errors import EverleafError
from shared.store import Database, Transaction, write_rows

log = structlog.get_logger(__name__)

MOST = 200
_CENTRAL = "central"


async def may_be_batched(tx: Transaction, order: store.Order, *, means: Means) -> bool:
    """Return whether orders like this one may be worked on together: there is no rule to keep about a single one."""
    profile = await tx.session.get_one(store.Profile, order.profile_id)
    authority = await tx.session.get_one(store.Authority, order.authority_id)
    is_plain = profile.approvals_needed == 0 and not profile.reuse_key and profile.key_custody == _CENTRAL
    is_free = authority.trust == Trust.PRIVATE and budget_of(authority) == UNLIMITED
    if not (is_plain and is_free and means.authorities.issues_at_once(authority)):
        return False
    return authority.id not in await store.distrusted_authorities(tx.session)


@dataclass(kw_only=True)
class _One:
    """An order of the batch, and what has become of it."""

    row: store.Order
    csr: bytes = b""
    private_key: bytes = field(default=b"", repr=False)
    chain: tuple[bytes, ...] = ()
    passed: Sequence[Passed] = ()


class Batch:
    """Works on all orders of a lease at once."""

    def __init__(self, database: Database, *, lease: str, means: Means, clock: Clock) -> None:
        self._database = database
        self._lease = lease
        self._means = means
        self._clock = clock

    async def run(self) -> Sequence[str]:
        """Issue what goes well; return the ids of the orders that are left. Raises `LeaseLost`."""
        async with self._database.read() as session:
            rows = await store.orders_of_lease(session, lease=self._lease)
            profile = await session.get_one(store.Profile, rows[0].profile_id)
            authority = await session.get_one(store.Authority, rows[0].authority_id)
        ones = [_One(row=row) for row in rows if row.csr is None]
        left = [row.id for row in rows if row.csr is not None]
        await anyio.to_thread.run_sync(self._make, ones, KeyType(profile.key_type))
        await self._keep(ones, profile)
        try:
            done = await self._issued(ones, profile, authority)
        except EverleafError as error:  # of the authority as a whole: each order has to tell of it
            log.info("batch.left", authority=authority.name, orders=len(ones), error=error.detail)
            return [*left, *(one.row.id for one in ones)]
        await self._tell(done, authority)
        is_done = {one.row.id for one in done}
        return [*left, *(one.row.id for one in ones if one.row.id not in is_done)]

    def _make(self, ones: Sequence[_One], key_type: KeyType) -> None:
        for one in ones:
            key = new_key(key_type)
            one.csr = new_request(key, one.row.names)
            one.private_key = self._means.sealer.seal(to_pem(key), row=key_row(one.row.id))

    async def _keep(self, ones: Sequence[_One], profile: store.Profile) -> None:
        """Keep keys and requests before anything is issued."""
        now = self._clock()
        async with self._database.transaction() as tx:
            held = await self._held(tx, ones)
            authorities = await named_authorities(tx, profile)
            for one in ones:
                order = held[one.row.id]
                order.private_key, order.csr, order.placed_at = one.private_key, one.csr, now
                order.terms = terms_digest(order, profile, authorities=authorities)
            text = f"A fresh {profile.key_type} key is made."
            steps = [step_row(one.row, "key", text, now=now) for one in ones]
            await write_rows(tx, sa.insert(store.Step), steps)

    async def _issued(
        self, ones: Sequence[_One], profile: store.Profile, authority: store.Authority
    ) -> list[_One]:
        """Return those that were issued as asked for."""
        terms = terms_of(profile, trust=Trust(authority.trust), now=self._clock())
        requests = [
            Request(csr=one.csr, names=tuple(one.row.names), terms=terms, key=one.row.id) for one in ones
        ]
        async with self._means.authorities.open(authority) as opened:
            if not isinstance(opened, IssuesAtOnce):
                return []
            answers = await opened.issue_all(requests, now=self._clock())
        pairs = zip(ones, requests, answers, strict=True)
        given = [(one, asked, told.chain) for one, asked, told in pairs if isinstance(told, Issued)]
        roots = roots_of(authority)
        return await anyio.to_thread.run_sync(lambda: self._checked(given, roots=roots))

    def _checked(
        self, given: Sequence[tuple[_One, Request, tuple[bytes, ...]]], *, roots: tuple[bytes, ...]
    ) -> list[_One]:
        done, now = [], self._clock()
        for one, asked, chain in given:
            expected = Expected(csr=asked.csr, names=asked.names, lifetime=asked.terms.lifetime, roots=roots)
            try:
                one.chain = check_chain(chain, expected=expected, now=now)
                one.passed = [*ASKED_FOR, check_usage(x509.load(one.chain[0]))]
            except EverleafError:
                continue
            done.append(one)
        return done

    async def _tell(self, done: Sequence[_One], authority: store.Authority) -> None:
        now, roots = self._clock(), roots_of(authority)
        async with self._database.transaction() as tx:
            held = await self._held(tx, done)
            obtained = [Obtained(order=held[one.row.id], chain=one.chain, passed=one.passed) for one in done]
            await conclude(tx, obtained, authority, roots=roots, now=now)

    async def _held(self, tx: Transaction, ones: Sequence[_One]) -> dict[str, store.Order]:
        held = {row.id: row for row in await store.held_orders(tx, lease=self._lease)}
        if not held.keys() >= {one.row.id for one in ones}:
            raise store.LeaseLost
        return held
