"""What every kind of source does, against a real system or a simulator of one: `tests/discovery/workshops`."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.discovery.connectors import Access, Limits
from services.discovery.connectors.registry import SOURCES, readable_kind, source_kind
from services.discovery.domain.holdings import Gap, Holding, Page, is_hidden
from shared import x509
from shared.errors import EverleafError, Refused, Unavailable
from tests.discovery.workshops import Workshop, access_to, credential_of, workshop_of

KINDS = [source.kind for source in SOURCES]
SHORT = Limits(connect=timedelta(seconds=2), command=timedelta(seconds=2))


@pytest.fixture(params=KINDS)
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    """Each kind's system, running."""
    async with workshop_of(request.param, tmp_path) as opened:
        yield opened


async def pages(access: Access, kind: str, *, after: str | None = None) -> list[Page]:
    async with readable_kind(kind).open(access) as source, aclosing(source.read(after=after)) as found:
        return [page async for page in found]


async def holdings(shop: Workshop, *, after: str | None = None) -> tuple[list[Holding], list[Gap]]:
    found = await pages(access_to(shop), shop.kind, after=after)
    return [each for page in found for each in page.holdings], [each for page in found for each in page.gaps]


def fingerprints(found: list[Holding]) -> dict[str, str]:
    return {each.path: x509.fingerprint(each.chain[0]) for each in found}


def secrets_of(document: Any) -> Iterator[str]:
    """Every text in a credential that is long enough to be looked for."""
    for value in document.values() if isinstance(document, dict) else document:
        if isinstance(value, dict | list):
            yield from secrets_of(value)
        elif isinstance(value, str) and len(value) > 7:
            yield value


async def test_every_certificate_is_listed_once_over_more_than_one_page(shop: Workshop):
    put = await asyncio.to_thread(shop.put, 120)
    found, gaps = await holdings(shop)
    assert gaps == []
    assert len(found) == len(fingerprints(found))
    assert put.items() <= fingerprints(found).items()


async def test_reading_goes_on_after_any_page(shop: Workshop):
    await asyncio.to_thread(shop.put, 120)
    whole = await pages(access_to(shop), shop.kind)
    assert len(whole) > 1
    assert [page.position for page in whole].index(None) == len(whole) - 1
    for at, page in enumerate(whole[:-1]):
        rest, _ = await holdings(shop, after=page.position)
        assert fingerprints(rest) == fingerprints(
            [each for page in whole[at + 1 :] for each in page.holdings]
        )


async def test_looking_changes_nothing(shop: Workshop):
    await asyncio.to_thread(shop.put, 3)
    before = await asyncio.to_thread(shop.state)
    async with readable_kind(shop.kind).open(access_to(shop)) as source:
        assert all(check.ok for check in await source.check())
    await holdings(shop)
    assert await asyncio.to_thread(shop.state) == before


async def test_a_wrong_credential_is_refused_with_what_to_do_and_is_not_repeated(shop: Workshop):
    await asyncio.to_thread(shop.put, 1)
    access = access_to(shop, credential=credential_of(shop, shop.wrong_credential))
    with pytest.raises(Refused) as refused:
        await pages(access, shop.kind)
    assert refused.value.next_step
    told = f"{refused.value!r} {refused.value} {access!r} {access.credential!r}"
    assert [secret for secret in secrets_of(dict(shop.wrong_credential)) if secret in told] == []


async def test_what_the_login_may_not_read_is_a_gap_and_the_rest_is_listed(shop: Workshop):
    put = await asyncio.to_thread(shop.put, 3)
    hidden = await asyncio.to_thread(shop.forbid)
    found, gaps = await holdings(shop)
    assert gaps
    assert all(gap.reason and gap.next_step for gap in gaps)
    unknown = [path for path in hidden if not is_hidden(path, is_used=False, gaps=gaps)]
    assert unknown == []
    assert {path for path in put if path not in hidden} <= {each.path for each in found}


async def test_a_permission_gap_is_told_by_trying_it_too(shop: Workshop):
    await asyncio.to_thread(shop.put, 3)
    await asyncio.to_thread(shop.forbid)
    async with readable_kind(shop.kind).open(access_to(shop)) as source:
        assert not all(check.ok for check in await source.check())


async def test_what_does_not_answer_costs_a_time_out(shop: Workshop):
    await asyncio.to_thread(shop.put, 1)
    await asyncio.to_thread(shop.stall)
    start = time.monotonic()
    with pytest.raises(Unavailable):
        await pages(access_to(shop, limits=SHORT), shop.kind)
    assert time.monotonic() - start < 30


async def test_what_is_not_there_is_unavailable(shop: Workshop):
    await asyncio.to_thread(shop.stop)
    with pytest.raises(Unavailable):
        await pages(access_to(shop, limits=SHORT), shop.kind)


async def test_settings_that_make_no_sense_are_refused_before_anything_is_tried(shop: Workshop):
    kind = source_kind(shop.kind)
    for settings in ({}, {**shop.settings, "no_such_setting": 1}):
        with pytest.raises((ValueError, EverleafError)):
            kind.settings_type.model_validate(settings)


async def test_no_private_key_is_in_what_is_told(shop: Workshop):
    await asyncio.to_thread(shop.put, 3)
    found, gaps = await holdings(shop)
    told = json.dumps([repr(each) for each in (*found, *gaps)])
    assert "PRIVATE KEY" not in told
    assert [secret for secret in secrets_of(dict(shop.credential)) if secret in told] == []
