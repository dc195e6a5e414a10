"""The program as a process: what it says, and with which code it ends."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.processes import free_port

PROGRAM = Path(sys.executable).parent / "everleaf"


def environ(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERLEAF_")}
    return {**clean, "EVERLEAF_LOG_FORMAT": "json", **settings}


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        env=environ(**settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


@contextlib.contextmanager
def running(*command: str, port: int, cwd: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a command until the block ends; it is ready when the block begins."""
    arguments = [*command, "--data", str(cwd / "data"), "--port", str(port)]
    with subprocess.Popen(
        arguments, env=environ(), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until_ready(port, process)
            yield process
        finally:
            process.kill()


def until_ready(port: int, process: "subprocess.Popen[str]") -> None:
    for _ in range(300):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("not ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_everything_and_ends_with_0_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with running(str(PROGRAM), "up", port=port, cwd=tmp_path) as process:
        base = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{base}/livez").is_success
        assert "python_info" in httpx.get(f"{base}/metrics").text
        assert httpx.get(f"{base}/renewal/openapi.json").json()["info"]["title"] == "Everleaf renewal"
        token = tmp_path / "data" / "admin.token"
        assert token.stat().st_mode & 0o777 == 0o600
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        for path in ("inventory/v1/certificates", "discovery/v1/scans", "renewal/v1/orders"):
            assert httpx.get(f"{base}/{path}").status_code == 401
            assert httpx.get(f"{base}/{path}", headers=headers).is_success
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert "everleaf.stopped" in process.stderr.read()


def test_a_second_up_on_the_same_data_is_refused_in_one_line(tmp_path: Path) -> None:
    with running(str(PROGRAM), "up", port=free_port(), cwd=tmp_path):
        second = run("up", "--data", str(tmp_path / "data"), "--port", str(free_port()), cwd=tmp_path)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith("everleaf: Another `everleaf up` is running on")
    assert second.stderr.count("\n") == 1


def test_a_crashed_worker_ends_the_process_with_1(tmp_path: Path) -> None:
    crashing = (
        "from shared.store.outbox import Relay\n"
        "async def run(self): raise RuntimeError('the worker crashed')\n"
        "Relay.run = run\n"
        "from services.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", crashing, "up", "--data", str(tmp_path / "data"), "--port", str(free_port())],
        env=environ(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 1
    assert "the worker crashed" in done.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"EVERLEAF_DISCOVERY_TIMEOUT": "soon"}, "EVERLEAF_DISCOVERY_TIMEOUT (from the environment): "),
        ({"EVERLEAF_LOG_LEVEL": "loud"}, "EVERLEAF_LOG_LEVEL (from the environment): "),
        ({"EVERLEAF_BUS_ULR": "amqp://x"}, "EVERLEAF_BUS_ULR (from the environment) is not a setting."),
        ({"EVERLEAF_KEK_FILE_FILE": "/none"}, "EVERLEAF_KEK_FILE_FILE (from the environment): /none cannot"),
        ({"EVERLEAF_OUTBOUND_ALLOW": "10.0.0.0/99"}, "outbound_allow: "),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_is_started(
    settings: dict[str, str], line: str, tmp_path: Path
) -> None:
    done = run("up", "--data", str(tmp_path / "data"), cwd=tmp_path, **settings)
    assert done.returncode == 2
    assert done.stderr.startswith(f"everleaf: {line}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", [("serve", "inventory"), ("migrate",)])
def test_every_command_refuses_a_wrong_setting_before_anything_is_made(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(*command, "--data", str(tmp_path / "data"), cwd=tmp_path, EVERLEAF_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("everleaf: EVERLEAF_LOG_LEVEL (from the environment): ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = run("up", "--data", str(tmp_path / "data"), "--port", str(port), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"everleaf: Cannot listen on 127.0.0.1 port {port}")
    assert "Traceback" not in done.stderr


def test_migrate_makes_a_database_for_each_service(tmp_path: Path) -> None:
    done = run("migrate", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.stem for path in (tmp_path / "data").glob("*.db")}
    assert made == {"discovery", "inventory", "renewal", "provisioner", "notifier", "bus"}


def test_a_wrong_setting_in_the_file_is_said_to_be_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "everleaf.toml").write_text('[discovery]\nconcurrency = "many"\n')
    done = run("migrate", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 2
    assert "EVERLEAF_DISCOVERY_CONCURRENCY (from everleaf.toml): " in done.stderr


def test_serving_before_migrating_says_what_to_run_first(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    early = run("serve", "discovery", "--data", data, "--port", str(free_port()), cwd=tmp_path)
    assert early.returncode == 1
    assert "Run `everleaf migrate discovery` first." in early.stderr
    done = run("migrate", "discovery", "--data", data, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Ready: discovery.\n")
    with sqlite3.connect(tmp_path / "data" / "discovery.db") as database:
        assert database.execute("SELECT count(*) FROM scans").fetchone() == (0,)
    database.close()
    with running(str(PROGRAM), "serve", "discovery", port=free_port(), cwd=tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_an_unknown_service_is_told_with_the_known_ones(tmp_path: Path) -> None:
    done = run("serve", "weather", cwd=tmp_path)
    assert done.returncode == 2
    assert "Choose one of inventory, discovery, renewal, provisioner, notifier." in done.stderr
    assert "Traceback" not in done.stderr


def test_all_settings_are_listed(tmp_path: Path) -> None:
    done = run("settings", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert {"EVERLEAF_DISCOVERY_MAX_TARGETS=1048576", "EVERLEAF_BUS_URL="} <= set(lines)
    assert "EVERLEAF_INVENTORY_DATABASE_URL=" in lines
