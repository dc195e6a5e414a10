"""What a Microsoft CA has issued is read from certutil's answers, whatever their language and line breaks."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors.adcs import Adcs, _read
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.errors import Unavailable
from tests.discovery.connectors.devices import access, read
from tests.servers.windows import PASSWORD, USER, Request, WindowsHost


@pytest.fixture
async def host() -> AsyncIterator[WindowsHost]:
    opened = WindowsHost()
    await opened.start()
    yield opened
    await opened.close()


def at(host: WindowsHost, **settings: Any) -> Any:
    where = {"host": "127.0.0.1", "port": host.port, "username": USER, "host_key": host.host_key, **settings}
    return access(Adcs, settings=where, credential={"password": PASSWORD})


async def read_all(host: WindowsHost, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    return await read(Adcs, at(host, **settings))


def issue(host: WindowsHost, number: int, *, ended: bool = False, disposition: int = 20) -> bytes:
    now = datetime.now(UTC)
    end = now - timedelta(minutes=1) if ended else None
    der = host.authority.issue(f"r{number}.test", not_after=end).certificate.public_bytes(Encoding.DER)
    host.state.requests.append(Request(id=number, der=der, disposition=disposition))
    return der


@pytest.mark.parametrize("wraps", [True, False])
async def test_what_was_issued_is_listed_and_what_was_revoked_failed_or_expired_is_not(
    host: WindowsHost, wraps: bool
):
    host.state.wraps = wraps
    der = issue(host, 2)
    issue(host, 3, disposition=21)
    issue(host, 4, ended=True)
    host.state.requests.append(Request(id=5, disposition=30))
    found, gaps = await read_all(host)
    assert gaps == []
    assert {path: each.chain for path, each in found.items()} == {"issued/2": (der,)}
    assert (found["issued/2"].in_use, found["issued/2"].key, found["issued/2"].format) == (None, None, "adcs")
    assert set((await read_all(host, expired=True))[0]) == {"issued/2", "issued/4"}


async def test_reading_goes_on_after_a_number_and_asks_the_ca_for_nothing_before_it(host: WindowsHost):
    for number in range(1, 251):
        host.state.requests.append(Request(id=number * 7, der=b"") if number % 2 else Request(id=number * 7))
    issue(host, 2000)
    async with Adcs.open(at(host, expired=True)) as source, aclosing(source.read(after="1750")) as pages:
        found = [page async for page in pages]
    assert [each.path for page in found for each in page.holdings] == ["issued/2000"]
    assert [asked["restrict"] for asked in host.asked] == ["+RequestID>1750,Disposition=20"]


async def test_many_are_read_in_pieces_of_certutils_answer(
    host: WindowsHost, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.discovery.connectors.adcs._LINES", 50)
    ders = {f"issued/{number}": issue(host, number) for number in range(1, 13)}
    async with Adcs.open(at(host)) as source, aclosing(source.read(after=None)) as read_pages:
        pages: list[Page] = [page async for page in read_pages]
    assert {each.path: each.chain[0] for page in pages for each in page.holdings} == ders
    assert len(host.asked) == 3
    assert [page.position for page in pages].index(None) == len(pages) - 1


async def test_one_that_is_longer_than_an_answer_ends_reading_with_a_gap(
    host: WindowsHost, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.discovery.connectors.adcs._LINES", 5)
    issue(host, 1)
    found, gaps = await read_all(host)
    assert (found, [gap.scope for gap in gaps]) == ({}, ["issued"])


async def test_a_database_that_may_not_be_read_is_a_gap_that_names_the_right(host: WindowsHost):
    host.state.refuses_database = True
    found, gaps = await read_all(host)
    assert found == {}
    assert [gap.scope for gap in gaps] == ["issued"]
    assert "Read" in gaps[0].next_step


async def test_a_ca_that_does_not_run_is_unavailable(host: WindowsHost, monkeypatch: pytest.MonkeyPatch):
    text = "CertUtil: -view command FAILED: 0x800706ba (WIN32: 1722 RPC_S_SERVER_UNAVAILABLE)"
    monkeypatch.setattr(host, "_issued", lambda _: {"Text": text, "Count": 1, "Status": -2147023174})
    with pytest.raises(Unavailable, match="0x800706ba"):
        await read_all(host)


async def test_a_certificate_that_cannot_be_parsed_is_a_gap_of_its_own(host: WindowsHost):
    der = issue(host, 1)
    host.state.requests.append(Request(id=2, der=b"\x30\x00"))
    found, gaps = await read_all(host, expired=True)
    assert x509.fingerprint(found["issued/1"].chain[0]) == x509.fingerprint(der)
    assert [gap.scope for gap in gaps] == ["issued/2"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ('"Request ID","Binary Certificate"', []),
        ('"2","MAA="\n"3","MAA="', [2, 3]),
        ('"0x2 (2)","MAA="', [2]),
        ("2,MAA=", [2]),
        ('"3","MAA="\n"2","MAA="\n"3","MAA="', [3]),  # out of order, and again
        ('"99999999999999","MAA="\n"-1","MAA="\n"x","MAA="\n"2"', []),
        ('"2","MAA=\n"3","MAA="', [2]),
        ('"2","\x00\ufffd"', [2]),
        ('"\u0662","MAA="', []),
    ],
)
def test_rows_are_read_by_their_numbers_each_once(text: str, numbers: list[int]):
    assert [row.number for row in _read(text, after=1, is_cut=False)] == numbers
