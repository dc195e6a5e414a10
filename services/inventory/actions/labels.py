"""What is shown of how certificates are organised: owners by their names, tags, fields, groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain.fields import FieldKind, Raw, shown
from services.inventory.store import fields, groups, labels, teams
from services.inventory.store.organised import FieldRow


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
    session: AsyncSession, rows: Collection[Any], *, scope: frozenset[str] | None = None
) -> dict[str, Labels]:
    """Return how certificates are organised, by fingerprint; rows have at least that and who owns them.

    Groups that are not in the scope are left out.
    """
    prints = [row.fingerprint for row in rows]
    ids = {row.owner_id for row in rows if row.owner_id is not None}
    owners = await teams.teams(session, ids) if ids else {}
    grouped = await groups.memberships(session, prints)
    tagged = await labels.tags(session, prints)
    valued = await labels.fields(session, prints)
    definitions = await fields.definitions(session)
    found: dict[str, Labels] = {}
    for row in rows:
        values = valued.get(row.fingerprint, {})
        found[row.fingerprint] = Labels(
            owner=_owner(row, owners.get(row.owner_id or "")),
            groups=sorted(
                each for each in grouped.get(row.fingerprint, ()) if scope is None or each in scope
            ),
            tags=tagged.get(row.fingerprint, ()),
            fields={
                name: shown(FieldKind(definitions[name].kind), value)
                for name, value in values.items()
                if name in definitions
            },
            missing_fields=_missing(definitions, values),
        )
    return found


def _owner(row: Any, team: object) -> Owner | None:
    name = getattr(team, "name", None)
    if row.owner_id is None:
        return None
    return Owner(id=row.owner_id, name=name or row.owner_id, set_by=row.owner_set_by)


def _missing(definitions: Mapping[str, FieldRow], values: Collection[str]) -> list[str]:
    return [name for name, row in definitions.items() if row.is_required and name not in values]
