"""Systems that keep tickets, by their simulators."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from services.notifier.connectors.jira.issues import Jira as JiraChannel
from services.notifier.connectors.servicenow.event import ServiceNowEvent
from services.notifier.connectors.servicenow.ticket import ServiceNowChange, ServiceNowIncident
from tests.conformance.channels.bench import Arrived, Fixtures, OverHttp, Receiver, Row
from tests.servers.jira import PROJECT, TOKEN, USER, Jira
from tests.servers.servicenow import CLIENT, CLIENT_SECRET, PASSWORD, ServiceNow
from tests.servers.servicenow import USER as SERVICENOW_USER
from tests.servers.tls import LOOPBACK

AS_USER = ({"username": SERVICENOW_USER}, {"password": PASSWORD})
AS_CLIENT = ({"client_id": CLIENT}, {"client_secret": CLIENT_SECRET})


def servicenow(fixtures: Fixtures, directory: Path, **others: Any) -> ServiceNow:
    """Return an instance that is not started yet."""
    issued = fixtures("lab_ca").issue(*LOOPBACK)
    return ServiceNow(issued.server_context(directory / "servicenow"), **others)


def jira(fixtures: Fixtures, directory: Path, *, is_cloud: bool = True) -> Jira:
    """Return a site that is not started yet."""
    issued = fixtures("lab_ca").issue(*LOOPBACK)
    return Jira(issued.server_context(directory / "jira"), is_cloud=is_cloud)


def jira_options(site: Jira) -> dict[str, Any]:
    """Return the options of a channel to a site."""
    options = {"url": site.url, "project": PROJECT}
    return {**options, "username": USER} if site.is_cloud else {**options, "edition": "data-center"}


@contextmanager
def _servicenow(
    kind: str, login: tuple[dict[str, Any], dict[str, str]], fixtures: Fixtures, directory: Path
) -> Iterator[Receiver]:
    instance = servicenow(fixtures, directory)

    def written() -> list[Arrived]:
        return [Arrived(id=f"{each.number} {each.turn}", text=each.text) for each in instance.written]

    def events() -> list[Arrived]:
        return [
            Arrived(
                id=f"{each['message_key']} {each['severity']}",
                text=f"{each['resource']} {each['description']}",
            )
            for each in instance.events
        ]

    options, secrets = login
    receiver = OverHttp(
        kind,
        instance.api,
        fixtures("lab_ca_pem").read_text(),
        events if kind == "servicenow-event" else written,
        given={"url": instance.url, **options},
        shared=secrets,
    )
    receiver.start()
    yield receiver
    receiver.stop()


@contextmanager
def _jira(*, is_cloud: bool, fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    site = jira(fixtures, directory, is_cloud=is_cloud)

    def written() -> list[Arrived]:
        return [Arrived(id=f"{key} {_notice_of(text)}", text=text) for key, text in site.written]

    ca_pem = fixtures("lab_ca_pem").read_text()
    receiver = OverHttp("jira", site.api, ca_pem, written, given=jira_options(site), shared={"token": TOKEN})
    receiver.start()
    yield receiver
    receiver.stop()


def _notice_of(text: str) -> str:
    return text.rsplit("Everleaf notice ", 1)[1].strip()


ROWS = {
    "servicenow-incident": Row(
        kind=ServiceNowIncident, open=partial(_servicenow, "servicenow-incident", AS_USER)
    ),
    "servicenow-change": Row(
        kind=ServiceNowChange, open=partial(_servicenow, "servicenow-change", AS_CLIENT)
    ),
    "servicenow-event": Row(kind=ServiceNowEvent, open=partial(_servicenow, "servicenow-event", AS_CLIENT)),
    "jira-cloud": Row(
        kind=JiraChannel,
        open=lambda fixtures, directory: _jira(is_cloud=True, fixtures=fixtures, directory=directory),
    ),
    "jira-data-center": Row(
        kind=JiraChannel,
        open=lambda fixtures, directory: _jira(is_cloud=False, fixtures=fixtures, directory=directory),
    ),
}
