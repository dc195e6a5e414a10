"""What a deployment would do on a target, said before it is done and without connecting to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from services.provisioner.connectors import Part, Slot, Target

Options_contra = TypeVar("Options_contra", bound=Part, contravariant=True)
Slot_contra = TypeVar("Slot_contra", bound=Slot, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One thing that would be done, by the name that the deployment's report will have for it."""

    step: str
    text: str
    files: Sequence[str] = ()
    """What is written or replaced."""
    command: str | None = None
    """What is run, as it is run."""


@runtime_checkable
class Plans(Protocol[Options_contra, Slot_contra]):
    """A power of a kind of target: it says exactly what it would do. Connects to nothing, and changes nothing."""

    @classmethod
    def plan(cls, slot: Slot_contra, *, options: Options_contra) -> Sequence[PlannedStep]:
        """Return what `stage` and `bind` would do, in their order."""


def planned(
    kind: type[Target[Any, Any, Any]], slot: Slot, *, options: Part, where: str
) -> Sequence[PlannedStep]:
    """Return what would be done in a slot: as exactly as the kind can tell, else what all kinds do."""
    if issubclass(kind, Plans):
        planning: type[Plans[Any, Any]] = kind
        return planning.plan(slot, options=options)
    return (
        PlannedStep(
            step="stage", text=f"Bring certificate and key to {slot.key} on {where}, without effect."
        ),
        PlannedStep(step="bind", text=f"Put them in force in {slot.key}, keeping what is there now."),
        PlannedStep(step="read back", text=f"Ask {where} which certificate is bound."),
    )
