"""Everything that a CA has issued is replaced as one campaign, seen on the wire, and reported with a signature."""

import json
import subprocess
from pathlib import Path

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, known, scan
from tests.journeys.platforms import PROGRAM, Json, accepted, until
from tests.servers.tls import CertificateAuthority, fingerprint

NAMES = ("one.example.test", "two.example.test", "three.example.test")


async def test_what_a_distrusted_ca_has_issued_is_replaced_everywhere_as_one_job(
    start_platform: StartPlatform, estate: Estate, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    sites = [estate.expiring_site(name, ca=lab_ca) for name in NAMES]
    by_hand = estate.expiring_site("unknown.other.test", ca=lab_ca)
    platform = start_platform("embedded", EVERLEAF_RENEWAL_CAMPAIGN_APPROVALS="0")
    with platform.client() as client:
        new = {"name": "house-ca", "kind": "builtin", "options": {}}
        accepted(client.post("/renewal/v1/authorities", json=new))
        terms = {"name": "web", "authority": "house-ca", "allowed_names": ["*.example.test"]}
        accepted(client.post("/renewal/v1/profiles", json=terms))
        scan(client, *sites, by_hand)
        for site in sites:
            lineage_id = known(client, site)["lineage_id"]
            estate.bind(client, site, lineage_id=lineage_id)
        issuer = known(client, by_hand)["issuer"]

        campaign = accepted(
            client.post(
                "/renewal/v1/campaigns",
                json={
                    "name": "leave the lab",
                    "query": f'issuer = "{issuer}"',
                    "reason": "Its root is distrusted.",
                    "waves": {"first": 1, "size": 2},
                },
            )
        )
        path = f"/renewal/v1/campaigns/{campaign['id']}"

        def reached(state: str) -> Json | None:
            now = accepted(client.get(path))
            return now if now["state"] == state else None

        plan = until(lambda: reached("planned"), what="the plan")
        assert plan["counts"] == {"planned": 3, "by-hand": 1}
        assert (plan["bound"], plan["wave_count"]) == (3, 2)
        assert "unknown.other.test" in plan["by_hand"][0]["obstacle"]
        before = [fingerprint(site.served()) for site in sites]
        accepted(client.post(f"{path}/start", json={"plan_digest": plan["plan_digest"]}))
        done = until(lambda: reached("finished"), what="the end of the campaign")
        assert done["counts"] == {"replaced": 3, "by-hand": 1}

        report = tmp_path / "report.ndjson"
        report.write_bytes(client.get(f"{path}/evidence").raise_for_status().content)
        keys = tmp_path / "keys.json"
        keys.write_text(json.dumps(accepted(client.get("/renewal/v1/evidence-keys"))))
    told = [json.loads(line) for line in report.read_text().splitlines()[1:-1]]
    new_ones = {each["certificate"]["fingerprint"]: each["certificate"]["new_fingerprint"] for each in told}
    for site, old in zip(sites, before, strict=True):
        assert fingerprint(site.served()) == new_ones[old] != old, "what the report says is what is served"
    assert verified(report, keys).returncode == 0
    report.write_bytes(report.read_bytes().replace(b"distrusted", b"fine      "))
    changed = verified(report, keys)
    assert (changed.returncode, "was changed" in changed.stderr) == (2, True)


def verified(report: Path, keys: Path) -> "subprocess.CompletedProcess[str]":
    """Check a report as an auditor would."""
    command: list[str | Path] = [PROGRAM, "verify-evidence", report, "--keys", keys]
    return subprocess.run(command, capture_output=True, text=True, check=False)
