"""What was found out about a certificate, by the workers of a running service, as its API tells it."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.api.certificates import CertificateReportView
from services.inventory.service import SCHEMA, build
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.lint.pkilint import lint
from shared.store import Database
from tests.builders import bearer, surroundings
from tests.inventory.ledger import Ledger, found, place
from tests.inventory.test_api import _client, assert_written_as, problem
from tests.servers.ocsp import crl, names_crl
from tests.servers.tls import CertificateAuthority, fingerprint
from tests.servers.webhook import Answer, Webhook

NOW = utc_now().replace(microsecond=0)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + 60
    while not (seen := await look()):
        assert time.monotonic() < deadline
        await anyio.sleep(0.05)
    return seen


async def test_the_workers_judge_lint_and_ask_and_the_api_tells_it(tmp_path: Path, webhook: Webhook) -> None:
    root = CertificateAuthority(now=NOW)
    middle = root.intermediate()
    webhook.default = Answer(body=crl(middle, now=NOW))
    leaf = middle.issue("-bad.test", extensions=[names_crl(f"http://127.0.0.1:{webhook.port}/ca.crl")])
    (tmp_path / "own.pem").write_bytes(root.pem)
    database = Database(f"sqlite:///{tmp_path}/inventory.db", source="inventory")
    await SCHEMA.upgrade(database)
    bus = SqliteBus(tmp_path / "bus.db")
    await Ledger(database, bus, now=NOW).hear(found(leaf, place(), NOW))
    around = surroundings(
        tmp_path, environ={"EVERLEAF_INVENTORY_TRUST_OWN": str(tmp_path / "own.pem")}, bus=bus
    )
    async with build(around) as service, anyio.create_task_group() as tasks:
        client, reader = _client(service), bearer("viewer")

        async def get(path: str, **query: Any) -> Any:
            return (await client.get(f"/v1/{path}", params=query, headers=reader)).json()

        async def asked() -> Any:
            return (await get(f"certificates/{leaf.fingerprint}"))["revocation"]

        async def linted() -> Any:
            return (await get(f"certificates/{leaf.fingerprint}/findings"))["linted_at"]

        async def get_linted(path: str) -> Any:
            issuer = await get(path)
            return issuer if issuer.get("linted_at") else None

        tasks.start_soon(service.work)
        await until(asked)
        await until(linted)
        report = await client.get(f"/v1/certificates/{leaf.fingerprint}", headers=reader)
        assert_written_as(CertificateReportView, report)
        shown = report.json()
        assert (shown["chain_state"], shown["is_trusted"], shown["revocation"]) == ("valid", True, "good")
        assert shown["findings"] == {"error": 1}
        told = await get(f"certificates/{leaf.fingerprint}/findings")
        assert (told["kind"], told["rules"]) == ("private-tls", "pkix")
        [finding] = told["findings"]
        assert (finding["rule"], finding["severity"]) == ("pkix.invalid_domain_name_syntax", "error")
        assert finding["remedy"]
        [rule] = (await get("findings", current=True))["rules"]
        assert (rule["rule"], rule["certificates"]) == (finding["rule"], 1)
        [chain] = (await get(f"certificates/{leaf.fingerprint}/chains"))["chains"]
        assert (chain["state"], chain["place_count"], len(chain["path"])) == ("valid", 1, 3)
        assert (chain["trust_store"], chain["problems"]) == ("own", [])
        word = await get(f"certificates/{leaf.fingerprint}/revocation")
        assert (word["state"], word["means"], word["failures"]) == ("good", "crl", 0)
        path = f"issuers/{fingerprint(middle.certificate)}"
        above = await until(lambda: get_linted(path))
        assert [each["severity"] for each in above["findings"]] == [
            each.severity for each in lint(middle.certificate.public_bytes(Encoding.DER), False).findings
        ]
        for query, count in (
            (f'finding = "{finding["rule"]}"', 1),
            ("revocation = good and chain = valid and trust = own", 1),
            ("chain = untrusted", 0),
        ):
            assert len((await get("certificates", query=query))["items"]) == count
        for path in ("findings", "chains", "revocation"):
            problem(await client.get(f"/v1/certificates/{'0' * 64}/{path}", headers=reader), 404)
        problem(await client.get("/v1/certificates?query=chain%20=%20rusty", headers=reader), 422)
        tasks.cancel_scope.cancel()
    await bus.close()
    await database.close()
