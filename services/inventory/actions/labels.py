"""What is shown of how certificates are organised: owners by their names, tags, fields, groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from services.inventory.domain.fields import FieldKind, Raw, shown
from services.inventory.store.labelled import Labelled, labelled
from shared.store.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The team that owns a certificate, and who or what has said so."""

    id: str
    name: str
    set_by: str | None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """How a certificate is organised."""

    owner: Owner | None = None
    groups: Sequence[str] = ()
    tags: Sequence[str] = ()
    fields: Mapping[str, Raw] = field(default_factory=dict)
    missing_fields: Sequence[str] = ()
    """Required fields without a value."""

    @property
    def version(self) -> int:
        """Return a number that is another when an owner, a tag, a field or a group is."""
        text = repr((self.owner, sorted(self.groups), sorted(self.tags), sorted(self.fields.items())))
        return int.from_bytes(sha256(text.encode()).digest()[:6], "big")


async def labels_of(
    reader: Reader, rows: Collection[Any], *, scope: frozenset[str] | None = None
) -> dict[str, Labels]:
    """Return how certificates are organised, by fingerprint; rows have at least that and who owns them.

    Groups that are not in the scope are left out.
    """
    return read(rows, await labelled(reader, list(rows)), scope=scope)


def read(rows: Collection[Any], found: Labelled, *, scope: frozenset[str] | None) -> dict[str, Labels]:
    """Return how certificates are organised as it is shown, by fingerprint."""
    kinds = {name: FieldKind(kind) for name, kind in found.kinds.items()}
    required = sorted(found.required)
    labels: dict[str, Labels] = {}
    for row in rows:
        values = found.fields.get(row.fingerprint, {})
        labels[row.fingerprint] = Labels(
            owner=_owner(row, found.teams),
            groups=sorted(
                each for each in found.groups.get(row.fingerprint, ()) if scope is None or each in scope
            ),
            tags=sorted(found.tags.get(row.fingerprint, ())),
            fields={name: shown(kinds[name], values[name]) for name in sorted(values) if name in kinds},
            missing_fields=[name for name in required if name not in values],
        )
    return labels


def _owner(row: Any, teams: Mapping[str, str]) -> Owner | None:
    if row.owner_id is None:
        return None
    return Owner(id=row.owner_id, name=teams.get(row.owner_id, row.owner_id), set_by=row.owner_set_by)
