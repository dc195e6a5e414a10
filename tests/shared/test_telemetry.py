"""What Prometheus is told."""

from typing import Annotated

import httpx
from prometheus_client import REGISTRY

from shared.access import Principal, Verifier, requires
from shared.http import Routes, View, create_api
from tests.builders import ISSUER, KnownKey, bearer

Reader = Annotated[Principal, requires("things:read")]


class Thing(View):
    """A thing."""

    id: str


def counted(route: str, status: str, *, method: str = "GET") -> float:
    labels = {
        "service": "telling",
        "http_request_method": method,
        "http_route": route,
        "http_response_status_code": status,
    }
    return REGISTRY.get_sample_value("http_server_request_duration_seconds_count", labels) or 0


async def test_requests_are_counted_by_the_template_of_their_route() -> None:
    routes = Routes(prefix="/v1")

    @routes.get("/things/{thing_id}", summary="Show a thing")
    async def get_thing(_caller: Reader, thing_id: str) -> Thing:
        return Thing(id=thing_id)

    verifier = Verifier(KnownKey(), issuer=ISSUER)
    api = create_api(name="telling", summary="Tells.", routers=[routes], verifier=verifier)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://t") as client:
        for name in ("a", "b"):
            await client.get(f"/v1/things/{name}", headers=bearer("viewer"))
        await client.get("/v1/things/a")
        await client.get("/v1/nowhere/secret")
        await client.request("CHOSEN-BY-A-STRANGER", "/v1/things/a")
    assert counted("/v1/things/{thing_id}", "200") == 2
    assert counted("/v1/things/{thing_id}", "401") == 1
    assert counted("unmatched", "404") == 1
    assert counted("/v1/things/{thing_id}", "405", method="_OTHER") == 1
