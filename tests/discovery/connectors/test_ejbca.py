"""What the CAs of an EJBCA issued, as its REST API gives it (a simulator with real client certificates)."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.discovery.connectors import Access, ejbca
from services.discovery.connectors.ejbca import Ejbca
from services.discovery.connectors.registry import source_kind
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.errors import Refused, Unavailable
from tests.discovery.workshops import access_to, credential_of
from tests.discovery.workshops.ejbca import NAMES, START, Searched, identity, path_of, workshop
from tests.servers.tls import CertificateAuthority

SECOND = timedelta(seconds=1)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Searched]:
    async with workshop(tmp_path, needs_certificate=False) as opened:
        assert isinstance(opened, Searched)
        yield opened


async def pages(access: Access, *, after: str | None = None) -> list[Page]:
    async with Ejbca.open(access) as source:
        return [page async for page in source.read(after=after)]


async def read(shop: Searched, **changes: Any) -> tuple[dict[str, Holding], list[Gap]]:
    found = await pages(access_to(shop, **changes))
    holdings = [holding for page in found for holding in page.holdings]
    held = {holding.path: holding for holding in holdings}
    assert len(held) == len(holdings)
    return held, [gap for page in found for gap in page.gaps]


def named(shop: Searched, *authorities: str) -> Mapping[str, Any]:
    settings = {**shop.settings, "authorities": list(authorities)}
    return {"settings": source_kind(shop.kind).settings_type.model_validate(settings)}


async def test_what_has_expired_or_was_revoked_is_not_told_and_the_rest_has_its_chain(shop: Searched):
    authority = shop.authorities[1]
    kept = authority.issue("kept.test", begins=START)
    authority.issue("expired.test", begins=START, lifetime=timedelta(hours=1))
    authority.revoke(authority.issue("revoked.test", begins=START))
    held, gaps = await read(shop)
    assert gaps == []
    [holding] = held.values()
    own = authority.own
    assert own._parent is not None
    assert holding.path == path_of(authority, kept)
    assert holding.path.startswith("Issuing%2FCA 2/issued/")
    assert holding.chain == tuple(
        x509.from_pem(pem.decode())[0] for pem in (kept.certificate_pem, own.pem, own._parent.pem)
    )
    assert (holding.address, holding.format, holding.in_use) == ("localhost", "issued", None)


async def test_a_burst_in_one_second_is_told_whole_and_one_too_large_is_a_gap(
    shop: Searched, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ejbca, "PER_PAGE", 4)
    monkeypatch.setattr(ejbca, "MOST_IN_A_SECOND", 10)
    authority = shop.authorities[0]
    put = {path_of(authority, authority.issue(f"{at}.test", begins=START)) for at in range(9)}
    put |= {path_of(authority, authority.issue(f"next{at}.test", begins=START + SECOND)) for at in range(5)}
    held, gaps = await read(shop)
    assert (held.keys() == put, gaps) == (True, [])
    for at in range(4):
        authority.issue(f"more{at}.test", begins=START)
    held, [gap] = await read(shop)
    assert (len(held), gap.scope, "more than 10" in gap.reason) == (10 + 5, "Issuing CA 1/issued", True)


async def test_nothing_is_skipped_where_some_are_revoked_and_issued_while_it_is_read(
    shop: Searched, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ejbca, "PER_PAGE", 4)
    authority = shop.authorities[0]
    made = [authority.issue(f"{at}.test", begins=START + 60 * at * SECOND) for at in range(20)]
    first = next(page for page in await pages(access_to(shop)) if page.holdings)
    seen = {holding.path for holding in first.holdings}
    assert 0 < len(seen) < 20
    for each in made:
        if path_of(authority, each) in seen:
            authority.revoke(each)
    late = authority.issue("late.test", begins=datetime.now(UTC).replace(microsecond=0))
    rest = await pages(access_to(shop), after=first.position)
    told = {holding.path for page in rest for holding in page.holdings}
    assert told == {path_of(authority, each) for each in (*made, late)} - seen


async def test_a_bearer_token_does_instead_of_a_certificate(shop: Searched):
    put = shop.put(2)
    shop.server.token = "eyJhbGciOiJub25lIn0.everleaf"
    held, _ = await read(shop, credential=credential_of(shop, {"token": shop.server.token}))
    assert held.keys() == put.keys()
    with pytest.raises(Refused, match="Authentication failed") as refused:
        await read(shop, credential=credential_of(shop, {"token": "an-old-token"}))
    assert "an-old-token" not in str(refused.value)


@pytest.mark.parametrize(
    ("row", "scope"),
    [
        ({"base64Cert": None}, "own"),
        ({"base64Cert": "TUlJ"}, "own"),
        ({"base64Cert": "%%%"}, "own"),
        ({"base64Cert": 7}, "own"),
        ({"serialNumber": None}, "Issuing CA 1/issued"),
        ({"serialNumber": "../x"}, "Issuing CA 1/issued"),
    ],
)
async def test_one_that_cannot_be_taken_over_is_a_gap_and_the_rest_is_told(
    shop: Searched, row: Mapping[str, Any], scope: str
):
    put = list(shop.put(3))
    shop.authorities[0].rows[0].update(row)
    held, [gap] = await read(shop)
    assert held.keys() == {put[1], put[2]}
    assert gap.scope == (put[0] if scope == "own" else scope)


async def test_a_ca_that_is_not_there_for_the_login_is_a_gap_and_others_are_named_when_trying(shop: Searched):
    put = shop.put(2)
    changes = named(shop, "Gone", NAMES[0])
    held, [gap] = await read(shop, **changes)
    assert held.keys() == {path for path in put if path.startswith(NAMES[0])}
    assert (gap.scope, "Gone" in gap.next_step) == ("Gone/issued", True)
    async with Ejbca.open(access_to(shop, **changes)) as source:
        checks = {check.name: check for check in await source.check()}
    assert {name: check.ok for name, check in checks.items()} == {
        "Gone": False,
        NAMES[0]: True,
        "others": True,
    }
    assert NAMES[1] in checks["others"].text


@pytest.mark.parametrize("told", [{}, {"certificates": "all"}, {"certificates": [1]}, [], None])
async def test_an_answer_that_is_none_of_ejbca_is_no_answer(
    shop: Searched, told: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shop.server, "_search", lambda _request: told)
    with pytest.raises(Unavailable):
        await read(shop)


def test_a_credential_is_a_certificate_with_its_key_or_a_token():
    kind, one, other = (
        Ejbca.credential_type,
        identity(CertificateAuthority()),
        identity(CertificateAuthority()),
    )
    kind.model_validate(one)
    for given in (
        {},
        {**one, "token": "a"},
        {"certificate": one["certificate"]},
        {**one, "private_key": other["private_key"]},
        {**one, "private_key": "none"},
    ):
        with pytest.raises(ValidationError) as refused:
            kind.model_validate(given)
        assert str(one["private_key"])[60:90] not in str(refused.value)
