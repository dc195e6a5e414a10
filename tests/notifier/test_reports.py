"""Reports over the five services: made of what they say, of what the reader may see, on demand and by mail."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pypdf
import pytest

from services.notifier.actions.report_schedules import ReportSchedules
from shared.clock import utc_now
from shared.events.inventory import LineagesGrouped
from shared.service import Worker
from tests.access.estate import OTHERS, OURS, Estate, Neighbours, running
from tests.access.makers import inventory, renewal
from tests.notifier.workshop import email_options
from tests.servers.smtp import Smtp

REPORTS = ("expiring", "compliance", "ownership", "renewals", "exceptions", "forecast")


@pytest.fixture(scope="module")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """Five services that ask one another, with a certificate and an order in each of two groups."""
    async with running(tmp_path_factory.mktemp("reports"), neighbours=Neighbours()) as opened:
        for group in (OURS, OTHERS):
            await inventory.certificate(opened, group)
            made = await renewal.order(opened, group)
            grouped = LineagesGrouped(group_id=group, joined=[made.ids["lineage_id"]])
            await opened.hear("notifier", "inventory", grouped)
        yield opened


async def ask(estate: Estate, *, groups: tuple[str, ...] = (), **query: Any) -> httpx.Response:
    """Ask for a report."""
    return await estate.ask(
        "notifier", "GET", "/v1/reports", groups=groups, permissions=["reports:read"], query=query
    )


async def table(
    estate: Estate, report: str, *, groups: tuple[str, ...] = (), **query: Any
) -> list[list[str]]:
    """Return the rows of a report as CSV."""
    answer = await ask(estate, groups=groups, report=report, format="csv", **query)
    assert answer.status_code == 200, answer.text
    text = answer.content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("report", REPORTS)
async def test_every_report_is_made_in_every_form(estate: Estate, report: str) -> None:
    page = await ask(estate, report=report, format="html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!DOCTYPE html>")
    printed = await ask(estate, report=report)
    assert printed.headers["content-type"] == "application/pdf"
    assert printed.headers["content-disposition"].startswith(f'attachment; filename="everleaf-{report}-')
    assert "page 1 of" in pypdf.PdfReader(io.BytesIO(printed.content)).pages[0].extract_text()
    assert await table(estate, report)


@pytest.mark.parametrize("report", ["expiring", "ownership"])
async def test_a_reader_sees_what_is_in_their_groups_and_nothing_else(estate: Estate, report: str) -> None:
    everything = {row[0] for row in await table(estate, report, days=120) if row}
    ours = {row[0] for row in await table(estate, report, days=120, groups=(OURS,)) if row}
    theirs = {row[0] for row in await table(estate, report, days=120, groups=(OTHERS,)) if row}
    assert any(name.startswith("web-") for name in ours)
    assert not any(name.startswith("mail-") for name in ours)
    assert not any(name.startswith("web-") for name in theirs)
    assert everything >= ours | theirs


async def test_orders_are_those_of_the_lineages_that_the_reader_sees(estate: Estate) -> None:
    def ordered(rows: list[list[str]]) -> int:
        return sum(1 for row in rows if row and row[0] == "www.estate.test")

    assert ordered(await table(estate, "renewals")) == 2
    assert ordered(await table(estate, "renewals", groups=(OURS,))) == 1
    assert ordered(await table(estate, "renewals", groups=("nobody",))) == 0


async def test_the_forecast_counts_what_the_reader_sees(estate: Estate) -> None:
    async def in_use(*groups: str) -> str:
        page = (await ask(estate, groups=groups, report="forecast", format="html")).text
        return page.split("</b>in use")[0].rsplit(">", 1)[1]

    assert await in_use() == "2"
    assert await in_use(OURS) == "1"
    assert await in_use("nobody") == "0"


@pytest.mark.parametrize("query", ["ca) or (current", "colour = red", "(", '" or "'])
async def test_a_query_that_is_none_is_refused_even_where_it_would_fit_beside_the_scope(
    estate: Estate, query: str
) -> None:
    answer = await ask(estate, groups=(OURS,), report="expiring", query=query)
    assert answer.status_code == 422, answer.text


async def test_a_query_narrows_a_report_and_is_named_in_it(estate: Estate) -> None:
    query = f"name under estate.test and group = {OTHERS}"
    rows = await table(estate, "expiring", days=120, query=query)
    assert all(row[0].startswith("mail-") for row in rows[1:])
    assert len(rows) == 2
    page = await ask(estate, report="expiring", format="html", query=query)
    assert f"query: {query}" in page.text


def schedules(estate: Estate) -> ReportSchedules:
    """Return what the worker of the notifier works on."""
    owners = [getattr(job, "__self__", None) for job in estate.services["notifier"].jobs]
    steps = [owner._step for owner in owners if isinstance(owner, Worker) and owner._name == "reports"]
    owner: ReportSchedules = steps[0].__self__  # type: ignore[attr-defined] # a bound method has one
    return owner


async def weekly(estate: Estate, smtp: Smtp, **other: Any) -> dict[str, Any]:
    """Let somebody of a group have a report mailed every Monday."""
    mail = {
        "name": "mail",
        "kind": "email",
        "options": email_options(smtp),
        "secrets": {"password": smtp.password},
    }
    channel = await estate.make("notifier", "/v1/channels", mail, group=OURS, permission="channels:write")
    body = {
        "name": "Monday",
        "report": "ownership",
        "format": "csv",
        "cron": "0 7 * * 1",
        "zone": "Europe/Berlin",
        "channel_id": channel["id"],
        **other,
    }
    return await estate.make("notifier", "/v1/report-schedules", body, group=OURS, permission="reports:write")


async def forget(estate: Estate, made: dict[str, Any]) -> None:
    """Take a schedule and its channel away."""
    for path, permission in (
        (f"/v1/report-schedules/{made['id']}", "reports:write"),
        (f"/v1/channels/{made['channel_id']}", "channels:write"),
    ):
        answer = await estate.ask("notifier", "DELETE", path, permissions=[permission])
        assert answer.status_code == 204, answer.text


async def shown(estate: Estate, made: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule as it is now."""
    path = f"/v1/report-schedules/{made['id']}"
    answer = await estate.ask("notifier", "GET", path, groups=[OURS], permissions=["reports:read"])
    return dict(answer.json())


async def test_a_report_is_mailed_on_its_day_to_its_readers_with_what_its_maker_sees(
    estate: Estate, smtp: Smtp
) -> None:
    made = await weekly(estate, smtp, recipients=["ciso@example.test"])
    assert made["scope"] == [OURS]
    work = schedules(estate)
    assert not await work.send_due(utc_now())
    monday = utc_now() + timedelta(days=7)
    assert await work.send_due(monday)
    assert not await work.send_due(monday), "once for each Monday"
    [mail] = smtp.inbox
    assert mail.recipients == ("ciso@example.test",)
    assert mail.message["subject"] == "[Everleaf] Ownership of certificates: Monday"
    [sheet] = mail.message.iter_attachments()
    assert (sheet.get_filename() or "").startswith("everleaf-ownership-")
    text = sheet.get_content()
    assert "web-" in text
    assert "mail-" not in text
    assert (await shown(estate, made))["last_error"] is None
    assert (await shown(estate, made))["last_sent_at"] is not None
    await smtp.quiet()
    await forget(estate, made)


async def test_what_cannot_be_mailed_is_tried_again_and_arrives_once_for_each_reader(
    estate: Estate, smtp: Smtp
) -> None:
    made = await weekly(estate, smtp, recipients=["a@example.test", "b@example.test"])
    work, now = schedules(estate), utc_now() + timedelta(days=7)
    smtp.refuse("b@example.test", "451 4.3.0 try later")
    assert await work.send_due(now)
    assert "451" in (await shown(estate, made))["last_error"]
    assert not await work.send_due(now + timedelta(seconds=59))
    smtp.accept("b@example.test")
    assert await work.send_due(now + timedelta(seconds=61))
    assert [mail.recipients for mail in smtp.inbox] == [("a@example.test",), ("b@example.test",)]
    assert len({mail.message["message-id"] for mail in smtp.inbox}) == 1, "the same letter"
    await smtp.quiet()
    await forget(estate, made)


async def test_the_next_one_can_be_asked_for_at_once(estate: Estate, smtp: Smtp) -> None:
    made = await weekly(estate, smtp, format="pdf")
    path = f"/v1/report-schedules/{made['id']}/send"
    answer = await estate.ask("notifier", "POST", path, groups=[OURS], permissions=["reports:write"])
    assert answer.status_code == 202
    assert await schedules(estate).send_due(utc_now())
    [mail] = smtp.inbox
    assert mail.recipients == ("operators@example.test",)
    [attached] = mail.message.iter_attachments()
    assert attached.get_content().startswith(b"%PDF-")
    await smtp.quiet()
    await forget(estate, made)


async def test_a_schedule_that_is_changed_shows_from_then_on_what_whoever_changed_it_sees(
    estate: Estate, smtp: Smtp
) -> None:
    made = await weekly(estate, smtp, groups=[OURS], query="owner = payments")
    path = f"/v1/report-schedules/{made['id']}"

    async def change(body: dict[str, Any], *, groups: list[str]) -> Any:
        permissions = ["reports:write", "reports:read"]
        return await estate.ask("notifier", "PATCH", path, body=body, groups=groups, permissions=permissions)

    wider = await change({"cron": "0 7 1 * *", "query": None, "name": "Monthly"}, groups=[])
    assert wider.status_code == 200, wider.text
    told = wider.json()
    assert (told["name"], told["query"], told["scope"]) == ("Monthly", None, None)
    assert datetime.fromisoformat(told["next_at"]).day in (28, 29, 30, 31, 1), (
        "the first of a month in Berlin"
    )
    back = await change({"recipients": ["me@example.test"]}, groups=[OURS])
    assert back.json()["scope"] == [OURS], "who is limited to groups sends nobody more than that"
    assert back.json()["next_at"] == told["next_at"]
    wrong = await change({"cron": "never"}, groups=[OURS])
    assert [each["pointer"] for each in wrong.json()["errors"]] == ["/body/cron"]
    assert (await change({}, groups=[OURS])).status_code == 422
    assert (await shown(estate, made))["recipients"] == ["me@example.test"]
    await smtp.quiet()
    await forget(estate, made)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"cron": "every monday"}, "/body/cron"),
        ({"cron": "0 7 30 2 *"}, "/body/cron"),
        ({"zone": "Europe/Atlantis"}, "/body/zone"),
        ({"channel_id": "0"}, "/body/channel_id"),
        ({"recipients": ["a@b.test>\r\nBcc: c@d.test"]}, "/body/recipients/0"),
    ],
)
async def test_a_schedule_that_cannot_be_kept_is_refused(
    estate: Estate, smtp: Smtp, wrong: dict[str, Any], pointer: str
) -> None:
    made = await weekly(estate, smtp)
    body = {"name": "x", "report": "expiring", "cron": "0 7 * * 1", "channel_id": made["channel_id"], **wrong}
    answer = await estate.ask(
        "notifier", "POST", "/v1/report-schedules", permissions=["reports:write"], body=body
    )
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    await forget(estate, made)
