"""What the notifier knows of a lineage, as events have told it: rules ask it, and owners are found by it."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from services.notifier.domain.text import clean, clean_all
from shared.events.inventory import CertificateAging, CertificateExpiring, Contact, Owner

_MOST_NAMES = 50


class Facts(BaseModel):
    """What is known of a lineage; what nobody has said is empty."""

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...] = ()
    issuer: str = ""
    owner: Owner | None = None
    is_automated: bool = False
    """Renewal renews it by itself."""

    def contacts(self, kind: str) -> tuple[str, ...]:
        """Return how the owner is reached by a kind of contact, first first."""
        return _values(self.owner.contacts if self.owner else (), kind)

    def deputies(self, kind: str) -> tuple[str, ...]:
        """Return how whoever stands in for the owner is reached."""
        return _values(self.owner.deputies if self.owner else (), kind)


def _values(contacts: Sequence[Contact], kind: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(contact.value for contact in contacts if contact.kind == kind))


def facts_of(event: CertificateExpiring | CertificateAging, *, before: Facts) -> Facts:
    """Return what is known once this was said too."""
    return before.model_copy(
        update={
            "names": clean_all(event.names[:_MOST_NAMES]),
            "issuer": clean(event.issuer_name),
            "owner": event.owner,
        }
    )
