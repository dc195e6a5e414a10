"""What callers with groups learn of names and places that are in no group."""

import pytest

from services.discovery import store
from services.discovery.actions.explanations import Explanations
from services.discovery.actions.transparency import CtLogs, NewLog
from shared.access import Principal
from shared.clock import utc_now
from shared.store import Database
from tests.discovery.lookout import CALLER, bounds, new, scans_on, work_off
from tests.servers.processes import free_port

WEB = Principal(id="ada", name="ada", groups=frozenset({"web"}))
MAIL = Principal(id="bob", name="bob", groups=frozenset({"mail"}))


@pytest.fixture
async def known(database: Database) -> Database:
    """Names that logs and a source have told of; one log is read for the web, one for mail."""
    now = utc_now()
    for caller, suffix in ((WEB, "shop.test"), (MAIL, "mail.test")):
        log = NewLog(url=f"https://log.example.org/{suffix}", public_key=None, suffixes=[suffix], start="now")
        await CtLogs(database).create(log, caller=caller, now=now)
    told = {
        "transparency": ["www.shop.test", "mx.mail.test", "odd.test"],
        "configuration": ["admin.shop.test"],
    }
    async with database.transaction() as tx:
        for origin, names in told.items():
            pairs = [(name, "127.0.0.1") for name in names]
            await store.remember_names(tx, pairs, origin=origin, now=now)
    return database


async def test_names_are_those_of_the_logs_that_are_read_for_the_callers_groups(known: Database) -> None:
    for caller, under, names in (
        (CALLER, "test", ["admin.shop.test", "mx.mail.test", "odd.test", "www.shop.test"]),
        (WEB, "test", ["www.shop.test"]),
        (WEB, "shop.test", ["www.shop.test"]),
        (WEB, "www.shop.test", ["www.shop.test"]),
        (WEB, "mail.test", []),
        (MAIL, "test", ["mx.mail.test"]),
    ):
        rows = await CtLogs(known).names(under=under, after=None, limit=10, caller=caller)
        assert [row.name for row in rows] == names, (caller.name, under)


async def test_a_scan_of_a_group_asks_for_no_name_that_only_a_login_has_told(known: Database) -> None:
    scans = scans_on(known)
    for caller, asked in ((WEB, {"www.shop.test"}), (CALLER, {"www.shop.test", "admin.shop.test"})):
        scan = await scans.create(new("*.shop.test", ports=str(free_port())), caller=caller, now=utc_now())
        await work_off(known)
        results = await scans.results(scan.id, outcome=None, after=None, limit=10, caller=CALLER)
        assert {row.server_name for row in results} == asked


async def test_an_explanation_goes_by_the_scans_that_the_caller_sees(known: Database) -> None:
    port = free_port()
    await scans_on(known).create(new("127.0.0.1", ports=str(port)), caller=WEB, now=utc_now())
    await work_off(known)
    explanations = Explanations(known, bounds=bounds())

    async def verdict(caller: Principal) -> str:
        [told] = await explanations.of(f"127.0.0.1:{port}", server_name=None, caller=caller)
        return told.verdict

    assert [await verdict(caller) for caller in (WEB, CALLER, MAIL)] == ["looked", "looked", "never_asked"]
