"""An authority of somebody's own, through the whole service: the program that the how-to shows, and one whose login ends."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.renewal.service import NAME, SCHEMA, SETTINGS, build
from tests.builders import bearer, surroundings
from tests.conformance.authorities.command import PROGRAM
from tests.servers.tls import CertificateAuthority

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "use-your-ca.md"


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """The folder of the operator, with what the programs sign with."""
    folder = tmp_path / "commands"
    (folder / "issued").mkdir(parents=True)
    authority = CertificateAuthority("Corporate Root").intermediate("Corporate Issuing CA")
    (folder / "ca.pem").write_bytes(authority.pem)
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca.key").write_bytes(key)
    (folder / "extensions").write_text("extendedKeyUsage=serverAuth\n")
    (folder / "credential").write_text("old")
    return folder


@pytest.fixture
async def api(tmp_path: Path, commands: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a service whose workers run."""
    around = surroundings(tmp_path, environ={"EVERLEAF_RENEWAL_COMMANDS": str(commands)})
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as service, anyio.create_task_group() as tasks:
        await around.bus.declare(service.queues)
        tasks.start_soon(service.work)
        transport = httpx.ASGITransport(service.api)
        headers = bearer("operator")
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            yield client
        tasks.cancel_scope.cancel()
    await around.bus.close()


def install(commands: Path, program: str) -> None:
    (commands / "corporate-ca").write_text(program)
    (commands / "corporate-ca").chmod(0o700)


async def made(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def order(api: httpx.AsyncClient) -> tuple[str, str]:
    """Make authority and profile known, and order; return the ids of authority and order."""
    options = {"program": "corporate-ca"}
    body = {"name": "house", "kind": "command", "options": options, "secrets": {"credential": "old"}}
    authority = await made(api, "/v1/authorities", body)
    terms = {"lifetime": "P30D", "allowed_names": ["*.example.test"]}
    await made(api, "/v1/profiles", {"name": "web", "authority": "house", **terms})
    placed = await made(api, "/v1/orders", {"names": ["www.example.test"], "profile": "web"})
    return authority["id"], placed["id"]


async def until(
    api: httpx.AsyncClient, order_id: str, fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    with anyio.fail_after(30):
        while not fits(shown := (await api.get(f"/v1/orders/{order_id}")).json()):
            await anyio.sleep(0.05)
    return dict(shown)


async def test_the_program_of_the_how_to_issues(api: httpx.AsyncClient, commands: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    install(commands, program.replace("#!/usr/bin/python3", f"#!{sys.executable}"))
    _, order_id = await order(api)
    shown = await until(api, order_id, lambda shown: shown["state"] in ("renewed", "failed", "waiting"))
    assert shown["state"] == "renewed", shown["last_error"]
    assert [each.name for each in commands.glob("*.pem")] != ["ca.pem"]


async def test_an_order_that_failed_for_an_old_credential_is_issued_with_a_new_one(
    api: httpx.AsyncClient, commands: Path
) -> None:
    install(commands, PROGRAM)
    (commands / "credential").write_text("new")
    authority_id, order_id = await order(api)
    shown = await until(api, order_id, lambda shown: shown["state"] == "failed")
    assert "has expired" in shown["last_error"]
    assert "credential" in shown["next_step"]
    assert "credential old" not in json.dumps(shown)
    await api.put(f"/v1/authorities/{authority_id}/secrets", json={"secrets": {"credential": "new"}})
    assert (await api.post(f"/v1/orders/{order_id}/retry")).is_success
    await until(api, order_id, lambda shown: shown["state"] == "renewed")
