"""The portal's files, and what goes with them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from services.portal import portal_routes

PAGE = '<meta name="everleaf-nonce" content="__NONCE__" />'
HTML = {"Accept": "text/html"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a portal of one page, one script and the worker of downloads."""
    for folder in ("assets", "downloads"):
        (tmp_path / folder).mkdir()
    (tmp_path / "downloads" / "worker.js").write_text("2")
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "assets" / "index-B7amBagx.js").write_text("1")
    app = Starlette(routes=portal_routes(tmp_path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made


async def test_each_room_is_the_same_page_under_a_policy_with_a_nonce_of_its_own(client: httpx.AsyncClient):
    answers = [await client.get(path, headers=HTML) for path in ("/", "/certificates/ab", "/alerts")]
    nonces = set()
    for answer in answers:
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        said = re.search(r"style-src 'self' 'nonce-([\w-]+)'", policy)
        assert said
        assert f'content="{said[1]}"' in answer.text
        nonces.add(said[1])
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
    assert len(nonces) == len(answers)


async def test_a_program_that_asks_for_what_is_not_there_gets_no_page(client: httpx.AsyncClient):
    assert (await client.get("/renewal/v1/orders", headers={"Accept": "application/json"})).status_code == 404


async def test_built_files_are_kept_by_browsers_for_ever(client: httpx.AsyncClient):
    answer = await client.get("/assets/index-B7amBagx.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/assets/other.js")).status_code == 404


async def test_the_worker_of_downloads_stands_at_the_folder_it_serves_and_is_asked_for_each_time(
    client: httpx.AsyncClient,
):
    answer = await client.get("/downloads/worker.js")
    assert (answer.status_code, answer.text) == (200, "2")
    assert "javascript" in answer.headers["content-type"]
    assert "cache-control" not in answer.headers
    assert "service-worker-allowed" not in answer.headers  # it is in charge of nothing beside its folder


async def test_what_the_worker_would_have_served_is_no_page_where_there_is_no_worker(
    client: httpx.AsyncClient,
):
    answer = await client.get("/downloads/inventory/v1/certificates/export", headers=HTML)
    assert answer.status_code == 404


def test_where_it_was_not_built_there_is_none(tmp_path: Path):
    assert portal_routes(tmp_path) == []
