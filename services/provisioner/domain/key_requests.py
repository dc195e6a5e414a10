"""Which keys are made on targets: where an order's key belongs, and what becomes of the request for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class KeyState(StrEnum):
    """Where the request for a key stands."""

    WANTED = "wanted"
    BROUGHT = "brought"
    """Renewal has the request; the key waits for its certificate."""
    CLEARING = "clearing"
    """The certificate will not come, or not be used: what waits on the target is removed."""
    OVER = "over"


@dataclass(frozen=True)
class Unfit:
    """Why no key can be made on a target, and what a person does about it."""

    reason: str
    what_to_do: str


def unfit(slots: Sequence[str], *, obstacle: str | None) -> Unfit | None:
    """Return why a lineage in these slots gets no key made there; `obstacle` is what stands in the way in the only one."""
    if not slots:
        return Unfit(
            "The key is to be made on the target, and the lineage belongs in no slot of any.",
            "Bind the lineage to its slot with POST /provisioner/v1/bindings, then try the order again.",
        )
    if len(slots) > 1:
        return Unfit(
            f"A key that is made on a target never leaves it, and the lineage belongs in {len(slots)} slots: "
            f"{', '.join(slots)}.",
            "Give each slot a lineage of its own, or use a profile whose key custody is central; then try the order again.",
        )
    if obstacle is not None:
        return Unfit(obstacle, "Use a profile whose key custody is central, then try the order again.")
    return None
