from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.http import (
    MAX_BODY,
)
from tests.builders import bearer
from tests.shared.http.garden import TRACE, garden, problem


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65536):
        yield b" " * 65536


@pytest.mark.parametrize("path", ["/v1/trees", "/v1/trees/raw"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_too_large_is_413_with_the_limit(
    client: httpx.AsyncClient, path: str, is_chunked: bool
):
    content = chunks(MAX_BODY + 65536) if is_chunked else b" " * (MAX_BODY + 1)
    headers = {**bearer("operator"), "Content-Type": "application/json"}
    document = problem(await client.post(path, content=content, headers=headers), 413)
    assert document["type"].endswith("/too-large")
    assert str(MAX_BODY) in document["next_step"]


async def test_of_a_body_declared_too_large_nothing_is_read():
    read = []

    async def receive() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(MAX_BODY + 1).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/trees/raw",
        "raw_path": b"/v1/trees/raw",
        "query_string": b"",
        "headers": headers,
        "root_path": "",
    }
    await garden()(scope, receive, send)
    assert (sent[0]["status"], read) == (413, [])


async def test_a_body_of_exactly_the_limit_is_taken(client: httpx.AsyncClient):
    answer = await client.post("/v1/trees/raw", content=b" " * MAX_BODY)
    assert answer.json() == MAX_BODY


async def test_the_callers_trace_is_followed(client: httpx.AsyncClient):
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert (await client.get("/v1/trees/trace", headers=headers)).json() == TRACE
    assert problem(await client.get("/v1/trees", headers=headers), 401)["trace_id"] == TRACE


async def test_requests_without_a_trace_get_one_each(client: httpx.AsyncClient):
    seen = {(await client.get("/v1/trees/trace")).json() for _ in range(3)}
    assert len(seen) == 3
