"""Judges chains as they are served; what follows from that (how to lint, whom to ask about revocation) is put on its way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import anyio
import structlog

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.holding import hold_certificates
from services.inventory.domain.chains.batches import Judged, judge_each, read_issuers, unjudged
from services.inventory.domain.chains.verdicts import ChainState
from services.inventory.store import certificates, chains, revocations
from services.inventory.store.revocations import Enrolled
from services.inventory.store.tables import ServedChainRow
from shared.apart import Unfinished, run_apart
from shared.errors import EverleafError
from shared.revocation.published import Authorities
from shared.store import Database, Transaction
from shared.x509 import fingerprint as fingerprint_of

log = structlog.get_logger(__name__)

BATCH = 50
AGAIN = timedelta(days=1)
"""Trust stores and what is known here change; a chain's own dates are met on time."""
_LEASE = timedelta(minutes=10)
_WITHIN = timedelta(seconds=60)
_WITHIN_EACH = timedelta(seconds=10)
_ROUNDS = 6
"""Each looks for the issuers of what the one before has found: no honest path is longer."""
_MOST_FETCHED = 3


@dataclass(kw_only=True)
class _Batch:
    """Chains that are judged together, and what is known of issuers that may be missing in them."""

    rows: Sequence[ServedChainRow]
    ders: Mapping[str, bytes]
    known: dict[str, bytes]
    asked: set[str]
    fetched: set[str]

    def served(self) -> list[list[bytes]]:
        """Return the bytes of each chain, as far as they are kept."""
        return [self._served(row) for row in self.rows]

    def _served(self, row: ServedChainRow) -> list[bytes]:
        if row.fingerprint not in self.ders:
            return []
        return [self.ders[name] for name in (row.fingerprint, *row.chain) if name in self.ders]


class Chains:
    """The chains, and the trust stores that they are held against."""

    def __init__(
        self,
        database: Database,
        *,
        stores: Mapping[str, tuple[bytes, ...]],
        fetches: Authorities | None,
        assessing: Assessing,
    ) -> None:
        """`fetches` gets issuers from where certificates say that they are; without it nothing is fetched."""
        self._database = database
        self._stores = stores
        self._fetches = fetches
        self._assessing = assessing

    async def judge_due(self, now: datetime) -> bool:
        """Judge a batch of chains that are due; return whether there may be more."""
        async with self._database.transaction() as tx:
            rows = await chains.claim(tx, now=now, until=now + _LEASE, limit=BATCH)
        if not rows:
            return False
        async with self._database.read() as session:
            names = {name for row in rows for name in (row.fingerprint, *row.chain)}
            ders = await certificates.ders(session, sorted(names))
        batch = _Batch(rows=rows, ders=ders, known={}, asked=set(), fetched=set())
        judged = await self._judge(batch, now=now)
        async with self._database.transaction() as tx:
            await hold_certificates(tx, {row.fingerprint for row in rows})
            await _keep(tx, rows, judged, now=now)
            for row, each in zip(rows, judged, strict=True):
                await self._tell(tx, row.fingerprint, each, now=now)
        return len(rows) == BATCH

    async def _tell(self, tx: Transaction, fingerprint: str, judged: Judged, *, now: datetime) -> None:
        """Tell assessment; what could not be judged is not known any more."""
        verdict, is_known = judged.verdict, judged.is_readable
        is_short = any(each.state is ChainState.INCOMPLETE for each in verdict.problems)
        await self._assessing.told(
            tx,
            fingerprint,
            now=now,
            is_trusted=verdict.trusted_until is not None if is_known else None,
            is_public=verdict.is_public if is_known else None,
            is_chain_complete=not is_short if is_known else None,
        )

    async def _judge(self, batch: _Batch, *, now: datetime) -> list[Judged]:
        judged = await self._round(batch, now=now)
        for _ in range(_ROUNDS):
            if not await self._learn(batch, judged):
                break
            judged = await self._round(batch, now=now)
        return judged

    async def _learn(self, batch: _Batch, judged: Sequence[Judged]) -> bool:
        """Look for issuers that were missed; return whether there are any that were not known before."""
        before = len(batch.known)
        short = [each for each in judged if each.is_readable and each.verdict.trusted_until is None]
        wanted = {name for each in short for name in each.verdict.wanted} - batch.asked
        batch.asked |= wanted
        beside = [each for one in judged for each in one.verdict.authorities if each.subject in wanted]
        batch.known |= {each.fingerprint: each.der for each in beside}
        if wanted:
            async with self._database.read() as session:
                batch.known |= await chains.issuers(session, sorted(wanted))
        if len(batch.known) == before and self._fetches is not None:
            await self._fetch(self._fetches, batch, short)
        return len(batch.known) > before

    async def _fetch(self, fetches: Authorities, batch: _Batch, judged: Sequence[Judged]) -> None:
        urls = {url for each in judged for url in each.verdict.fetchable[:_MOST_FETCHED]} - batch.fetched
        batch.fetched |= urls
        async with anyio.create_task_group() as tasks:
            for url in sorted(urls):
                tasks.start_soon(self._fetch_one, fetches, batch, url)

    async def _fetch_one(self, fetches: Authorities, batch: _Batch, url: str) -> None:
        try:
            found = await run_apart(read_issuers, await fetches.issuer(url), within=_WITHIN_EACH)
        except (EverleafError, Unfinished) as error:
            log.info("issuer.unfetched", url=url, error=str(error))
            return
        by_print = {fingerprint_of(der): (der, subject) for der, subject in found}
        async with self._database.transaction() as tx:
            await certificates.keep_ders(tx, {name: der for name, (der, _) in by_print.items()})
            await chains.keep_issuers(tx, [(name, subject) for name, (_, subject) in by_print.items()])
        batch.known |= {name: der for name, (der, _) in by_print.items()}

    async def _round(self, batch: _Batch, *, now: datetime) -> list[Judged]:
        served, known = batch.served(), list(batch.known.values())
        try:
            return await run_apart(judge_each, served, self._stores, known, now, within=_WITHIN)
        except Unfinished:  # one of them has brought it down: the others are judged
            return [await self._one(each, known, now=now) for each in served]

    async def _one(self, served: Sequence[bytes], known: Sequence[bytes], *, now: datetime) -> Judged:
        try:
            [judged] = await run_apart(judge_each, [served], self._stores, known, now, within=_WITHIN_EACH)
        except Unfinished as error:
            return unjudged(str(error))
        return judged


async def _keep(
    tx: Transaction, rows: Sequence[ServedChainRow], judged: Sequence[Judged], *, now: datetime
) -> None:
    await chains.keep_verdicts(
        tx, [_columns(row, each, now=now) for row, each in zip(rows, judged, strict=True)]
    )
    authorities = {
        each.fingerprint: each
        for one in judged
        for each in (*one.verdict.authorities, one.verdict.issuer)
        if each
    }
    await certificates.keep_ders(tx, {name: each.der for name, each in authorities.items()})
    await chains.keep_issuers(tx, [(name, each.subject) for name, each in authorities.items()])
    of = {row.fingerprint: each for row, each in zip(rows, judged, strict=True)}
    await chains.enrol_lints(tx, [(name, each.verdict.is_public) for name, each in of.items()])
    await revocations.enrol(tx, list(_to_ask(of.items())), now=now)


def _to_ask(judged: Iterable[tuple[str, Judged]]) -> Iterable[Enrolled]:
    for fingerprint, each in judged:
        issuer = each.verdict.issuer
        if each.sources.ocsp is not None or each.sources.crl is not None:
            yield Enrolled(
                fingerprint=fingerprint,
                issuer_fingerprint=issuer.fingerprint if issuer is not None else None,
                ocsp_url=each.sources.ocsp,
                crl_url=each.sources.crl,
            )


def _columns(row: ServedChainRow, judged: Judged, *, now: datetime) -> dict[str, object]:
    verdict = judged.verdict
    again = now + AGAIN
    return {
        "of_fingerprint": row.fingerprint,
        "of_digest": row.chain_digest,
        "due_at": min(again, verdict.changes_at) if verdict.changes_at is not None else again,
        "judged_at": now,
        "state": verdict.state,
        "store": verdict.store,
        "trusted_until": verdict.trusted_until,
        "details": {
            "problems": [asdict(each) for each in verdict.problems],
            "path": list(verdict.path),
            "missing": list(verdict.missing),
        },
    }
