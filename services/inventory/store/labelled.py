"""How certificates are organised, for whoever shows them: one statement that never changes, for one as for many."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.fields import Value
from services.inventory.store.organised import CertificateTag, FieldRow, FieldValue, GroupMember, TeamRow
from shared.store.reader import Fixed, Found, Reader, among

Empty = Mapping[str, Any]
"""The columns that all parts of a union have; a part without a value of its own has the one that is here."""
EMPTY: Empty = {
    "name": sa.cast(sa.null(), sa.String()),
    "text": sa.cast(sa.null(), sa.String()),
    "number": sa.cast(sa.null(), sa.Float()),
}


def part(what: str, of: Any, *, empty: Empty = EMPTY, **columns: Any) -> sa.Select[Any]:
    """Return one part of a union: `what` kind of thing each row is, which certificate it is about, what it says."""
    said = [each.label(name) for name, each in {**empty, **columns}.items()]
    return sa.select(sa.literal_column(f"'{what}'", sa.String()).label("what"), of.label("of"), *said)


def as_number(flag: Any) -> sa.ColumnElement[float]:
    """Return a truth value as 1 or 0."""
    return sa.cast(sa.case((flag, 1), else_=0), sa.Float())


def label_parts(is_asked: Callable[[Any], Any], *, empty: Empty = EMPTY) -> list[sa.Select[Any]]:
    """Return the parts that `Labelled.of` reads; `is_asked` says of a column of fingerprints whether it is one.

    The parameter `teams` holds the ids of owners.
    """
    member, tagged, valued = (col(each.fingerprint) for each in (GroupMember, CertificateTag, FieldValue))
    value = {"name": col(FieldValue.name), "text": col(FieldValue.text), "number": col(FieldValue.number)}
    required = as_number(col(FieldRow.is_required))
    return [
        part("group", member, empty=empty, name=col(GroupMember.group_id)).where(is_asked(member)),
        part("tag", tagged, empty=empty, name=col(CertificateTag.tag)).where(is_asked(tagged)),
        part("field", valued, empty=empty, **value).where(is_asked(valued)),
        part("team", col(TeamRow.id), empty=empty, name=col(TeamRow.name)).where(
            among(col(TeamRow.id), "teams")
        ),
        part("definition", col(FieldRow.name), empty=empty, name=col(FieldRow.kind), number=required),
    ]


_LABELS = Fixed(sa.union_all(*label_parts(lambda fingerprint: among(fingerprint, "fingerprints"))))


@dataclass(kw_only=True)
class Labelled:
    """How certificates are organised, by fingerprint."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    fields: dict[str, dict[str, Value]] = field(default_factory=dict)
    """By the field's name."""
    teams: dict[str, str] = field(default_factory=dict)
    """The names of owners, by their ids."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Of all fields that are defined."""
    required: list[str] = field(default_factory=list)
    """The fields that every certificate is to have."""

    @classmethod
    def of(cls, rows: Iterable[Found]) -> "Labelled":
        """Read the rows of `label_parts`; others may be among them."""
        found = cls()
        for row in rows:
            found.note(row.what, row.of, row.name, row.text, row.number)
        return found

    def note(self, what: str, of: str, name: Any, text: Any, number: Any) -> None:
        """Take in a row of `label_parts`, or another one, which says nothing here."""
        match what:
            case "group":
                self.groups.setdefault(of, []).append(name)
            case "tag":
                self.tags.setdefault(of, []).append(name)
            case "field":
                self.fields.setdefault(of, {})[name] = Value(text=text, number=number)
            case "team":
                self.teams[of] = name
            case "definition":
                self.kinds[of] = name
                if number:
                    self.required.append(of)


async def labelled(reader: Reader, rows: Sequence[Any]) -> Labelled:
    """Return how certificates are organised; rows have at least `fingerprint` and `owner_id`."""
    fingerprints = [row.fingerprint for row in rows]
    found = Labelled()
    for row in await reader.values(_LABELS, fingerprints=fingerprints, teams=owners(rows)):
        found.note(*row)
    return found


def owners(rows: Iterable[Any]) -> list[str]:
    """Return the ids of the teams that own certificates."""
    return sorted({row.owner_id for row in rows if row.owner_id is not None})
