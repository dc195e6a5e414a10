"""How the provisioner talks to what it puts certificates into: the Protocol every kind of target fulfils.

A target is opened for one piece of work and closed after it. Each method may be repeated with the
same arguments, by another process too: the process may be killed at any point in between.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.provisioner.domain import Material
from shared.ssh import Credential

Report = Callable[[str, str], None]
"""Takes the name of a step that succeeded, and a sentence about it."""


class Part(BaseModel):
    """Options, slot or undo of a kind of target: closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a target is reached; `host_key` is the OpenSSH public key it must prove to have."""

    host: str
    port: int
    username: str
    host_key: str
    credential: Credential = field(repr=False)
    limits: Limits
    agent: str | None = None
    """The socket of the ssh-agent that the credential may name."""
    store_passwords: Sequence[str] = field(default=(), repr=False)
    """Of the keystores there."""


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
    slot_type: ClassVar[type[Slot]]
    undo_type: ClassVar[type[Part]]

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
class MakesKeys(Protocol[Slot_contra]):
    """A power of a target: the key pair is made there, and waits beside the present one until `stage` takes it."""

    @classmethod
    def cannot_make_key(cls, slot: Slot_contra) -> str | None:
        """Say why no key can be made for a slot, or return None."""

    async def make_key(self, slot: Slot_contra, *, wanted: WantedKey) -> str:
        """Make the key, or find it again, and return its certification request in PEM: nothing else leaves the target."""

    async def drop_key(self, slot: Slot_contra, *, order_id: str) -> None:
        """Remove the key that waits for an order, where there is one."""
