"""A host is read with a login and looked at without one, and the inventory sets both beside each other."""

import httpx

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import scan
from tests.journeys.platforms import Json, accepted, items, until
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority


async def test_a_forgotten_reload_is_seen_until_the_server_is_reloaded(
    start_platform: StartPlatform, start_nginx: StartNginx, sshd: Sshd, lab_ca: CertificateAuthority
) -> None:
    platform = start_platform("embedded")
    nginx = start_nginx("a.example.test", "b.example.test")
    renewed = lab_ca.issue("a.example.test")
    first = nginx.sites[0]
    first.certificate.write_bytes(renewed.chain_pem)
    first.key.write_bytes(renewed.key_pem)
    nginx.sites[1].key.chmod(0o644)
    with platform.client() as client:
        web = accepted(client.post("/discovery/v1/sources", json=source(sshd, nginx)))["id"]
        accepted(client.post(f"/discovery/v1/sources/{web}/runs"))
        _scan_until(client, nginx, {"a.example.test": ["not-served"], "b.example.test": ["key-exposed"]})

        nginx.reload()
        nginx.until_served(first, renewed)
        _scan_until(client, nginx, {"a.example.test": [], "b.example.test": ["key-exposed"]})
        [held] = items(client, "/inventory/v1/holdings", fingerprint=renewed.fingerprint)
        [slot, for_any_name] = held["slots"]
        assert (slot["product"], slot["port"], slot["server_name"]) == ("nginx", nginx.port, "a.example.test")
        assert [seen["fingerprint"] for seen in slot["served"]] == [renewed.fingerprint]
        assert (for_any_name["server_name"], for_any_name["is_served"]) == (None, None), "nobody asked so"


def source(sshd: Sshd, nginx: Nginx) -> Json:
    """Return the body that makes this host, with this nginx, a source."""
    return {
        "name": "web-1",
        "kind": "linux-ssh",
        "settings": {
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "host_key": sshd.host_key,
            "folders": [str(nginx.directory)],
            "configurations": {"nginx": str(nginx.directory / "nginx.conf")},
        },
        "credential": {"private_key": sshd.client_key},
    }


def _scan_until(client: httpx.Client, nginx: Nginx, wanted: dict[str, list[str]]) -> None:
    """Look again and again: for a moment after a reload, workers of before still take connections."""

    def found() -> dict[str, list[str]]:
        rows = items(client, "/inventory/v1/holdings")
        return {row["held"]["uses"][0]["server_names"][0]: row["flaws"] for row in rows}

    until(lambda: scan(client, *nginx.sites) and found() == wanted, what=f"{wanted}", within=60)
