"""Checks what somebody wants to change of certificates, before anything is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.inventory.domain.edits import Changes
from services.inventory.domain.fields import Definition, FieldKind, Raw, Value, value
from services.inventory.domain.slugs import tag
from services.inventory.store import fields, groups, teams
from services.inventory.store.organised import FieldRow
from shared.access import Principal
from shared.errors import Fault, Forbidden, Invalid
from shared.store import Transaction


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be changed, as it was asked for; `sets_owner` tells no owner from nothing said of one."""

    sets_owner: bool = False
    owner: str | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    set_fields: Mapping[str, Raw | None] = field(default_factory=dict)
    add_to_groups: Sequence[str] = ()
    remove_from_groups: Sequence[str] = ()


async def changes(tx: Transaction, wanted: Wanted, *, caller: Principal) -> Changes:
    """Return the changes. Raises `Invalid` where one cannot be, or `Forbidden`."""
    await need_teams(tx, [wanted.owner] if wanted.owner is not None else [], pointer="/body/owner")
    named = {*wanted.add_to_groups, *wanted.remove_from_groups}
    refuse_other_groups(caller, named)  # first: whether a group of others is there is theirs to know
    await need_groups_by_hand(tx, named, pointer="/body/add_to_groups")
    found = Changes(
        sets_owner=wanted.sets_owner,
        owner=wanted.owner,
        add_tags=frozenset(map(tag, wanted.add_tags)),
        remove_tags=frozenset(map(tag, wanted.remove_tags)),
        set_fields=await _values(tx, wanted.set_fields),
        add_to_groups=frozenset(wanted.add_to_groups),
        remove_from_groups=frozenset(wanted.remove_from_groups),
    )
    if found.is_empty:
        raise Invalid("Nothing is to be changed.", next_step="Name an owner, tags, fields or groups.")
    _refuse_both(found.add_tags & found.remove_tags, "/body/remove_tags")
    _refuse_both(found.add_to_groups & found.remove_from_groups, "/body/remove_from_groups")
    return found


async def need_teams(tx: Transaction, ids: Sequence[str], *, pointer: str) -> None:
    """Raise `Invalid` where one of these is no team."""
    known = await teams.kept_teams(tx, ids) if ids else set()
    for team_id in ids:
        if team_id not in known:
            raise _unknown("team", team_id, pointer)


async def need_groups_by_hand(tx: Transaction, ids: set[str], *, pointer: str) -> None:
    """Raise `Invalid` where one of these is no group, or one whose members a rule decides."""
    known = await groups.kept_kinds(tx, ids) if ids else {}
    for group_id in sorted(ids):
        if group_id not in known:
            raise _unknown("group", group_id, pointer)
        if known[group_id] != groups.HAND:
            message = f"Who is in the group {group_id} is decided by its rule."
            raise Invalid(
                message,
                next_step="Change the rule with PATCH /v1/groups/{id}, or name a group by hand.",
                faults=[Fault(pointer=pointer, message=message)],
            )


def refuse_other_groups(caller: Principal, ids: set[str]) -> None:
    """Raise `Forbidden` where somebody who may act in some groups names another."""
    foreign = sorted(ids - (caller.scope if caller.scope is not None else ids))
    if foreign:
        raise Forbidden(
            f"{caller.name} may not change who is in {', '.join(foreign)}.",
            next_step="Ask somebody whose access is not limited to groups.",
        )


def refuse_scoped(caller: Principal, *, what: str) -> None:
    """Raise `Forbidden` where a caller is limited to groups and this concerns all."""
    if caller.scope is not None:
        raise Forbidden(
            f"{caller.name} may act in some groups only, and {what} concern all.",
            next_step="Ask somebody whose access is not limited to groups.",
        )


async def _values(tx: Transaction, wanted: Mapping[str, Raw | None]) -> dict[str, Value | None]:
    known = await fields.definitions(tx.session, wanted) if wanted else {}
    found: dict[str, Value | None] = {}
    for name, raw in wanted.items():
        if name not in known:
            raise _unknown("field", name, f"/body/set_fields/{name}")
        field_ = definition(known[name])
        if raw is None and field_.is_required:
            message = f"The field {name} is required."
            fault = Fault(pointer=f"/body/set_fields/{name}", message=message)
            raise Invalid(message, next_step="Give it another value.", faults=[fault])
        found[name] = None if raw is None else value(field_, raw)
    return found


def definition(row: FieldRow) -> Definition:
    """Return what a field is, as far as its values are concerned."""
    return Definition(
        name=row.name, kind=FieldKind(row.kind), choices=tuple(row.choices), is_required=row.is_required
    )


def as_json(changes: Changes) -> dict[str, Any]:
    """Return changes as they are kept with an edit."""
    return {
        "sets_owner": changes.sets_owner,
        "owner": changes.owner,
        "add_tags": sorted(changes.add_tags),
        "remove_tags": sorted(changes.remove_tags),
        "set_fields": {
            name: None if value is None else {"text": value.text, "number": value.number}
            for name, value in changes.set_fields.items()
        },
        "add_to_groups": sorted(changes.add_to_groups),
        "remove_from_groups": sorted(changes.remove_from_groups),
    }


def from_json(kept: Mapping[str, Any]) -> Changes:
    """Return the changes that were kept with an edit."""
    values = {name: None if value is None else Value(**value) for name, value in kept["set_fields"].items()}
    return Changes(
        sets_owner=kept["sets_owner"],
        owner=kept["owner"],
        set_fields=values,
        **{name: frozenset(kept[name]) for name in _SETS},
    )


_SETS = ("add_tags", "remove_tags", "add_to_groups", "remove_from_groups")


def _refuse_both(both: frozenset[str], pointer: str) -> None:
    if both:
        message = f"{', '.join(sorted(both))} cannot be added and removed at once."
        raise Invalid(
            message, next_step="Leave one of the two out.", faults=[Fault(pointer=pointer, message=message)]
        )


def _unknown(what: str, name: str, pointer: str) -> Invalid:
    message = f"There is no {what} {name!r}."
    return Invalid(
        message,
        next_step=f"List them with GET /v1/{what}s, or make it with POST /v1/{what}s.",
        faults=[Fault(pointer=pointer, message=message)],
    )
