"""Four real nginx behind sshd: the canary does not serve the new certificate, is put back, and the others never begin."""

import httpx

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import found
from tests.journeys.platforms import Json, accepted, until
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import fingerprint

NAME = "shop.example.test"
POLICY = {"canaries": 1, "share": 50, "soak": 1, "watch": 1, "stop_after": 1}


def bound(client: httpx.Client, sshd: Sshd, nginx: Nginx, *, lineage_id: str, reload: str) -> Json:
    """Make an nginx a target, and bind the lineage to its site; return the target."""
    site = nginx.sites[0]
    target = {
        "name": f"web-{site.port}",
        "kind": "nginx",
        "host": sshd.host,
        "port": sshd.port,
        "username": sshd.username,
        "host_key": sshd.host_key,
        "credential": {"private_key": sshd.client_key},
        "options": {"test_command": nginx.test_command, "reload_command": reload},
    }
    made = accepted(client.post("/provisioner/v1/targets", json=target))
    binding = {
        "lineage_id": lineage_id,
        "target_id": made["id"],
        "slot": {"certificate_path": str(site.certificate), "key_path": str(site.key)},
        "endpoints": [{"address": site.address, "port": site.port, "server_name": site.server_name}],
        "deploy_now": False,
    }
    accepted(client.post("/provisioner/v1/bindings", json=binding))
    return dict(made)


def test_a_canary_that_fails_is_put_back_and_stops_the_rollout(
    start_platform: StartPlatform, start_nginx: StartNginx, sshd: Sshd
) -> None:
    servers = [start_nginx(NAME) for _ in range(4)]
    before = [fingerprint(nginx.served()) for nginx in servers]
    platform = start_platform("embedded", EVERLEAF_PROVISIONER_VERIFY_TIMEOUT="1")
    with platform.client() as client:
        accepted(client.post("/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin"}))
        profile = {"name": "web", "authority": "house-ca", "allowed_names": ["*.example.test"]}
        accepted(client.post("/renewal/v1/profiles", json=profile))
        first = accepted(client.post("/renewal/v1/orders", json={"names": [NAME], "profile": "web"}))
        lineage = found(client, "/renewal/v1/orders", id=first["id"], state="renewed")["lineage_id"]
        # The canary's reload command reaches nobody, and succeeds all the same.
        targets = [
            bound(
                client,
                sshd,
                nginx,
                lineage_id=lineage,
                reload="true" if number == 0 else nginx.reload_command,
            )
            for number, nginx in enumerate(servers)
        ]
        accepted(client.put(f"/provisioner/v1/rollout-policies/{lineage}", json=POLICY))
        plan = accepted(client.get(f"/provisioner/v1/plans/{lineage}"))
        assert [each["wave"] for each in plan["slots"]] == [0, 1, 2, 2]

        again = {"names": [NAME], "profile": "web", "lineage_id": lineage}
        order = accepted(client.post("/renewal/v1/orders", json=again))["id"]
        rollout = found(client, "/provisioner/v1/rollouts", order_id=order, state="stopped")
        path = f"/provisioner/v1/rollouts/{rollout['id']}"
        report = accepted(client.get(path))
        assert [each["state"] for each in report["deployments"]] == ["restored", *["waiting"] * 3]
        assert [each["failure"] for each in report["deployments"]] == ["still_old", None, None, None]
        assert [fingerprint(nginx.served()) for nginx in servers] == before
        alert = found(client, "/notifier/v1/alerts", problem="rollout-stopped", state="open")
        assert alert["lineage_id"] == lineage

        mended = {
            "options": {"test_command": servers[0].test_command, "reload_command": servers[0].reload_command}
        }
        accepted(client.patch(f"/provisioner/v1/targets/{targets[0]['id']}", json=mended))
        assert accepted(client.get(path))["state"] == "stopped"
        accepted(client.post(f"{path}/resume"))
        over = until(lambda: _in_state(client, path, "finished"), what="the end of the rollout")
        assert {each["state"] for each in over["deployments"]} == {"deployed"}
        assert [fingerprint(nginx.served()) for nginx in servers] == [over["fingerprint"]] * 4
        begun = [each["deployed_at"] for each in over["deployments"]]
        assert begun[0] < begun[1] < min(begun[2:])
        found(client, "/notifier/v1/alerts", problem="rollout-stopped", state="resolved")


def _in_state(client: httpx.Client, path: str, state: str) -> Json | None:
    report: Json = accepted(client.get(path))
    return report if report["state"] == state else None
