"""Offers to what cannot be reached: put there by deployments, fetched by who holds a binding's token, and reported on.

The token opens one binding and nothing else. The private key is released once: again only to the same public key, so
that an answer that was lost does no harm; each time is a step of the deployment.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

import anyio

from services.provisioner import store
from services.provisioner.actions.bindings import seen_binding
from services.provisioner.connectors import Offer, Outcome, Reported
from services.provisioner.connectors.pull import Pull
from shared.access import Principal
from shared.clock import Clock
from shared.errors import Conflict, Invalid, Unauthenticated
from shared.ids import new_id
from shared.sealing import Sealer, seal_to
from shared.store import Database, Transaction

_PREFIX = "elp_"
_TOKEN_BYTES = 32
_PUBLIC_KEY = 32
_EVERY = timedelta(seconds=1)
"""Between two looks, for who waits."""


@dataclass(frozen=True, kw_only=True)
class Released:
    """A private key on its way to who fetches it: as it is, or sealed to a public key of theirs."""

    private_key: str | None = field(default=None, repr=False)
    sealed_private_key: str | None = None
    purpose: str | None = None


class SlotMailbox:
    """The offers to one target; what connectors see of them."""

    def __init__(self, database: Database, sealer: Sealer, *, target_id: str, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._target_id = target_id
        self._clock = clock

    async def put(self, slot_key: str, offer: Offer) -> Reported:
        """Let an offer wait, in the place of an older one; the same again changes nothing."""
        async with self._database.transaction() as tx:
            present = await self._held(tx, slot_key)
            if present is not None and present.id == offer.id:
                return _reported(present)
            if present is not None:
                await tx.session.delete(present)
                await tx.session.flush()
            tx.session.add(self._row(slot_key, offer))
        return Reported(is_fetched=False)

    def _row(self, slot_key: str, offer: Offer) -> store.PullOffer:
        key = offer.private_key
        return store.PullOffer(
            id=offer.id,
            target_id=self._target_id,
            slot_key=slot_key,
            action=offer.action,
            fingerprint=offer.fingerprint,
            chain=offer.chain,
            private_key=self._sealer.seal(key.encode(), row=_row(offer.id)) if key is not None else None,
            offered_at=self._clock(),
        )

    async def look(self, slot_key: str, *, offer_id: str) -> Reported | None:
        """Say what became of an offer; None where it does not wait there."""
        async with self._database.read() as session:
            found = await store.pull_offer(session, target_id=self._target_id, slot_key=slot_key)
        return _reported(found) if found is not None and found.id == offer_id else None

    async def settle(self, slot_key: str, *, offer_id: str) -> None:
        """Forget the private key of an offer; which certificate it was stays known."""
        async with self._database.transaction() as tx:
            found = await self._held(tx, slot_key)
            if found is not None and found.id == offer_id:
                found.private_key = None

    async def withdraw(self, slot_key: str, *, offer_id: str | None = None) -> None:
        """Take an offer back, where there is one, or this one."""
        async with self._database.transaction() as tx:
            found = await self._held(tx, slot_key)
            if found is not None and offer_id in (None, found.id):
                await tx.session.delete(found)

    async def _held(self, tx: Transaction, slot_key: str) -> store.PullOffer | None:
        return await store.pull_offer_to_change(tx, target_id=self._target_id, slot_key=slot_key)


class Pulls:
    """What who holds a binding's token may do, and how they get one."""

    def __init__(self, database: Database, sealer: Sealer, *, ring: Callable[[], None], clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._ring = ring
        self._clock = clock

    async def new_token(self, binding_id: str, *, caller: Principal, now: datetime) -> str:
        """Return a token that opens this binding alone; one from before is void. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            held = await tx.session.get(store.Binding, binding_id, with_for_update=True)
            binding = await seen_binding(tx.session, held, binding_id, caller=caller)
            target = await tx.session.get_one(store.Target, binding.target_id)
            if target.kind != Pull.kind:
                raise Conflict(
                    f"{target.name} is a target of the kind {target.kind}, which is reached from here.",
                    next_step=f"Bind the lineage to a target of the kind {Pull.kind}.",
                )
            token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
            row = await tx.session.get(store.PullToken, binding_id)
            if row is None:
                row = store.PullToken(binding_id=binding_id, digest="", made_at=now, made_by=caller.id)
            row.digest, row.made_at, row.made_by = _digest(token), now, caller.id
            tx.session.add(row)
        return token

    async def offer(
        self, binding_id: str, *, token: str | None, known: str | None, wait: timedelta
    ) -> store.PullOffer | None:
        """Return what waits for a binding, at once or within a while; None where it is `known`, or nothing.

        Raises `Unauthenticated`.
        """
        binding = await self._opened(binding_id, token=token)
        with anyio.move_on_after(wait.total_seconds()):
            while True:
                found = await self._offer(binding)
                if found is not None and found.id != known:
                    return found
                if not wait:
                    return None
                await anyio.sleep(_EVERY.total_seconds())
        return None

    async def release_key(
        self, binding_id: str, *, token: str | None, offer_id: str, sealing_key: str | None
    ) -> Released:
        """Release the private key of an offer. Raises `Unauthenticated`, `Conflict` or `Invalid`."""
        binding = await self._opened(binding_id, token=token)
        async with self._database.transaction() as tx:
            row = await self._changing(tx, binding, offer_id)
            if row.private_key is None:
                raise Conflict(
                    "There is no private key to be released with this.",
                    next_step="What is to be taken back, or is in place, needs none.",
                )
            if row.key_released_at is not None and (sealing_key is None or sealing_key != row.released_to):
                raise Conflict(
                    "The private key was released before.",
                    next_step="Report that it failed: with the next attempt it is offered anew.",
                )
            opened = self._sealer.open(row.private_key, row=_row(row.id))
            released = _released(opened, row, sealing_key=sealing_key)
            is_again = row.key_released_at is not None
            row.key_released_at, row.released_to = row.key_released_at or self._clock(), sealing_key
            way = "sealed to the public key of who fetched it" if sealing_key else "to who holds the token"
            text = f"The private key of {row.fingerprint} was released{' again' if is_again else ''}, {way}."
            await self._note(tx, binding, "release key", text, ok=True)
        return released

    async def report(
        self, binding_id: str, *, token: str | None, offer_id: str, outcome: Outcome, reason: str | None
    ) -> None:
        """Take in what became of an offer, and let its deployment go on. Raises `Unauthenticated` or `Conflict`."""
        binding = await self._opened(binding_id, token=token)
        async with self._database.transaction() as tx:
            row = await self._changing(tx, binding, offer_id)
            wanted = "bound" if row.action == "deploy" else "restored"
            if outcome not in (wanted, "failed"):
                raise Conflict(
                    f"This offer is to {row.action}: it is {wanted} or failed.",
                    next_step=f"Report {wanted}, or failed with a reason.",
                )
            row.outcome, row.reason, row.reported_at = outcome, reason, self._clock()
            said = f"Who fetched it says: {outcome}{f' ({reason})' if reason else ''}."
            await self._note(tx, binding, "report", said, ok=outcome != "failed")
            tx.after_commit(self._ring)

    async def _note(self, tx: Transaction, binding: store.Binding, step: str, text: str, *, ok: bool) -> None:
        """Keep what was done as a step of the deployment that waits for it, and let that be looked at."""
        deployment = await store.deployment_at_work(tx, binding)
        if deployment is None:
            return
        now = self._clock()
        deployment.next_attempt_at = now
        tx.session.add(
            store.Step(
                id=new_id(),
                deployment_id=deployment.id,
                attempt=deployment.attempt + 1,
                at=now,
                step=step,
                ok=ok,
                text=text,
            )
        )

    async def _opened(self, binding_id: str, *, token: str | None) -> store.Binding:
        """Return the binding that a token opens: what is not there is refused like a wrong token."""
        async with self._database.read() as session:
            row = await session.get(store.PullToken, binding_id)
            binding = await session.get(store.Binding, binding_id)
        expected = row.digest if row is not None else ""
        if binding is None or not hmac.compare_digest(_digest(token or ""), expected):
            raise Unauthenticated(
                "The token does not open this binding.",
                next_step="Make a new one with POST /v1/bindings/{binding_id}/pull-tokens.",
            )
        return binding

    async def _offer(self, binding: store.Binding) -> store.PullOffer | None:
        async with self._database.read() as session:
            return await store.pull_offer(session, target_id=binding.target_id, slot_key=binding.slot_key)

    async def _changing(self, tx: Transaction, binding: store.Binding, offer_id: str) -> store.PullOffer:
        row = await store.pull_offer_to_change(tx, target_id=binding.target_id, slot_key=binding.slot_key)
        if row is None or row.id != offer_id:
            raise Conflict("Another certificate is offered now, or none.", next_step="Fetch the offer again.")
        return row


def _released(opened: bytes, row: store.PullOffer, *, sealing_key: str | None) -> Released:
    if sealing_key is None:
        return Released(private_key=opened.decode())
    try:
        public = base64.b64decode(sealing_key, validate=True)
    except (binascii.Error, ValueError):
        public = b""
    if len(public) != _PUBLIC_KEY:
        raise Invalid(
            "The sealing key is no X25519 public key.", next_step="Send its 32 raw bytes in base64."
        )
    purpose = f"everleaf private key {row.id}"
    sealed = seal_to(public, opened, purpose=purpose)
    return Released(sealed_private_key=base64.b64encode(sealed).decode(), purpose=purpose)


def _reported(row: store.PullOffer) -> Reported:
    outcome: Outcome | None = next((each for each in _OUTCOMES if each == row.outcome), None)
    return Reported(
        is_fetched=row.key_released_at is not None or row.outcome is not None,
        outcome=outcome,
        reason=row.reason,
    )


_OUTCOMES: tuple[Outcome, ...] = ("bound", "restored", "failed")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _row(offer_id: str) -> str:
    return f"provisioner/pull_offers/{offer_id}/private_key"
