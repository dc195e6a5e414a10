"""The client for programs: what it sends, what it tries again, and what it makes of the answers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from everleaf import (
    AsyncClient,
    Client,
    EndedOtherwise,
    Forbidden,
    NotInTime,
    NotSafe,
    NotValid,
    Retries,
    Unavailable,
    Unreachable,
    waiting,
)
from everleaf.contracts import discovery, inventory, provisioner, renewal

URL = "https://everleaf.example.com"
AT_ONCE = Retries(first=0, longest=0)
Answerer = Callable[[httpx.Request], httpx.Response]


class Platform(httpx.MockTransport):
    """Gives these answers one after the other, and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        super().__init__(self.answer)
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("cut", request=request)

    def client(self, credential: str = "token") -> Client:
        return Client(URL, credential, retries=AT_ONCE, transport=self)


def page(*ids: str, after: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": [{"id": each} for each in ids], "next_cursor": after})


def problem(status: int, **more: Any) -> httpx.Response:
    document = {"detail": "It is so.", "next_step": "Do this.", "trace_id": "0af7", **more}
    return httpx.Response(status, json=document, headers={"Content-Type": "application/problem+json"})


def test_all_pages_of_a_list_are_asked_for_and_none_before_it_is_needed():
    platform = Platform(page("1", "2", after="next"), page("3"))
    with platform.client() as client:
        found = client.each(inventory.list_certificates(query="current", limit=2))
        assert next(found)["id"] == "1"
        assert len(platform.asked) == 1
        assert [each["id"] for each in found] == ["2", "3"]
    first, second = platform.asked
    assert dict(first.url.params) == {"query": "current", "limit": "2"}
    assert dict(second.url.params) == {"query": "current", "limit": "2", "cursor": "next"}
    assert first.headers["authorization"] == "Bearer token"


async def test_who_awaits_is_answered_the_same():
    platform = Platform(page("1", after="next"), problem(503), page("2"), httpx.Response(200, content=b"a,b"))
    async with AsyncClient(URL, "token", retries=AT_ONCE, transport=platform) as client:
        assert [each["id"] async for each in client.each(discovery.list_scans())] == ["1", "2"]
        async with client.stream(inventory.export_certificates(format="csv")) as parts:
            assert b"".join([part async for part in parts]) == b"a,b"


def test_a_path_is_quoted_and_a_body_is_sent_as_the_contract_has_it():
    platform = Platform(httpx.Response(200, json={}), httpx.Response(204))
    with platform.client() as client:
        client.call(inventory.get_key("a/b?c"))
        assert client.call(provisioner.delete_target("1")) is None
    assert platform.asked[0].url.raw_path == b"/inventory/v1/keys/a%2Fb%3Fc"


def test_what_creates_is_sent_again_with_the_same_key_and_so_done_once():
    platform = Platform(httpx.ReadError, problem(503), httpx.Response(202, json={"id": "1"}))
    with platform.client() as client:
        assert client.call(renewal.create_order({"names": ["a.test"], "profile": "web"}))["id"] == "1"
    keys = {request.headers["idempotency-key"] for request in platform.asked}
    assert len(platform.asked) == 3
    assert len(keys) == 1
    assert json.loads(platform.asked[2].content) == {"names": ["a.test"], "profile": "web"}


@pytest.mark.parametrize("answer", [httpx.ReadError, problem(503), problem(502)])
def test_what_would_be_done_twice_is_not_sent_again(answer: Any):
    platform = Platform(answer)
    with (
        platform.client() as client,
        pytest.raises(Unreachable if answer is httpx.ReadError else Unavailable),
    ):
        client.call(renewal.renew_now("lineage"))


@pytest.mark.parametrize("answer", [httpx.ConnectError, problem(429)])
def test_what_was_surely_not_taken_is_sent_again_whatever_it_is(answer: Any):
    platform = Platform(answer, httpx.Response(202, json={"id": "1"}))
    with platform.client() as client:
        assert client.call(renewal.renew_now("lineage"))["id"] == "1"


def test_what_an_outside_system_refuses_is_not_asked_again_but_a_gateways_bad_hour_is():
    with Platform(problem(502)).client() as client, pytest.raises(Unavailable):
        client.call(inventory.get_summary())
    with Platform(httpx.Response(502, text="<html>"), httpx.Response(200, json={})).client() as client:
        assert client.answer(inventory.get_summary()).status == 200


def test_it_waits_as_long_as_it_is_told_unless_that_is_too_long():
    call = inventory.get_summary()
    told = Retries(patience=60)

    def after(value: str) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": value})

    assert told.wait(0, call, after("7")) == 7
    assert told.wait(0, call, after("61")) is None
    soon = told.wait(0, call, after(f"{datetime.now(UTC) + timedelta(seconds=40):%a, %d %b %Y %H:%M:%S} GMT"))
    assert soon is not None
    assert 0 < soon <= 40
    waits = [told.wait(attempt, call, after("soon")) for attempt in range(5)]
    assert all(wait is not None and 0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[:4]))
    assert waits[4] is None


def test_a_problem_is_an_exception_that_says_what_to_do():
    faults = [{"pointer": "/query/query", "message": "no field", "column": "3"}]
    with Platform(problem(422, errors=faults)).client() as client, pytest.raises(NotValid) as raised:
        client.call(inventory.count_certificates(query="x"))
    error = raised.value
    assert (error.detail, error.next_step, error.trace_id) == ("It is so.", "Do this.", "0af7")
    assert error.faults == tuple(faults)
    assert str(error) == "It is so. Next step: Do this."


def test_an_answer_that_is_no_problem_document_is_told_without_its_text():
    answers = [httpx.Response(403, text="<html>secret"), httpx.Response(403, json=["secret"])]
    for answer in answers:
        with Platform(answer).client() as client, pytest.raises(Forbidden) as raised:
            client.call(inventory.get_summary())
        assert "403" in str(raised.value)
        assert "secret" not in str(raised.value)


def token(name: str, *, seconds: int = 300) -> httpx.Response:
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return httpx.Response(200, json={"access_token": name, "expires_at": ends.isoformat()})


def test_an_api_key_is_exchanged_for_tokens_and_sent_nowhere_else():
    ok = httpx.Response(200, json={})
    platform = Platform(
        token("first"), ok, ok, problem(401), token("second", seconds=20), ok, token("third"), ok
    )
    with platform.client("evl_key") as client:
        for _ in range(4):
            client.call(inventory.get_summary())
    said = [(request.url.path, request.headers["authorization"]) for request in platform.asked]
    exchange, ask = "/inventory/v1/tokens", "/inventory/v1/summary"
    assert said == [
        (exchange, "Bearer evl_key"),
        (ask, "Bearer first"),
        (ask, "Bearer first"),
        (ask, "Bearer first"),
        (exchange, "Bearer evl_key"),
        (ask, "Bearer second"),
        (exchange, "Bearer evl_key"),
        (ask, "Bearer third"),
    ]
    assert "evl_key" not in repr(client._flows._credential)


def test_no_token_goes_out_unencrypted():
    with pytest.raises(NotSafe, match="unencrypted"):
        Client("http://everleaf.example.com", "token")
    Client("http://127.0.0.1:8400", "token").close()


def state(name: str, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": "1", "state": name, "percent": 50, **more})


def test_long_work_is_looked_at_until_it_has_ended():
    seen: list[str] = []
    with Platform(state("queued"), state("running"), state("finished")).client() as client:
        last = client.wait(waiting.scan("1"), every=0, seen=lambda scan: seen.append(scan["state"]))
    assert seen == ["queued", "running", "finished"]
    assert last["state"] == "finished"


def test_long_work_that_ends_badly_or_not_in_time_is_an_exception():
    failed = state("failed", last_error="The CA refuses.", next_step="Ask the CA.")
    with Platform(failed).client() as client, pytest.raises(EndedOtherwise) as raised:
        client.wait(waiting.order("1"))
    assert str(raised.value) == "Order 1 is failed: The CA refuses. Next step: Ask the CA."
    assert raised.value.last["state"] == "failed"
    with Platform(state("issuing")).client() as client, pytest.raises(NotInTime, match="still issuing"):
        client.wait(waiting.order("1"), within=0)


def deployments(*states: str) -> Any:
    return {"items": [{"id": str(number), "state": each} for number, each in enumerate(states)]}


@pytest.mark.parametrize(
    ("states", "told", "share"),
    [
        ((), "not begun", None),
        (("deployed", "waiting"), "waiting", 0.5),
        (("deployed", "waiting", "failed"), "failed", 1 / 3),
        (("deployed", "deployed"), "deployed", 1),
    ],
)
def test_a_certificate_is_deployed_when_it_is_in_every_slot(
    states: tuple[str, ...], told: str, share: float | None
):
    wait = waiting.deployed("order")
    assert wait.state(deployments(*states)) == told
    assert wait.share(deployments(*states)) == share
