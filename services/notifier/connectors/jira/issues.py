"""Issues in Jira: opened, commented on and closed with an alert, and what people decide in them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import Delivered, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.jira.site import Site, authorization
from services.notifier.connectors.jira.text import document, identity, wiki
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, NotTaken, outcome
from services.notifier.connectors.words import short
from services.notifier.domain.notices import Notice, Turn
from services.notifier.domain.tickets import Decision, Seen, Ticket, TicketState
from shared.errors import Fault, Invalid, Unavailable

_MOST_SUMMARY = 255
_FIELDS = "status,description"
_DONE = "done"
"""The category of statuses in which nobody works on an issue any more."""

Name = str


class Options(Paced):
    """A Jira, and what is made of alerts there."""

    url: Url = Field(examples=["https://example.atlassian.net"])
    edition: Literal["cloud", "data-center"] = "cloud"
    username: str | None = Field(None, min_length=1, max_length=300, examples=["everleaf@example.test"])
    """For the cloud: the address of the account whose token it is."""
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,30}$", examples=["OPS"])
    issue_type: str = Field("Task", min_length=1, max_length=100)
    fields: dict[str, Any] = Field(default_factory=dict, max_length=50)
    """Further fields of a new issue, as the API takes them: a priority, components."""
    done: list[Name] = Field(["Done", "Resolved", "Closed"], min_length=1, max_length=10)
    """Transitions, or the statuses they lead to: the first that there is closes an issue."""
    reopened: list[Name] = Field(["Reopen", "To Do", "Open", "Backlog"], min_length=1, max_length=10)
    approved: list[Name] = Field(["Approved"], max_length=10)
    """Statuses that say that somebody has approved."""
    declined: list[Name] = Field(["Declined", "Rejected"], max_length=10)
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """An API token of the cloud, or a personal access token of the data centre."""

    token: SecretStr = Field(min_length=1, max_length=1000)


class Jira:
    """A project in Jira."""

    kind: ClassVar[str] = "jira"
    summary: ClassVar[str] = "An issue in Jira, closed when the problem was seen to be over."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "username", "edition", "ca_pem"})

    def __init__(self, options: Options, *, api: Api) -> None:
        self._options = options
        self._api = api
        self._is_cloud = options.edition == "cloud"

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the edition has another login."""
        if (options.username is None) == (options.edition == "cloud"):
            raise Invalid(
                "The cloud wants a user name with the token, the data centre the token alone.",
                next_step="Send options.username for the cloud, and leave it out for a data centre.",
                faults=[Fault(pointer="/body/options/username", message="does not fit options.edition")],
            )
        tls = trusting(options.ca_pem, otherwise=network.tls)
        token = secrets.token.get_secret_value()
        headers = {
            "Authorization": authorization(username=options.username, token=token),
            "Accept": "application/json",
        }
        return cls(options, api=Api(name="Jira", network=network, tls=tls, headers=headers))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Open the issue of the alert, comment on it, or close it."""
        return await outcome(self._send(notice, progress=progress, now=now), progress=progress)

    async def look(self, ticket: Ticket, *, now: datetime) -> Seen:
        """Return what became of an issue. Raises `shared.errors`."""
        try:
            found = await self._site(now).issue(ticket.key, fields="status", expand="changelog")
        except NotTaken as error:
            raise Unavailable(str(error), next_step="Check the channel with a test.") from error
        if found is None:
            return Seen(state=TicketState.CLOSED, words="it was deleted")
        words = str(found["fields"]["status"]["name"])
        return Seen(state=_state(found), words=words, decisions=tuple(self._decisions(found)))

    def _site(self, now: datetime) -> Site:
        return Site(url=self._options.url.rstrip("/"), is_cloud=self._is_cloud, api=self._api, now=now)

    async def _send(self, notice: Notice, *, progress: Progress, now: datetime) -> Delivered:
        site = self._site(now)
        found = await self._found(notice, ticket=progress.ticket, site=site)
        if found is None:
            if notice.turn is Turn.RESOLVED:
                return Delivered(answer="There is no issue to close.")
            key = str((await site.create(self._fields(notice)))["key"])
            state = TicketState.OPEN
        else:
            key, state = str(found["key"]), _state(found)
            if not await self._is_told(notice, found, site=site):
                await site.comment(key, self._text(notice))
        state = await self._moved(notice, key, state=state, site=site)
        return Delivered(answer=key, progress=Progress(ticket=self._ticket(key, state)))

    async def _is_told(self, notice: Notice, found: Mapping[str, Any], *, site: Site) -> bool:
        """Return whether the issue was opened with this turn, or is commented on with it."""
        told = identity(notice)
        return told in str(found["fields"].get("description")) or await site.has_comment(found["key"], told)

    async def _found(self, notice: Notice, *, ticket: Ticket | None, site: Site) -> dict[str, Any] | None:
        if ticket is not None and (found := await site.issue(ticket.key, fields=_FIELDS)) is not None:
            return found
        jql = f'project = "{self._options.project}" AND labels = "{_label(notice)}" ORDER BY created'
        return next(iter(await site.search(jql, fields=_FIELDS.split(","))), None)

    async def _moved(self, notice: Notice, key: str, *, state: TicketState, site: Site) -> TicketState:
        wanted = TicketState.CLOSED if notice.turn in (Turn.RESOLVED, Turn.TEST) else TicketState.OPEN
        if state is not wanted:
            closes = wanted is TicketState.CLOSED
            await site.move(key, self._options.done if closes else self._options.reopened)
        return wanted

    def _fields(self, notice: Notice) -> dict[str, Any]:
        return {
            "project": {"key": self._options.project},
            "issuetype": {"name": self._options.issue_type},
            "summary": short(notice, most=_MOST_SUMMARY),
            "description": self._text(notice),
            "labels": ["everleaf", _label(notice)],
            **self._options.fields,
        }

    def _text(self, notice: Notice) -> Any:
        return document(notice) if self._is_cloud else wiki(notice)

    def _ticket(self, key: str, state: TicketState) -> Ticket:
        link = f"{self._options.url.rstrip('/')}/browse/{key}"
        return Ticket(key=key, ref=key, link=link, state=state)

    def _decisions(self, found: Mapping[str, Any]) -> Iterator[Decision]:
        approved = {each.casefold() for each in self._options.approved}
        declined = {each.casefold() for each in self._options.declined}
        for history in found.get("changelog", {}).get("histories", ()):
            for item in history["items"]:
                status = str(item.get("toString") or "").casefold()
                if item.get("field") == "status" and status in approved | declined:
                    yield Decision(
                        id=str(history["id"]),
                        is_granted=status in approved,
                        decided_by=self._author(history),
                        reason=f"{found['key']}: {item['toString']}",
                    )

    def _author(self, history: Mapping[str, Any]) -> str:
        # The cloud shows addresses to nobody whom people have not let see them: accounts it is.
        author = history.get("author") or {}
        return str(author.get("accountId" if self._is_cloud else "name") or "")


def _state(found: Mapping[str, Any]) -> TicketState:
    category = found["fields"]["status"]["statusCategory"]["key"]
    return TicketState.CLOSED if category == _DONE else TicketState.OPEN


def _label(notice: Notice) -> str:
    return f"everleaf-{notice.alert_id}"
