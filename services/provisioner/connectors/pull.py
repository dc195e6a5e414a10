"""What cannot be reached from here: it fetches its certificate by itself, and says when that is in place.

The offer waits in our own mailbox; see the routes of `/v1/pull`. What was there before stays with who fetches, so the
way back is a second offer: to take the new one back.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from services.provisioner.connectors import Access, Check, Mailbox, Offer, Part, Report, Slot
from services.provisioner.connectors.pairs import Pair, pair_of
from services.provisioner.connectors.planning import Coming, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material, NotYet
from shared.clock import utc_now
from shared.ids import new_id

_AGAIN = timedelta(minutes=1)
"""A report is acted upon at once; this is for one that nobody heard."""


class PullOptions(Part):
    """How long it may take."""

    patience: int = Field(
        24 * 7,
        ge=1,
        le=24 * 90,
        description="Hours until a certificate that nobody has put in place is taken back.",
    )


class PullCredential(BaseModel):
    """Nothing: who fetches has a token for its binding."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PullSlot(Slot):
    """What the place is called."""

    name: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._/-]*$", max_length=200, examples=["web"])

    @property
    def key(self) -> str:
        """Return the name."""
        return self.name


class PullUndo(Part):
    """The new pair, and under which ids it is offered and taken back."""

    slot_key: str
    offer: str
    taking_back: str
    begun_at: datetime
    new: Pair


class Pull:
    """Something that fetches."""

    kind: ClassVar[str] = "pull"
    summary: ClassVar[str] = (
        "Something that cannot be reached from here, and fetches its certificates (GET /v1/pull)."
    )
    options_type: ClassVar[type[Part]] = PullOptions
    credential_type: ClassVar[type[BaseModel]] = PullCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # there is nothing to be seen
    slot_type: ClassVar[type[Slot]] = PullSlot
    undo_type: ClassVar[type[Part]] = PullUndo

    def __init__(self, mailbox: Mailbox, options: PullOptions) -> None:
        self._mailbox = mailbox
        self._options = options

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: PullOptions) -> AsyncIterator[Self]:
        """Open the mailbox."""
        if access.mailbox is None:
            msg = "there is no mailbox for this target"
            raise TypeError(msg)
        yield cls(access.mailbox, options)

    async def check(self) -> Sequence[Check]:
        """Nothing can be tried from here."""
        return [Check(name="mailbox", ok=True, text="Offers wait here until they are fetched.")]

    @classmethod
    def plan(
        cls,
        slot: PullSlot,
        *,
        options: PullOptions,
        coming: Coming,  # noqa: ARG003 - who fetches it names what it keeps
    ) -> Sequence[PlannedStep]:
        """Say what would wait, and for how long."""
        text = f"Let chain and key wait to be fetched as {slot.key}, for {options.patience} h at most."
        return in_steps(
            stage=PlannedStep(step="stage", text="Give the offer an id; nobody sees it yet."),
            bind=(PlannedStep(step="bind", text=text),),
            read_back=f"Nothing of {slot.key} can be read.",
        )

    async def stage(self, slot: PullSlot, *, material: Material, report: Report) -> PullUndo:
        """Give the offer an id; nobody sees it yet."""
        offer = new_id()
        report("stage", f"It is to be offered as {offer}.")
        return PullUndo(
            slot_key=slot.key, offer=offer, taking_back=new_id(), begun_at=utc_now(), new=pair_of(material)
        )

    async def bind(self, slot: PullSlot, *, undo: PullUndo, report: Report) -> None:
        """Offer the pair, and see whether it is said to be in place."""
        said = await self._mailbox.put(
            slot.key,
            Offer(
                id=undo.offer,
                action="deploy",
                fingerprint=undo.new.fingerprint or "",
                chain=undo.new.chain,
                private_key=undo.new.private_pem,
            ),
        )
        if said.outcome == "failed":
            raise DeploymentError(
                Failure.REJECTED, f"Who fetched it says: {said.reason or 'no reason'}", step="bind"
            )
        if said.outcome is None:
            self._wait(undo, what="to put it in place" if said.is_fetched else "to fetch it")
        report("bind", f"Who fetched it says that {slot.key} holds the new certificate.")

    def _wait(self, undo: PullUndo, *, what: str) -> None:
        if utc_now() - undo.begun_at > timedelta(hours=self._options.patience):
            text = f"Nobody came {what} within {self._options.patience} h."
            raise DeploymentError(Failure.NOT_FETCHED, text, step="bind")
        raise NotYet(f"Waits for somebody {what}.", again=_AGAIN)

    async def verify(self, slot: PullSlot, *, fingerprint: str, report: Report) -> None:
        """Take the word of who fetched it; whether it is so is seen on the wire."""
        report("read back", f"Nothing of {slot.key} can be read: {fingerprint} is looked for on the wire.")

    async def restore(self, slot: PullSlot, *, undo: PullUndo, report: Report) -> None:
        """Withdraw the offer; where its key was fetched already, have it taken back."""
        said = await self._mailbox.look(slot.key, offer_id=undo.offer)
        if said is not None and not said.is_fetched:
            await self._mailbox.withdraw(slot.key, offer_id=undo.offer)
            report("restore", f"Withdrew the offer of {slot.key}, which nobody had fetched.")
            return
        if said is None and await self._mailbox.look(slot.key, offer_id=undo.taking_back) is None:
            report("restore", f"There is no offer of {slot.key} to be taken back.")
            return
        back = Offer(
            id=undo.taking_back,
            action="restore",
            fingerprint=undo.new.fingerprint or "",
            chain=undo.new.chain,
        )
        answer = await self._mailbox.put(slot.key, back)
        if answer.outcome == "failed":
            raise DeploymentError(
                Failure.REJECTED, f"Who fetched it says: {answer.reason or 'no reason'}", step="restore"
            )
        if answer.outcome is None:
            raise NotYet("Waits for who fetched it to take it back.", again=_AGAIN)
        await self._mailbox.withdraw(slot.key, offer_id=undo.taking_back)
        report("restore", f"Who fetched it says that {slot.key} is as before.")

    async def clear(self, slot: PullSlot) -> None:
        """Nothing was offered."""

    async def tidy(self, *, undo: PullUndo) -> None:
        """Forget the key."""
        await self._mailbox.settle(undo.slot_key, offer_id=undo.offer)
