"""Machines get tokens by OAuth 2.0 client credentials, and nobody goes on trying."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest

from services.inventory.domain.attempts import MOST, REMEMBERED, WITHIN, Attempts
from services.inventory.service import NAME, SCHEMA, build
from services.inventory.settings import InventorySettings
from shared.errors import TooMany
from tests.builders import surroundings

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
GRANT = {"grant_type": "client_credentials"}


def test_after_many_failures_a_credential_is_not_looked_at_until_the_first_is_a_minute_ago():
    attempts = Attempts()
    for second in range(MOST):
        attempts.check("ci", now=NOON)
        attempts.failed("ci", now=NOON + timedelta(seconds=second))
    with pytest.raises(TooMany) as raised:
        attempts.check("ci", now=NOON + timedelta(seconds=20))
    assert raised.value.retry_after == timedelta(seconds=40)
    attempts.check("another", now=NOON)
    attempts.check("ci", now=NOON + WITHIN)


def test_guesses_under_ever_new_names_do_not_fill_the_memory():
    attempts = Attempts()
    for number in range(REMEMBERED + 100):
        attempts.failed(str(number), now=NOON)
    assert len(attempts._failures) == REMEMBERED


class Machine:
    """A machine with a key, and the token endpoint."""

    def __init__(self, client: httpx.AsyncClient, key: str, name: str = "provisioner") -> None:
        self.client = client
        self.name, self.key = name, key

    async def ask(
        self, form: dict[str, str] | str, *, basic: tuple[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        if basic is not None:
            encoded = base64.b64encode(":".join(basic).encode()).decode()
            headers["Authorization"] = f"Basic {encoded}"
        if isinstance(form, str):
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return await self.client.post("/v1/oauth/token", content=form, headers=headers)
        return await self.client.post("/v1/oauth/token", data=form, headers=headers)


@pytest.fixture(scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """The provisioner, whose key is made at the first start."""
    folder: Path = tmp_path_factory.mktemp("machine")
    around = surroundings(folder)
    database = around.open_database(NAME, InventorySettings())
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as service:
        transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as client:
            yield Machine(client, (folder / "keys" / "provisioner.key").read_text().strip())


async def test_a_token_is_given_for_the_id_or_name_of_a_principal_and_its_key(machine: Machine):
    in_form = await machine.ask({**GRANT, "client_id": machine.name, "client_secret": machine.key})
    assert (in_form.status_code, in_form.headers["cache-control"]) == (200, "no-store"), in_form.text
    assert in_form.json().keys() == {"access_token", "token_type", "expires_in"}
    assert in_form.json()["expires_in"] == 300
    claims = jwt.decode(in_form.json()["access_token"], options={"verify_signature": False})
    assert "keys:release" in claims["permissions"]
    by_header = await machine.ask(GRANT, basic=(claims["sub"], machine.key))
    assert (by_header.status_code, by_header.json()["token_type"]) == (200, "Bearer")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password", "username": "x", "password": "y"}, "unsupported_grant_type"),
        ("client_id=a&client_secret=b", "unsupported_grant_type"),
        ({}, "invalid_request"),
        ({**GRANT, "scope": "everything"}, "invalid_scope"),
        ("grant_type=client_credentials&client_id=a&client_id=b&client_secret=c", "invalid_request"),
    ],
)
async def test_what_is_no_request_for_client_credentials_gets_oauths_word_for_it(
    machine: Machine, form: dict[str, str] | str, error: str
):
    answer = await machine.ask(form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert {"error_description", "next_step", "trace_id"} <= answer.json().keys()


async def test_a_wrong_secret_is_refused_and_after_a_while_not_even_looked_at(machine: Machine):
    both = await machine.ask({**GRANT, "client_id": "x", "client_secret": "y"}, basic=("x", "y"))
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")
    stolen = await machine.ask({**GRANT, "client_id": "another", "client_secret": machine.key})
    assert (stolen.status_code, stolen.json()["error"]) == (401, "invalid_client")
    assert stolen.headers["www-authenticate"].startswith("Basic")
    assert machine.key not in stolen.text
    for _ in range(MOST):
        wrong = await machine.ask(GRANT, basic=("guesser", "evl_wrong"))
        assert wrong.status_code == 401
    late = await machine.ask(GRANT, basic=("guesser", "evl_wrong"))
    assert (late.status_code, late.json()["error"]) == (429, "temporarily_unavailable")
    assert 0 < int(late.headers["retry-after"]) <= 60
    # Whoever has the right key under their own name is not shut out by that.
    assert (await machine.ask(GRANT, basic=(machine.name, machine.key))).status_code == 200
    for _ in range(MOST):
        await machine.client.post("/v1/tokens", json={}, headers={"Authorization": "Bearer evl_old"})
    answer = await machine.client.post("/v1/tokens", json={}, headers={"Authorization": "Bearer evl_old"})
    assert (answer.status_code, bool(answer.headers["retry-after"])) == (429, True)
