"""How the provisioner talks to what it puts certificates into: the Protocol every kind of target fulfils.

A target is a host that is reached by SSH, or an API. It is opened for one piece of work and closed after it.
Each method may be repeated with the same arguments, by another process too: the process may be killed at any
point in between.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.provisioner.domain import Material
from shared.outbound import Policy
from shared.ssh import Credential, Reach

Report = Callable[[str, str], None]
"""Takes the name of a step that succeeded, and a sentence about it."""


class Part(BaseModel):
    """Options, slot or undo of a kind of target: closed to names it does not know."""

    # Built when it is first used: a platform has targets of few kinds.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TargetCredential(Credential):
    """What a target is logged into with, and what the keystores on it are opened with."""

    store_passwords: list[SecretStr] = Field(
        [],
        max_length=20,
        description="Tried on the keystores there (PKCS#12, JKS), before `changeit` and none.",
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long things may take."""

    connect: timedelta
    transfer: timedelta
    command: timedelta


Action = Literal["deploy", "restore"]
Outcome = Literal["bound", "restored", "failed"]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What waits to be fetched: a new pair, or the word that it is to be taken back."""

    id: str
    action: Action
    fingerprint: str
    chain: str
    private_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What has become of an offer, as far as its reader has said."""

    is_fetched: bool
    """Whether the private key was released: then it may be in force."""
    outcome: Outcome | None = None
    reason: str | None = None


class Mailbox(Protocol):
    """Where what a target fetches by itself waits for it, sealed, by the key of its slot."""

    async def put(self, slot_key: str, offer: Offer) -> Reported:
        """Let an offer wait, in the place of an older one; the same again changes nothing. Says what became of it."""

    async def look(self, slot_key: str, *, offer_id: str) -> Reported | None:
        """Say what became of an offer; None where it does not wait there."""

    async def settle(self, slot_key: str, *, offer_id: str) -> None:
        """Forget the private key of an offer; which certificate it was stays known."""

    async def withdraw(self, slot_key: str, *, offer_id: str | None = None) -> None:
        """Take an offer back, where there is one, or this one."""


@dataclass(frozen=True, kw_only=True)
class SshAccess:
    """Where a host is, and as whom it is logged into; `host_key` is the OpenSSH public key it must prove to have."""

    host: str
    port: int
    username: str
    host_key: str
    agent: str | None = None
    """The socket of the ssh-agent that the credential may name."""
    reach: Reach | None = None
    """Which addresses may be logged into; None for any."""
    store_passwords: Sequence[str] = field(default=(), repr=False)
    """Of the keystores there."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a target is reached; the credential, opened, is of the type that its kind names."""

    credential: BaseModel = field(repr=False)
    limits: Limits
    policy: Policy = field(default_factory=Policy)
    """Which addresses an API may have; where it is, its options say."""
    ssh: SshAccess | None = None
    """Of a host; an API has none."""
    mailbox: Mailbox | None = None
    """Of a target that is not reached from here, and fetches."""
    pod_account: bool = False
    """Whether the service account of the pod that this runs in may be the credential."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was tried when looking whether a target can be worked on."""

    name: str
    ok: bool
    text: str


class Slot(Part):
    """A place in a target that holds one certificate and its key."""

    @property
    def key(self) -> str:
        """Return what makes it one place: two bindings of a target never share it."""
        raise NotImplementedError


Options_contra = TypeVar("Options_contra", bound=Part, contravariant=True)
Slot_contra = TypeVar("Slot_contra", bound=Slot, contravariant=True)
Undo = TypeVar("Undo", bound=Part)


@dataclass(frozen=True, kw_only=True)
class WantedKey:
    """A key pair that is to be made on the target: for which order, for whom, and of which kind (`ecdsa-p256`)."""

    order_id: str
    names: Sequence[str]
    key_type: str


class Target(Protocol[Options_contra, Slot_contra, Undo]):
    """Something certificates are put into. Methods raise `domain.DeploymentError`."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    options_type: ClassVar[type[Part]]
    credential_type: ClassVar[type[BaseModel]]
    """A kind whose credential is one of `shared.ssh` is a host; every other one is an API, and its options say where."""
    secrets_go_by: ClassVar[frozenset[str]]
    """The options that decide who gets to see the credential: with another value, it must be given again."""
    slot_type: ClassVar[type[Slot]]
    undo_type: ClassVar[type[Part]]
    """What it has as `SecretStr` is sealed while the deployment is not over, and dropped with it."""

    @classmethod
    def open(
        cls, access: Access, *, options: Options_contra
    ) -> AbstractAsyncContextManager["Target[Options_contra, Slot_contra, Undo]"]:
        """Connect and log in; closed when the block ends."""

    async def check(self) -> Sequence[Check]:
        """Say what works, beside reaching it and logging in. Changes nothing."""

    async def stage(self, slot: Slot_contra, *, material: Material, report: Report) -> Undo:
        """Bring the new certificate and key beside the present ones, without effect on them.

        What it returns is kept until the deployment is over, and is all that `bind`, `restore` and
        `tidy` know of the state before.
        """

    async def bind(self, slot: Slot_contra, *, undo: Undo, report: Report) -> None:
        """Put what was staged in force, keeping what was there; goes forward from a half done bind."""

    async def verify(self, slot: Slot_contra, *, fingerprint: str, report: Report) -> None:
        """Make sure that the target itself says that this leaf is bound. The wire is asked elsewhere."""

    async def restore(self, slot: Slot_contra, *, undo: Undo, report: Report) -> None:
        """Put what was there before in force again; with nothing kept, nothing is to be done."""

    async def clear(self, slot: Slot_contra) -> None:
        """Remove what was staged and is not in force."""

    async def tidy(self, *, undo: Undo) -> None:
        """Remove what was kept for a way back."""


@runtime_checkable
class ReplacesInPlace(Protocol[Slot_contra]):
    """A power of a target: it keeps nothing of what it replaces, so it goes back only with the pair that we put there."""

    @classmethod
    def needs_previous(cls, slot: Slot_contra) -> bool:
        """Say whether `stage` is to be given that pair as `material.previous`, where renewal still has its key."""


@runtime_checkable
class MakesKeys(Protocol[Slot_contra]):
    """A power of a target: the key pair is made there, and waits beside the present one until `stage` takes it."""

    @classmethod
    def cannot_make_key(cls, slot: Slot_contra) -> str | None:
        """Say why no key can be made for a slot, or return None."""

    async def make_key(self, slot: Slot_contra, *, wanted: WantedKey) -> str:
        """Make the key, or find it again, and return its certification request in PEM: nothing else leaves the target."""

    async def drop_key(self, slot: Slot_contra, *, order_id: str) -> None:
        """Remove the key that waits for an order, where there is one."""
