"""Events that a service has given up are seen, tried again and thrown away in the portal."""

from collections.abc import Iterator

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page, expect

from shared.bus import Message
from shared.bus.sqlite import SqliteBus
from shared.ids import new_id
from tests.journeys.platforms import SERVICES, Json, Platform, accepted, until
from tests.portal.visits import done, in_light_and_dark, opened, visit

PATH = "/dead-letters"


async def _publish(platform: Platform, message: Message) -> None:
    bus = SqliteBus(platform.data / "bus.db")
    await bus.publish([message])
    await bus.close()


@pytest.fixture
def letter(platform: Platform, client: httpx.Client) -> Iterator[str]:
    """An event that nobody can read, which renewal and others have given up."""
    message = Message(id=new_id(), type="certificate.expiring", body=b'{"colour": "red"}')
    # In a thread of its own: the browser's loop runs in this one.
    with start_blocking_portal() as portal:
        portal.call(_publish, platform, message)
    until(lambda: _letter(client, message.id), what="its death")
    yield message.id
    for service in SERVICES:
        accepted(client.post(f"/{service}/v1/dead-letters/discard", json={"ids": [message.id]}))


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    """The platform's APIs, asked by an administrator."""
    with platform.client() as opened_client:
        yield opened_client


def _letter(client: httpx.Client, id_: str) -> Json | None:
    letters = accepted(client.get("/renewal/v1/dead-letters"))["items"]
    return next((each for each in letters if each["id"] == id_), None)


def test_a_dead_letter_is_read_tried_again_and_thrown_away(
    page: Page, platform: Platform, client: httpx.Client, letter: str, axe: str
):
    died = (_letter(client, letter) or {})["died_at"]
    visit(page, platform, PATH)
    letters = page.get_by_role("region", name="renewal", exact=True)
    row = letters.get_by_role("row").filter(has_text="certificate.expiring")
    row.get_by_text("all of it, and the event").click()
    expect(row.get_by_text('{"colour": "red"}')).to_be_visible()
    assert in_light_and_dark(page, axe) == []

    row.get_by_role("checkbox").check()
    done(opened(letters, "Try again"), "Try again")
    until(
        lambda: (again := _letter(client, letter)) is not None and again["died_at"] > died,
        what="its second death",
    )
    expect(letters.get_by_role("button", name="Throw away")).to_have_count(0)
    visit(page, platform, PATH)
    row.get_by_role("checkbox").check()
    done(opened(letters, "Throw away"), "Throw away")
    expect(letters.get_by_text("all that renewal was told of is worked off")).to_be_visible()
    assert _letter(client, letter) is None


def test_all_services_try_again_at_once_what_they_have_given_up(
    page: Page, platform: Platform, client: httpx.Client, letter: str
):
    died = (_letter(client, letter) or {})["died_at"]
    visit(page, platform, PATH)
    done(opened(page, "Try all again"), "Try all again")
    until(
        lambda: (again := _letter(client, letter)) is not None and again["died_at"] > died,
        what="its second death",
    )
