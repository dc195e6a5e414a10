"""Reports that are mailed again and again are made, changed and ended in the portal."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.platforms import Platform, accepted, items, until
from tests.portal.visits import add, choose, done, opened, text, visit
from tests.servers.smtp import Smtp
from tests.servers.tls import LOOPBACK, CertificateAuthority


@pytest.fixture
def smtp(tmp_path: Path, lab_ca: CertificateAuthority, lab_ca_pem: Path) -> Iterator[Smtp]:
    """A mail server in a thread of its own: the browser's loop runs in this one."""
    started = Smtp(context=lab_ca.issue(*LOOPBACK).server_context(tmp_path / "smtp"), ca_pem=lab_ca_pem)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def client(platform: Platform, smtp: Smtp) -> Iterator[httpx.Client]:
    """The platform's APIs; a channel that is mail is known as long as its server runs."""
    options = {
        "host": smtp.host,
        "port": smtp.port,
        "username": smtp.user,
        "from": "everleaf@example.test",
        "to": ["operations@example.test"],
        "ca_pem": smtp.ca_pem.read_text(),
    }
    body = {"name": "post", "kind": "email", "options": options, "secrets": {"password": smtp.password}}
    with platform.client() as opened_client:
        made = accepted(opened_client.post("/notifier/v1/channels", json=body))
        yield opened_client
        assert opened_client.delete(f"/notifier/v1/channels/{made['id']}").is_success


def test_a_mailed_report_is_changed_sent_to_whom_it_is_for_now_and_ended(
    page: Page, platform: Platform, client: httpx.Client, smtp: Smtp
):
    visit(page, platform, "/reports")
    form = opened(page, "Mail one again and again")
    text(form, "Name").fill("weekly")
    choose(form, "Report", "expiring")
    text(form, "Cron").fill("0 7 * * 1")
    choose(form, "Channel ID", "post")
    add(form, "Recipients", "first@example.test")
    done(form, "Mail one again and again")
    row = page.get_by_role("row").filter(has_text="weekly")
    expect(row).to_contain_text("0 7 * * 1")

    form = opened(row, "Change")
    expect(text(form, "Cron")).to_have_value("0 7 * * 1")
    text(form, "Cron").fill("30 6 * * 2")
    choose(form, "Format", "csv")
    text(form, "Recipients").press("Backspace")
    add(form, "Recipients", "second@example.test")
    done(form, "Change")
    expect(row).to_contain_text("30 6 * * 2")
    [now] = items(client, "/notifier/v1/report-schedules", name="weekly")
    assert (now["cron"], now["format"], now["recipients"]) == ("30 6 * * 2", "csv", ["second@example.test"])

    done(opened(row, "Send now"), "Send now")
    until(lambda: smtp.inbox, what="the report")
    [mail] = smtp.inbox
    assert mail.recipients == ("second@example.test",)
    [attached] = list(mail.message.iter_attachments())
    assert attached.get_content_type() == "text/csv"
    done(opened(row, "Remove"), "Remove")
    expect(row).to_have_count(0)
    assert items(client, "/notifier/v1/report-schedules", name="weekly") == []
