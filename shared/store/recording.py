"""Notes what a transaction changes of what is audited, row by row, when the session writes it.

What is written by a statement instead of by a row is told with `Transaction.record`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import get_history

from shared.acting import Acting, acting
from shared.audit import BOOKKEEPING, Audited, Change
from shared.audit.shown import HIDDEN, document, shown
from shared.events.audit import ChangeRecorded
from shared.store.columns import Sealed
from shared.trace import trace_id

_RECORDER = "everleaf.recorder"


@dataclass(frozen=True, kw_only=True)
class Auditing:
    """What is recorded of a datastore, and by which clock."""

    tables: Mapping[type[Any], Audited]
    clock: Callable[[], datetime]


class RecordingSession(Session):
    """A session that shows its recorder what it is about to write."""


@sa.event.listens_for(RecordingSession, "before_flush")
def _look(session: Session, *_event: object) -> None:
    recorder: Recorder | None = session.info.get(_RECORDER)
    if recorder is not None:
        recorder.look(session)


@dataclass(frozen=True, kw_only=True)
class _Noted:
    """A change, with whose word and which trace it was made on."""

    change: Change
    who: Acting
    trace_id: str
    is_row: bool
    """Whether the session has told of it, which may do so several times."""


class Recorder:
    """The changes of one transaction, in their order."""

    def __init__(self, auditing: Auditing, *, service: str) -> None:
        self._auditing = auditing
        self._service = service
        self._noted: list[_Noted] = []

    def attach(self, session: Session) -> None:
        """Be shown what this session writes."""
        session.info[_RECORDER] = self

    def mark(self) -> int:
        """Return where it stands, to go back to."""
        return len(self._noted)

    def back_to(self, mark: int) -> None:
        """Forget what was noted since."""
        del self._noted[mark:]

    def add(self, change: Change) -> None:
        """Note a change that no row of the session tells of."""
        before = document(change.before) if change.before is not None else None
        after = document(change.after) if change.after is not None else None
        self._note(replace(change, before=before, after=after), is_row=False)

    def look(self, session: Session) -> None:
        """Note what a session is about to write."""
        for row in session.new:
            self.look_at(row, "created")
        for row in session.dirty:
            if session.is_modified(row):
                self.look_at(row, "changed")
        for row in session.deleted:
            self.look_at(row, "deleted")

    def look_at(self, row: Any, verb: str) -> None:
        """Note what becomes of a row, where its table is audited and that is worth an entry."""
        audited = self._auditing.tables.get(type(row))
        if audited is None:
            return
        before, after = _values(row, audited, verb)
        if verb == "changed" and not after:
            return
        if acting().id is None and not _is_worth_it(audited, verb, after):
            return
        mapper: Mapper[Any] = sa.inspect(type(row))
        change = Change(
            kind=audited.kind,
            verb=verb,
            id="/".join(str(part) for part in mapper.primary_key_from_instance(row)),
            name=getattr(row, "name", None),
            before=before,
            after=after,
            groups=tuple(getattr(row, "groups", None) or ()),
            lineage_id=getattr(row, "lineage_id", None),
        )
        self._note(change, is_row=True)

    def _note(self, change: Change, *, is_row: bool) -> None:
        # Whose word it is, is known now: a transaction of a reactor holds the effects of many events.
        self._noted.append(_Noted(change=change, who=acting(), trace_id=trace_id(), is_row=is_row))

    def entries(self) -> list[ChangeRecorded]:
        """Return what is to be told, numbered from 1."""
        now = self._auditing.clock()
        merged = enumerate(_merged(self._noted), start=1)
        return [_entry(noted, number, service=self._service, now=now) for number, noted in merged]


def _entry(noted: _Noted, number: int, *, service: str, now: datetime) -> ChangeRecorded:
    change, who = noted.change, noted.who
    actor_id, actor_name = change.actor or (who.id or service, who.name or who.id or service)
    return ChangeRecorded(
        sequence=number,
        at=now,
        actor_id=actor_id,
        actor_name=actor_name,
        on_behalf_of=change.on_behalf_of or who.on_behalf_of,
        action=f"{change.kind}.{change.verb}",
        object_kind=change.kind,
        object_id=change.id,
        object_name=change.name,
        groups=sorted(change.groups),
        lineage_id=change.lineage_id,
        before=dict(change.before) if change.before is not None else None,
        after=dict(change.after) if change.after is not None else None,
        reason=change.reason or who.reason,
        approval_id=change.approval_id or who.approval_id,
        cause=who.cause,
        operation=who.operation,
        address=who.address,
        agent=who.agent,
        trace_id=noted.trace_id,
    )


def _is_worth_it(audited: Audited, verb: str, after: Mapping[str, Any] | None) -> bool:
    """Return whether what the platform itself does is an entry."""
    if verb != "changed":
        return audited.made_by_itself
    if audited.milestones is None:
        return True
    return any(
        name in audited.milestones and str(value) in audited.milestones[name]
        for name, value in (after or {}).items()
    )


def _values(row: Any, audited: Audited, verb: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    mapper: Mapper[Any] = sa.inspect(type(row))
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for attribute in mapper.column_attrs:
        name, column = attribute.key, attribute.columns[0]
        if name in BOOKKEEPING or name in audited.leave_out:
            continue
        is_hidden = isinstance(column.type, Sealed) or name in audited.hidden
        old, new = _sides(row, name, verb)
        if verb == "changed" and old == new:
            continue
        before[name], after[name] = (_hidden(old), _hidden(new)) if is_hidden else (shown(old), shown(new))
        if verb == "changed" and is_hidden and after[name] is not None:
            after[name] = "(changed)"
    return (None if verb == "created" else before), (None if verb == "deleted" else after)


def _sides(row: Any, name: str, verb: str) -> tuple[Any, Any]:
    if verb != "changed":
        value = getattr(row, name)
        return value, value
    history = get_history(row, name)
    if not history.has_changes():
        return None, None
    return (history.deleted or [None])[0], (history.added or [None])[0]


def _hidden(value: Any) -> str | None:
    return HIDDEN if value else None


def _merged(noted: Sequence[_Noted]) -> Iterator[_Noted]:
    """Yield one change for each row, however often the session has written it."""
    whole: dict[object, _Noted] = {}
    for number, each in enumerate(noted):
        key: object = (each.change.kind, each.change.id) if each.is_row else number
        earlier = whole.pop(key, None)
        if earlier is None:
            whole[key] = each
        elif (together := _together(earlier.change, each.change)) is not None:
            whole[key] = replace(each, change=together)
    yield from whole.values()


def _together(earlier: Change, later: Change) -> Change | None:
    """Return what two changes of a row come to; None where that is nothing."""
    before = None if earlier.before is None else {**(later.before or {}), **earlier.before}
    if later.verb == "deleted":
        return None if earlier.verb == "created" else replace(later, before=before)
    after = {**(earlier.after or {}), **(later.after or {})}
    if earlier.verb == "changed" and before == after:
        return None
    return replace(later, verb=earlier.verb, before=before, after=after)
