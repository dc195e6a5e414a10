"""Custom fields: what may be written on certificates beside what they say themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.inventory.actions.wanted import refuse_scoped
from services.inventory.domain.fields import FieldKind
from services.inventory.store import fields, groups
from services.inventory.store.organised import FieldRow
from shared.access import Principal, known
from shared.errors import Conflict, Fault, Invalid, Stale
from shared.store import Database

log = structlog.get_logger(__name__)
WHAT = "custom fields"


@dataclass(frozen=True, kw_only=True)
class FieldText:
    """What can be said of a field, and said otherwise later."""

    description: str
    is_required: bool
    choices: Sequence[str]


class Fields:
    """The verbs on custom fields."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: str, kind: FieldKind, text: FieldText, *, caller: Principal, now: datetime
    ) -> FieldRow:
        """Make a field. Raises `Invalid`, `Conflict` where the name is taken, or `Forbidden`."""
        refuse_scoped(caller, what=WHAT)
        _check_choices(kind, text.choices)
        row = FieldRow(
            name=name,
            kind=kind,
            description=text.description,
            is_required=text.is_required,
            choices=list(text.choices),
            created_at=now,
            created_by=caller.id,
        )
        async with self._database.transaction() as tx:
            if not await fields.add_field(tx, row):
                raise Conflict(f"There is a field {name!r} already.", next_step="Choose another name.")
            tx.record_row(row, "created")
        log.info("field.created", field=name, by=caller.id)
        return row

    async def page(self, *, after: str | None, limit: int) -> Sequence[FieldRow]:
        """Return `limit + 1` fields by their names."""
        async with self._database.read() as session:
            return await fields.page(session, after=after, limit=limit)

    async def get(self, name: str) -> FieldRow:
        """Return a field. Raises `NotFound`."""
        async with self._database.read() as session:
            found = await fields.definitions(session, [name])
        return known(found.get(name), what="field", name=name)

    async def replace(self, name: str, text: FieldText, *, version: int, caller: Principal) -> FieldRow:
        """Let a field be described otherwise; its kind stays. Raises `NotFound`, `Stale`, `Invalid` or `Conflict`."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = known(await fields.held_field(tx, name), what="field", name=name)
            if row.version != version:
                raise Stale("The field was changed since you read it.", next_step="Read it again.")
            _check_choices(FieldKind(row.kind), text.choices)
            gone = sorted(set(row.choices) - set(text.choices))
            used = await fields.values_of(tx.session, name, among=gone) if gone else 0
            if used:
                raise Conflict(
                    f"{used} certificates have one of {', '.join(gone)} for {name}.",
                    next_step=f"Give them another value first: POST /v1/certificates/bulk with the query field.{name} in (…).",
                )
            row.description, row.is_required = text.description, text.is_required
            row.choices = list(text.choices)
            row.version += 1
        log.info("field.changed", field=name, by=caller.id)
        return row

    async def delete(self, name: str, *, drops_values: bool, caller: Principal, now: datetime) -> None:
        """Delete a field. Raises `NotFound`, or `Conflict` where it has values and they are not given up."""
        refuse_scoped(caller, what=WHAT)
        async with self._database.transaction() as tx:
            row = known(await fields.held_field(tx, name), what="field", name=name)
            used = await fields.values_of(tx.session, name)
            if used and not drops_values:
                raise Conflict(
                    f"{used} certificates have a value for {name}.",
                    next_step=f"Delete those with it: DELETE /v1/fields/{name}?drop_values=true",
                )
            tx.record_row(row, "deleted")
            await fields.forget_field(tx, name)
            if used:
                await groups.reevaluate_all(tx, now=now)  # rules may ask for it
        log.info("field.deleted", field=name, values=used, by=caller.id)


def _check_choices(kind: FieldKind, choices: Sequence[str]) -> None:
    is_choice = kind is FieldKind.CHOICE
    if is_choice == bool(choices):
        return
    message = (
        "A field of the kind choice needs choices."
        if is_choice
        else "Only a field of the kind choice has choices."
    )
    raise Invalid(
        message,
        next_step="Correct choices or kind.",
        faults=[Fault(pointer="/body/choices", message=message)],
    )
