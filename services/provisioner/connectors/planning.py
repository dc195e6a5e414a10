"""What a deployment would do on a target, said before it is done and without connecting to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from services.provisioner.connectors import Part, Slot, Target

Options_contra = TypeVar("Options_contra", bound=Part, contravariant=True)
Slot_contra = TypeVar("Slot_contra", bound=Slot, contravariant=True)
TIDY = "tidy"
"""The step that comes when everything has been seen: what was kept for a way back is removed."""


@dataclass(frozen=True, kw_only=True)
class Coming:
    """The certificate that would be put in place, as far as it is known: what is made for it has its name from it."""

    fingerprint: str | None = None
    issuers: Sequence[str] = ()
    """Fingerprints, from the leaf's own upwards."""

    def part(self, length: int) -> str:
        """Return so many characters of the fingerprint, or that they are still to come."""
        return self.fingerprint[:length] if self.fingerprint is not None else "{fingerprint}"


@dataclass(frozen=True, kw_only=True)
class PlannedCall:
    """A request that changes something, as it would be sent; what is in braces is known only then."""

    request: str
    """Method and path, or the name that the API has for it."""
    about: str | None = None
    """What it makes or changes, where the path does not say."""
    when: str | None = None
    """It is sent only then; empty for always."""


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One thing that would be done, by the name that the deployment's report will have for it."""

    step: str
    text: str
    files: Sequence[str] = ()
    """What is written or replaced."""
    command: str | None = None
    """What is run, as it is run."""
    calls: Sequence[PlannedCall] = ()
    """What is asked of an API, in this order; what only reads is left out."""


@runtime_checkable
class Plans(Protocol[Options_contra, Slot_contra]):
    """A power of a kind of target: it says exactly what it would do. Connects to nothing, and changes nothing."""

    @classmethod
    def plan(cls, slot: Slot_contra, *, options: Options_contra, coming: Coming) -> Sequence[PlannedStep]:
        """Return what `stage`, `bind`, `verify` and `tidy` would do, in their order."""


def planned(
    kind: type[Target[Any, Any, Any]], slot: Slot, *, options: Part, where: str, coming: Coming
) -> Sequence[PlannedStep]:
    """Return what would be done in a slot: as exactly as the kind can tell, else what all kinds do."""
    if issubclass(kind, Plans):
        planning: type[Plans[Any, Any]] = kind
        return planning.plan(slot, options=options, coming=coming)
    return (
        PlannedStep(
            step="stage", text=f"Bring certificate and key to {slot.key} on {where}, without effect."
        ),
        PlannedStep(step="bind", text=f"Put them in force in {slot.key}, keeping what is there now."),
        PlannedStep(step="read back", text=f"Ask {where} which certificate is bound."),
    )


def in_steps(
    *, stage: PlannedStep, bind: Iterable[PlannedStep], read_back: str, tidy: Sequence[PlannedCall] = ()
) -> tuple[PlannedStep, ...]:
    """Return the steps of a kind that is an API: `read_back` is what is asked in the end."""
    steps = (stage, *bind, PlannedStep(step="read back", text=read_back))
    if not tidy:
        return steps
    last = PlannedStep(step=TIDY, text="Remove what was put there for the certificate before.", calls=tidy)
    return (*steps, last)
