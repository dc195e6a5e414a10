"""`everleaf scan` as a process, against a real nginx."""

import json
from pathlib import Path

from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port
from tests.servers.tls import fingerprint
from tests.services.cli.test_program import run


def test_results_are_json_lines_in_a_pipe_and_counts_are_on_stderr(
    start_nginx: StartNginx, tmp_path: Path
) -> None:
    nginx = start_nginx("a.test", "b.test")
    ports = f"{nginx.port},{free_port()}"
    done = run("scan", "127.0.0.1", "--ports", ports, "--sni", "a.test", "--sni", "b.test", cwd=tmp_path)
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    seen = {r["server_name"]: r["fingerprint"] for r in records if r["outcome"] == "tls"}
    assert seen == {site.server_name: fingerprint(site.issued.certificate) for site in nginx.sites}
    assert done.stderr.strip().endswith("asked 4, tls 2, refused 2")


def test_targets_come_from_a_file_and_results_go_to_one(start_nginx: StartNginx, tmp_path: Path) -> None:
    nginx = start_nginx()
    (tmp_path / "targets").write_text(f"# the web server\nhttps://127.0.0.1:{nginx.port}\n")
    done = run("scan", "--targets", "targets", "--output", "found.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = (tmp_path / "found.jsonl").read_text().splitlines()
    assert json.loads(line)["port"] == nginx.port


def test_a_scan_that_finds_nothing_ends_with_1(tmp_path: Path) -> None:
    assert run("scan", f"127.0.0.1:{free_port()}", cwd=tmp_path).returncode == 1


def test_what_cannot_be_scanned_ends_with_2_and_one_line(tmp_path: Path) -> None:
    for arguments in (["10.0.0.0/4"], ["127.0.0.1", "--ports", "70000"], ["no such host"], []):
        done = run("scan", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("everleaf: ")
        assert "Next step: " in done.stderr


def test_what_is_not_there_yet_is_refused(tmp_path: Path) -> None:
    assert run("scan", "127.0.0.1", "--depth", "full", cwd=tmp_path).returncode == 2
