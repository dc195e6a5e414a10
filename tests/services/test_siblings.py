import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.siblings import SiblingClients, in_process
from shared.access import base64url
from shared.errors import Refused, Unavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEALING_KEY = bytes(range(32))


class Others:
    """Stands where inventory and renewal do: exchanges keys for tokens and shows what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.bodies: list[Any] = []
        self.status = 200
        self.now = NOW
        routes = [
            Route("/inventory/v1/tokens", self._token, methods=["POST"]),
            Route("/inventory/v1/jwks.json", self._keys),
            Route("/renewal/v1/orders/{id}", self._order),
        ]
        self.app = Starlette(routes=routes)

    def clients(self, keys_dir: Path) -> SiblingClients:
        return SiblingClients(
            "http://everleaf/", in_process(lambda: self.app), keys_dir=keys_dir, clock=lambda: self.now
        )

    def _see(self, request: Request) -> None:
        self.asked.append((request.url.path, request.headers.get("authorization")))

    async def _token(self, request: Request) -> Response:
        self._see(request)
        self.bodies.append(await request.json())
        number = len(self.bodies)
        ends = (self.now + timedelta(minutes=10)).isoformat()
        answer = {"access_token": f"token {number}", "expires_at": ends, "detail": "why not"}
        return JSONResponse(answer, self.status)

    async def _keys(self, request: Request) -> Response:
        self._see(request)
        return JSONResponse({"keys": []}, self.status)

    async def _order(self, request: Request) -> Response:
        self._see(request)
        return Response(json.dumps({"id": request.path_params["id"]}))


@pytest.fixture
def others() -> Others:
    """The other services."""
    return Others()


async def test_a_request_goes_to_the_sibling_with_a_token_got_for_the_key(others: Others, tmp_path: Path):
    siblings = others.clients(tmp_path)
    async with siblings.open("renewal", caller="provisioner", api_key="secret") as client:
        assert (await client.get("/v1/orders/7")).json() == {"id": "7"}
    assert others.asked == [
        ("/inventory/v1/tokens", "Bearer secret"),
        ("/renewal/v1/orders/7", "Bearer token 1"),
    ]


async def test_a_token_is_used_until_it_nears_its_end(others: Others, tmp_path: Path):
    async with others.clients(tmp_path).open("renewal", caller="provisioner", api_key="secret") as client:
        for minutes in (0, 7, 9):
            others.now = NOW + timedelta(minutes=minutes)
            await client.get("/v1/orders/7")
    used = [token for path, token in others.asked if path.startswith("/renewal")]
    assert used == ["Bearer token 1", "Bearer token 1", "Bearer token 2"]


async def test_the_key_made_at_first_start_is_used_where_none_is_set(others: Others, tmp_path: Path):
    (tmp_path / "provisioner.key").write_text("made at first start\n")
    async with others.clients(tmp_path).open("renewal", caller="provisioner", api_key=None) as client:
        await client.get("/v1/orders/7")
    assert others.asked[0] == ("/inventory/v1/tokens", "Bearer made at first start")


async def test_without_any_key_the_error_names_the_setting(others: Others, tmp_path: Path):
    async with others.clients(tmp_path).open("renewal", caller="provisioner", api_key=None) as client:
        with pytest.raises(Unavailable, match="EVERLEAF_PROVISIONER_API_KEY_FILE"):
            await client.get("/v1/orders/7")


async def test_the_sealing_key_is_told_to_whoever_makes_the_token(others: Others, tmp_path: Path):
    siblings = others.clients(tmp_path)
    opened = siblings.open("renewal", caller="provisioner", api_key="secret", sealing_key=SEALING_KEY)
    async with opened as client:
        await client.get("/v1/orders/7")
    assert others.bodies == [{"sealing_key": base64url(SEALING_KEY)}]


@pytest.mark.parametrize(
    ("status", "error"), [(401, Refused), (422, Refused), (500, Unavailable), (503, Unavailable)]
)
async def test_a_key_that_is_not_taken_is_refused_and_an_outage_is_not(
    others: Others, tmp_path: Path, status: int, error: type[Exception]
):
    others.status = status
    async with others.clients(tmp_path).open("renewal", caller="provisioner", api_key="secret") as client:
        with pytest.raises(error, match=str(status)) as raised:
            await client.get("/v1/orders/7")
    assert "secret" not in str(raised.value)


async def test_published_keys_are_asked_for_without_a_token(others: Others, tmp_path: Path):
    assert await others.clients(tmp_path).published_keys() == {"keys": []}
    assert others.asked == [("/inventory/v1/jwks.json", None)]


async def test_where_inventory_is_away_keys_are_unavailable(tmp_path: Path):
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    siblings = SiblingClients(
        "http://everleaf", lambda: httpx.MockTransport(refuse), keys_dir=tmp_path, clock=lambda: NOW
    )
    with pytest.raises(Unavailable, match="Inventory does not answer"):
        await siblings.published_keys()


async def test_an_error_inside_a_sibling_is_an_answer_and_not_an_exception_here(
    others: Others, tmp_path: Path
):
    async def fail(_request: Request) -> Response:
        raise RuntimeError("a mistake in the sibling")

    others.app = Starlette(routes=[Route("/inventory/v1/jwks.json", fail)])
    with pytest.raises(Unavailable, match="500"):
        await others.clients(tmp_path).published_keys()
