"""Incidents and change requests: one for each alert, found by its `correlation_id`, told of each turn once.

`correlation_display` keeps the number of the last turn that was told, in the same request as its words: whoever comes again
after a crash sees that it is done. What is opened and closed with is columns of the table, since every company has fields
that it demands.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field

from services.notifier.connectors import Delivered, Network, Part, Progress, Sent
from services.notifier.connectors.servicenow.certificate import item_of
from services.notifier.connectors.servicenow.instance import (
    REDIRECTING,
    Instance,
    InstanceOptions,
    InstanceSecrets,
    Session,
)
from services.notifier.connectors.web import NotTaken, outcome
from services.notifier.connectors.words import plain, short
from services.notifier.domain.notices import Notice, Turn
from services.notifier.domain.tickets import Decision, Seen, Ticket, TicketState
from shared.errors import Unavailable
from shared.events.notifier import Severity

_MOST_SUMMARY = 160
_MOST_APPROVERS = 100
_FIELDS = ("sys_id", "number", "state", "correlation_display")
_DISPLAY = "Everleaf turn "
_URGENCY = {Severity.CRITICAL: "1", Severity.ERROR: "2", Severity.WARNING: "2", Severity.INFO: "3"}

Columns = dict[str, str]


class TicketOptions(InstanceOptions):
    """An instance, and with what its tickets are opened and closed."""

    opening: Columns = Field(default_factory=dict, max_length=50)
    """Further columns of a new one, by name: an assignment group, a category."""
    closing: Columns = Field(default_factory=dict, max_length=50)
    """Further columns of one that is closed; they win over ours, since companies have states of their own."""
    certificate_items: bool = False
    """Whether the certificate is kept as a configuration item (`cmdb_ci_certificate`) that the ticket is about."""


class _Tickets:
    """A table of tickets."""

    options_type: ClassVar[type[Part]] = TicketOptions
    secrets_type: ClassVar[type[Part]] = InstanceSecrets
    secrets_go_by: ClassVar[frozenset[str]] = REDIRECTING
    table: ClassVar[str]
    opening: ClassVar[Columns] = {}
    closing: ClassVar[Columns]
    reopening: ClassVar[Columns]
    closed: ClassVar[frozenset[str]]
    """The states in which nobody works on it any more."""

    def __init__(self, options: TicketOptions, *, instance: Instance) -> None:
        self._options = options
        self._instance = instance

    @classmethod
    def open(cls, options: TicketOptions, *, secrets: InstanceSecrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where it is not said who we are."""
        return cls(options, instance=Instance.of(options, secrets, network=network))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Open the ticket of the alert, tell it of the turn, or close it."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def look(self, ticket: Ticket, *, now: datetime) -> Seen:
        """Return what became of a ticket. Raises `shared.errors`."""
        try:
            session = await self._instance.signed_in(now=now)
            found = await session.first(self.table, f"sys_id={ticket.ref}", fields=_FIELDS)
            decisions = await self._decisions(ticket, session)
        except NotTaken as error:
            raise Unavailable(str(error), next_step="Check the channel with a test.") from error
        if found is None:
            return Seen(state=TicketState.CLOSED, words="it was deleted")
        return Seen(state=self._state(found), words=f"state {found['state']}", decisions=decisions)

    async def _decisions(self, ticket: Ticket, session: Session) -> tuple[Decision, ...]:  # noqa: ARG002 - incidents are decided by nobody
        return ()

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        session = await self._instance.signed_in(now=now)
        found = await session.first(self.table, f"correlation_id={notice.alert_id}", fields=_FIELDS)
        if found is None:
            if notice.turn is Turn.RESOLVED:
                return Delivered(answer="There is no ticket to close.")
            found = await self._create(notice, session)
            if notice.turn is Turn.TEST:
                found = await self._update(notice, found, session)
        elif _told(found) < notice.number:
            found = await self._update(notice, found, session)
        return Delivered(answer=str(found["number"]), progress=Progress(ticket=self._ticket(found)))

    async def _create(self, notice: Notice, session: Session) -> dict[str, Any]:
        item = await item_of(notice, session) if self._options.certificate_items else None
        values = {
            "short_description": short(notice, most=_MOST_SUMMARY),
            "description": plain(notice),
            "urgency": _URGENCY[notice.severity],
            "impact": _URGENCY[notice.severity],
            "correlation_id": notice.alert_id,
            "correlation_display": f"{_DISPLAY}{notice.number}",
            **({"cmdb_ci": item} if item else {}),
            **self.opening,
            **self._options.opening,
        }
        return await session.create(self.table, values)

    async def _update(self, notice: Notice, found: Mapping[str, Any], session: Session) -> dict[str, Any]:
        values = {
            "work_notes": f"{notice.title}\n\n{plain(notice)}\nNotice {notice.id}",
            "correlation_display": f"{_DISPLAY}{notice.number}",
        }
        if notice.turn in (Turn.RESOLVED, Turn.TEST):
            values |= {"close_notes": notice.headline, **self.closing, **self._options.closing}
        else:
            values |= {"urgency": _URGENCY[notice.severity], "impact": _URGENCY[notice.severity]}
            if self._state(found) is TicketState.CLOSED:
                values |= self.reopening
        return await session.change(self.table, str(found["sys_id"]), values)

    def _state(self, found: Mapping[str, Any]) -> TicketState:
        return TicketState.CLOSED if str(found["state"]) in self.closed else TicketState.OPEN

    def _ticket(self, found: Mapping[str, Any]) -> Ticket:
        ref = str(found["sys_id"])
        link = f"{self._instance.url}/nav_to.do?uri={self.table}.do?sys_id={ref}"
        return Ticket(key=str(found["number"]), ref=ref, link=link, state=self._state(found))


class ServiceNowIncident(_Tickets):
    """Incidents of an instance."""

    kind: ClassVar[str] = "servicenow-incident"
    summary: ClassVar[str] = "An incident in ServiceNow, closed when the problem was seen to be over."
    table: ClassVar[str] = "incident"
    closing: ClassVar[Columns] = {"state": "6", "close_code": "Solution provided"}
    reopening: ClassVar[Columns] = {"state": "2"}
    closed: ClassVar[frozenset[str]] = frozenset({"6", "7", "8"})
    """Resolved, closed, cancelled."""


class ServiceNowChange(_Tickets):
    """Change requests of an instance: what waits for approval is approved there."""

    kind: ClassVar[str] = "servicenow-change"
    summary: ClassVar[str] = "A change request in ServiceNow; decisions of its approvers can be passed on."
    table: ClassVar[str] = "change_request"
    opening: ClassVar[Columns] = {"type": "normal", "approval": "requested"}
    closing: ClassVar[Columns] = {"state": "3", "close_code": "successful"}
    reopening: ClassVar[Columns] = {"state": "-5"}
    closed: ClassVar[frozenset[str]] = frozenset({"3", "4"})
    """Closed, cancelled."""

    async def _decisions(self, ticket: Ticket, session: Session) -> tuple[Decision, ...]:
        fields = ("sys_id", "state", "approver.user_name", "comments")
        query = f"sysapproval={ticket.ref}^stateINapproved,rejected"
        found = await session.all("sysapproval_approver", query, fields=fields, most=_MOST_APPROVERS)
        return tuple(
            Decision(
                id=str(each["sys_id"]),
                is_granted=each["state"] == "approved",
                decided_by=str(each["approver.user_name"]),
                reason=f"{ticket.key}: {each.get('comments') or each['state']}",
            )
            for each in found
        )


def _told(found: Mapping[str, Any]) -> int:
    number = str(found.get("correlation_display") or "").removeprefix(_DISPLAY)
    return int(number) if number.isdecimal() else 0
