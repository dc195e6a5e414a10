"""The program as people and scripts meet it: what it prints, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.journeys.platforms import Embedded
from tests.servers.processes import free_port

EVERLEAF = Path(sys.executable).parent / "everleaf"


def everleaf(*arguments: str, cwd: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")}
    return subprocess.run(
        [EVERLEAF, *arguments],
        cwd=cwd,
        env={**inherited, "EVERLEAF_DATA_DIR": str(cwd / "data"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", [("up",), ("serve", "inventory"), ("migrate",)])
def test_a_wrong_setting_is_one_line_and_exit_2_before_anything_is_made(
    tmp_path: Path, command: tuple[str, ...]
):
    done = everleaf(*command, cwd=tmp_path, EVERLEAF_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("everleaf: EVERLEAF_LOG_LEVEL (from the environment): ")
    assert not (tmp_path / "data").exists()


def test_an_unknown_service_is_one_line_that_lists_the_known(tmp_path: Path):
    done = everleaf("serve", "gardening", cwd=tmp_path)
    assert done.returncode == 2
    assert "discovery" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_lists_every_setting_of_every_section(tmp_path: Path):
    done = everleaf("settings", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "EVERLEAF_BUS_URL=" in done.stdout
    assert "EVERLEAF_INVENTORY_DATABASE_URL=" in done.stdout


def test_migrate_makes_a_database_for_each_service(tmp_path: Path):
    done = everleaf("migrate", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "data").glob("*.db")}
    assert {"discovery.db", "inventory.db", "renewal.db", "provisioner.db", "notifier.db", "bus.db"} <= made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_all_until_it_is_told_to_stop_and_then_exits_with_0(tmp_path: Path, number: signal.Signals):
    platform = Embedded(tmp_path, environ={})
    platform.start()
    process = platform.processes["up"]
    try:
        assert httpx.get(f"{platform.url}/livez").status_code == 200
        assert httpx.get(f"{platform.url}/inventory/v1/certificates").status_code == 401
        second = everleaf("up", "--port", str(free_port()), cwd=tmp_path)
        assert (second.returncode, second.stdout) == (1, "")
        assert "Another `everleaf up` is running" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.stop(with_signal=number)
    assert process._popen.returncode == 0, platform.logs()
    assert '"event": "everleaf.stopped"' in platform.logs()


def test_a_port_that_is_taken_is_one_line_and_exit_1(tmp_path: Path):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = everleaf("up", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr
