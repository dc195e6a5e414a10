"""Revoked at real authorities: our own, whose OCSP responder and CRL say so over HTTP, and one that speaks ACME."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509

from services.renewal.connectors import Challenge
from services.renewal.connectors.http01 import Listener
from services.renewal.domain.orders import State
from services.renewal.domain.revocations import RevocationState
from services.renewal.service import NAME, SCHEMA, SETTINGS, build
from services.run import front_door, listen, serve
from tests.builders import bearer, surroundings
from tests.renewal.test_revocations import only, revoke
from tests.renewal.workshop import Workshop
from tests.servers.pebble import StartPebble
from tests.servers.processes import free_port

Json = dict[str, Any]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A renewal service that everybody reaches, its workers at work."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/{NAME}"
    around = surroundings(tmp_path, environ={"EVERLEAF_RENEWAL_PUBLIC_URL": url})
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as built, anyio.create_task_group() as tasks:
        await around.bus.declare(built.queues)
        tasks.start_soon(serve, front_door([built], around.bus), [built], listen("127.0.0.1", port))
        async with httpx.AsyncClient(base_url=url, headers=bearer("operator"), timeout=30) as client:
            yield client
        tasks.cancel_scope.cancel()
    await around.bus.close()


async def post(api: httpx.AsyncClient, path: str, **body: Any) -> Json:
    answer = await api.post(path, json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def become(api: httpx.AsyncClient, path: str, *states: str) -> Json:
    with anyio.fail_after(60):
        while True:
            shown = dict((await api.get(path)).json())
            if shown["state"] in states:
                return shown
            await anyio.sleep(0.05)


async def test_what_our_own_authority_has_revoked_is_seen_at_its_responder(api: httpx.AsyncClient) -> None:
    await post(api, "/v1/authorities", name="house-ca", kind="builtin")
    await post(api, "/v1/profiles", name="web", authority="house-ca", allowed_names=["*.example.test"])
    order = await post(api, "/v1/orders", names=["shop.example.test"], profile="web")
    renewed = await become(api, f"/v1/orders/{order['id']}", "renewed")
    [word] = [each["text"] for each in renewed["steps"] if each["step"] == "check revocation"]
    assert word.startswith("It is not revoked."), "the responder was asked before anyone was told"
    asked = {
        "fingerprint": renewed["fingerprint"],
        "reason": "keyCompromise",
        "when": "now",
        "why": "Stolen.",
    }
    revocation = await post(api, "/v1/revocations", **asked)
    shown = await become(api, f"/v1/revocations/{revocation['id']}", "confirmed", "failed", "unconfirmed")
    assert (shown["state"], shown["confirmed_by"]) == ("confirmed", "ocsp")
    assert [each["step"] for each in shown["steps"]] == ["requested", "revoked", "confirmed"]
    for asked_for, found in ((renewed["fingerprint"], [revocation["id"]]), ("0" * 64, [])):
        listed = (await api.get("/v1/revocations", params={"fingerprint": asked_for})).json()["items"]
        assert [each["id"] for each in listed] == found
    authority = (await api.get("/v1/authorities")).json()["items"][0]["id"]
    crl = x509.load_der_x509_crl((await api.get(f"/v1/authorities/{authority}/crl")).content)
    [entry] = list(crl)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == "keyCompromise"


async def test_what_an_acme_authority_has_revoked_it_says_itself(
    small_shop: Workshop, start_pebble: StartPebble
) -> None:
    shop, port = small_shop, free_port()
    pebble = start_pebble(http01_port=port)
    options = {"directory_url": pebble.dir_url, "ca_pem": pebble.ca_pem.read_text()}
    await shop.authority("pebble", kind="acme", options=options)
    await shop.profile("acme", authority="pebble", challenge=Challenge.HTTP_01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=shop.challenges.find).run)
        await shop.order(profile="acme")
        await shop.work_off()
        tasks.cancel_scope.cancel()
    order = await shop.only()
    assert (order.state, order.last_error) == (State.RENEWED, None)
    leaf = x509.load_der_x509_certificate(await _leaf(shop))
    assert pebble.certificate_status(leaf.serial_number) == "Valid"
    await revoke(shop, order.fingerprint)
    await shop.work_off()
    assert pebble.certificate_status(leaf.serial_number) == "Revoked"
    assert (await only(shop)).state in (RevocationState.REVOKED, RevocationState.UNCONFIRMED)


async def _leaf(shop: Workshop) -> bytes:
    return base64.b64decode(((await shop.only()).chain or [])[0])
