"""The verb on sources that send by themselves: take in what they hold, and tell of it as of what was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.discovery import store
from services.discovery.actions.source_runs import finish, keep_holdings
from services.discovery.connectors.upload import Upload, UploadSettings
from services.discovery.domain.holdings import Holding
from shared import x509
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound
from shared.events.discovery import CertificateFound, Place
from shared.ids import new_id
from shared.store import Database, Transaction

State = Literal["new", "known", "changed", "refused"]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What an endpoint was seen to serve, on another's word."""

    place: Place
    chain: tuple[bytes, ...]
    observed_at: datetime
    tls_version: str | None = None
    cipher_suite: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A part of what a system holds."""

    holdings: Sequence[Holding]
    endpoints: Sequence[Endpoint] = ()
    snapshot: str | None = None
    """A name, of the sender's choice, of all that it holds at one time; None where only this part is told."""
    is_last: bool = False
    """The snapshot is complete: what it does not name is not there any more."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of one certificate that was sent."""

    address: str
    path: str
    fingerprint: str
    state: State
    reason: str | None = None


class Uploads:
    """Takes in what is sent."""

    def __init__(self, database: Database, *, misses_until_lost: int) -> None:
        self._database = database
        self._misses_until_lost = misses_until_lost

    async def take(self, source_id: str, batch: Batch, *, caller: Principal, now: datetime) -> list[Taken]:
        """Keep a batch, and tell of it; the same batch again changes nothing.

        Raises `NotFound` also where the caller may not send to this source, `Conflict` where it is read, and
        `Forbidden` where the caller may not speak for endpoints.
        """
        if batch.endpoints:
            # A certificate counts as in place when an endpoint was seen to serve it: that is more than holding one.
            caller.require("sightings:write")
        async with self._database.transaction() as tx:
            source = _sent_to(await store.source_to_update(tx, source_id), source_id, caller=caller)
            run = await _run(tx, source, batch, now=now)
            taken = await _sorted_out(tx, source, batch.holdings)
            accepted = [each for each, of in zip(batch.holdings, taken, strict=True) if of.state != "refused"]
            run.holdings += await keep_holdings(tx, accepted, run=run, groups=source.groups, now=now)
            for endpoint in batch.endpoints:
                tx.emit(_seen(endpoint, run=run), now=now)
            if batch.snapshot is None:
                run.state, run.finished_at = "finished", now
            elif batch.is_last:
                await finish(tx, run, misses_until_lost=self._misses_until_lost, now=now)
        return taken


def _sent_to(row: store.SourceRow | None, source_id: str, *, caller: Principal) -> store.SourceRow:
    if row is None or not _may_send(row, caller):
        raise NotFound(
            f"There is no source {source_id} that you may send to.",
            next_step="Ask an operator to name your principal in its `uploaders`.",
        )
    if row.kind != Upload.kind:
        raise Conflict(
            f"{row.name} is a source that is read.", next_step=f"Make one of the kind {Upload.kind} known."
        )
    return row


def _may_send(row: store.SourceRow, caller: Principal) -> bool:
    if not caller.sees(row.groups):
        return False
    if caller.may("sources:write"):
        return True
    return row.kind == Upload.kind and caller.id in UploadSettings.model_validate(row.settings).uploaders


async def _run(tx: Transaction, source: store.SourceRow, batch: Batch, *, now: datetime) -> store.SourceRun:
    """Return the run that a batch belongs to: its snapshot's, or one of its own."""
    begun = await store.sending_run(tx, source.id)
    if batch.snapshot is not None and begun is not None:
        if begun.position == batch.snapshot:
            return begun
        begun.state, begun.finished_at = "superseded", now
        begun.error = "Another snapshot was begun before this one was complete."
        begun.next_step = "Send a snapshot to its end, its last part with `is_last`."
    if batch.is_last and batch.snapshot is None:
        raise Invalid(
            "Only a snapshot has a last part.", next_step="Give the snapshot a name, in each of its parts."
        )
    run = store.SourceRun(
        id=new_id(),
        source_id=source.id,
        state="sending",
        position=batch.snapshot,
        gaps=[],
        next_attempt_at=now,
        created_at=now,
    )
    tx.session.add(run)
    source.last_run_id = run.id
    return run


async def _sorted_out(tx: Transaction, source: store.SourceRow, holdings: Sequence[Holding]) -> list[Taken]:
    keys = [(each.address, each.path) for each in holdings]
    before = await store.fingerprints_held(tx, source.id, keys)
    others = await store.held_elsewhere(tx, source.id, keys)
    taken = []
    for each, key in zip(holdings, keys, strict=True):
        fingerprint = x509.fingerprint(each.chain[0])
        state: State = "new" if key not in before else "known" if before[key] == fingerprint else "changed"
        reason = None
        if key in others:
            # Else whoever may send could speak for a host that is read.
            state, reason = "refused", "Another source tells of this address and path."
        taken.append(
            Taken(address=each.address, path=each.path, fingerprint=fingerprint, state=state, reason=reason)
        )
    return taken


def _seen(endpoint: Endpoint, *, run: store.SourceRun) -> CertificateFound:
    return CertificateFound(
        place=endpoint.place,
        fingerprint=x509.fingerprint(endpoint.chain[0]),
        chain=list(endpoint.chain),
        observed_at=endpoint.observed_at,
        scan_id=run.id,
        tls_version=endpoint.tls_version,
        cipher_suite=endpoint.cipher_suite,
    )
