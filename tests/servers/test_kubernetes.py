"""The simulated cluster is taken for one by `kubectl`: discovery, lists in parts, and refusals."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.discovery.workshops.kubernetes import TOKEN, Cluster, workshop
from tests.servers.processes import program


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, Cluster)
        yield opened


async def kubectl(cluster: Cluster, folder: Path, *args: str) -> tuple[int, str]:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": cluster.server.api.url,
                    "certificate-authority-data": base64.b64encode(cluster.authority.pem).decode(),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        program("kubectl", package="kubernetes-client"),
        f"--kubeconfig={path}",
        f"--cache-dir={folder / 'cache'}",
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_kubectl_reads_it_in_parts_and_is_refused_as_by_a_real_one(cluster: Cluster, tmp_path: Path):
    put = cluster.put(7)
    status, said = await kubectl(
        cluster,
        tmp_path,
        "get",
        "secrets",
        "-n",
        "shop",
        "--chunk-size=2",
        "-o",
        "name",
        "--field-selector=type=kubernetes.io/tls",
    )
    assert (status, sorted(said.split())) == (
        0,
        sorted(f"secret/{path.split('/')[2]}" for path in put if "/shop/" in path),
    )
    assert len([each for each in cluster.server.api.asked if each.path.endswith("/secrets")]) == 2
    status, said = await kubectl(cluster, tmp_path, "get", "secrets", "-n", "other")
    assert (status, "(Forbidden)" in said, 'cannot list resource "secrets"' in said) == (1, True, True)
    status, said = await kubectl(cluster, tmp_path, "delete", "secret", "tls-0000", "-n", "shop")
    assert (status, "(Forbidden)" in said, 'cannot delete resource "secrets"' in said) == (1, True, True)


async def test_kubectl_watches_it(cluster: Cluster, tmp_path: Path):
    cluster.put(1)
    cluster.server.watch_seconds = 1.0
    watching = asyncio.create_task(
        kubectl(cluster, tmp_path, "get", "secrets", "-n", "shop", "-o", "name", "-w", "--request-timeout=1s")
    )
    while not any(each.query.get("watch") for each in cluster.server.api.asked):
        await asyncio.sleep(0.01)
        assert not watching.done(), watching.result()
    cluster.put(2)
    _, said = await watching
    assert [line for line in said.splitlines() if line.startswith("secret/")] == [
        "secret/tls-0000",
        "secret/tls-0002",
    ]
