"""One target of any kind on the bench: ready to be deployed to, and what can be made to go wrong with it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from services.provisioner import store
from services.provisioner.connectors.registry import Kind
from services.provisioner.connectors.wire import Endpoint, Handshakes
from services.provisioner.domain import Failure, State
from tests.provisioner.workshop import Workshop
from tests.servers.tls import Issued

SEED = 20_261_127
EVERY_CUT = "EVERLEAF_EVERY_CUT"
"""Set in the environment: the connection is cut after every number of packets, which takes its time."""
NAME = "shop.test"
"""What the certificates are for."""


class Fault(StrEnum):
    """What goes wrong, or comes in the way, as the heads of the table's columns."""

    AGAIN = "same certificate again"
    AWAY = "cannot be reached"
    IMPOSTOR = "shows another identity"
    CREDENTIAL = "wrong credential"
    OTHER_KEY = "key of another certificate"
    PERMISSION = "no permission to write"
    DISK_FULL = "no space left"
    BROKEN_BEFORE = "configuration broken already"
    REFUSED = "new certificate fails the test"
    RELOAD_FAILS = "reload fails"
    NO_EFFECT = "reload without effect"
    CUT = "connection cut on the way"
    TWO_AT_ONCE = "two deployments at once"
    MADE_THERE = "key made there"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is seen of a deployment at which something went wrong; and then, always, the old certificate is served."""

    state: State
    failure: Failure


USUAL: Mapping[Fault, Outcome] = {
    Fault.AWAY: Outcome(state=State.WAITING, failure=Failure.UNREACHABLE),
    Fault.IMPOSTOR: Outcome(state=State.NEEDS_ATTENTION, failure=Failure.HOST_KEY_CHANGED),
    Fault.CREDENTIAL: Outcome(state=State.WAITING, failure=Failure.LOGIN_REFUSED),
    Fault.OTHER_KEY: Outcome(state=State.NEEDS_ATTENTION, failure=Failure.PAIR_MISMATCH),
    Fault.PERMISSION: Outcome(state=State.WAITING, failure=Failure.PERMISSION_DENIED),
    Fault.DISK_FULL: Outcome(state=State.WAITING, failure=Failure.DISK_FULL),
    Fault.BROKEN_BEFORE: Outcome(state=State.WAITING, failure=Failure.TEST_FAILED),
    Fault.REFUSED: Outcome(state=State.RESTORED, failure=Failure.TEST_FAILED),
    Fault.RELOAD_FAILS: Outcome(state=State.RESTORED, failure=Failure.RELOAD_FAILED),
    Fault.NO_EFFECT: Outcome(state=State.RESTORED, failure=Failure.STILL_OLD),
}
"""The others end with the new certificate in place; a row may say otherwise."""
ENDS_DEPLOYED = frozenset({Fault.AGAIN, Fault.CUT, Fault.TWO_AT_ONCE, Fault.MADE_THERE})
NO_KEYS = "No keys are made there: they come from renewal, sealed until they are written."

Break = Callable[["Bench"], AbstractAsyncContextManager[None]]
"""Breaks something at the beginning of the block, in the server or in `target` and `slot`; mends it at the end."""


@dataclass(kw_only=True)
class Bench:
    """A server whose certificate is to be replaced, and how a target is told of it."""

    target: dict[str, Any] = field(repr=False)
    """What `NewTarget` takes, but for the name."""
    slot: dict[str, Any]
    endpoint: Endpoint
    present: Callable[[], str]
    """Returns the fingerprint of what the target holds, its key matches, and nothing is left over beside it."""
    breaks: Mapping[Fault, Break]
    upstream: tuple[str, int]
    """Where the target is reached, for a proxy to stand before it."""
    through: Callable[["Bench", int], None]
    """Lets the target be reached through a port of 127.0.0.1."""
    ours_before: Issued | None = None
    """What is in place at first, where we are to have put it there: only so there is a way back."""

    async def bound(self, shop: Workshop) -> store.Binding:
        """Make the target known, and bind the lineage to its slot."""
        target = await shop.target(**self.target)
        binding = await shop.bind(target, slot=self.slot, endpoints=[self.endpoint])
        if self.ours_before is not None:
            await shop.has_deployed(self.ours_before, binding)
        return binding

    async def served(self) -> str | None:
        """Return the fingerprint of what is served."""
        return await Handshakes().served(self.endpoint)


Fixtures = Callable[[str], Any]
"""Gives a fixture by its name."""
Opens = Callable[[Fixtures], AbstractAsyncContextManager[Bench]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a kind of target over a server, and what is seen of it."""

    kind: Kind
    server: str
    """What it is tried on, for the page."""
    open: Opens
    senseless: Mapping[Fault, str] = field(default_factory=dict)
    """Why a fault cannot be, with this kind."""
    otherwise: Mapping[Fault, Outcome] = field(default_factory=dict)
    """Where it ends in another way than is usual."""
    cuts: tuple[int, int] = (8, 28)
    """Between which packets the connection is cut: by a seed in the suite, and at every one of them in `make bench`."""

    def seeded_cut(self) -> int:
        """Return after how many packets it is cut in the suite."""
        return Random(f"{SEED} {self.kind.kind} {self.server}").randint(*self.cuts)

    def outcome(self, fault: Fault) -> Outcome:
        """Return what is seen of a fault."""
        return self.otherwise.get(fault) or USUAL[fault]
