"""`everleaf scan`, as it is called: what it prints where, and with which code it ends."""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.cli import main
from services.cli.results import Table
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from tests.servers.nginx import Nginx, StartNginx
from tests.servers.processes import free_port
from tests.servers.tls import new_key

ROOT = Path(__file__).parents[3]
EVERLEAF = [sys.executable, "-c", "from services.cli import main; main()", "scan"]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a call came to."""

    code: int
    stdout: str
    stderr: str


Everleaf = Callable[..., Done]


@pytest.fixture
def everleaf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Everleaf:
    """Calls the command in this process, as its own would."""

    def call(*arguments: str, given: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["everleaf", "scan", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(code=int(ended.value.code or 0), stdout=printed.out, stderr=printed.err)

    return call


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def nginx(start_nginx: StartNginx) -> Nginx:
    return start_nginx("a.test", "b.test")


def test_a_pipe_gets_a_json_line_for_each_place(nginx: Nginx) -> None:
    closed = free_port()
    arguments = ["127.0.0.1", "--ports", f"{nginx.port},{closed}", "--sni", "a.test", "--sni", "b.test"]
    done = subprocess.run([*EVERLEAF, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
    places = {(one["port"], one["server_name"]): one for one in lines(done.stdout)}
    assert len(places) == 4
    for site in nginx.sites:
        found = places[nginx.port, site.server_name]
        assert (found["outcome"], found["fingerprint"]) == ("tls", site.issued.fingerprint)
        assert found["names"] == [site.server_name]
        assert found["tls_version"].startswith("TLSv1.")
    assert places[closed, "a.test"]["outcome"] == "refused"
    assert "asked 4, tls 2, refused 2" in done.stderr


def test_a_terminal_gets_a_table(nginx: Nginx) -> None:
    ours, theirs = pty.openpty()
    target = f"https://127.0.0.1:{nginx.port}"
    done = subprocess.run(
        [*EVERLEAF, target], stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, timeout=60, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert f"127.0.0.1:{nginx.port}" in shown
    assert "a.test" in shown
    assert "{" not in shown


def test_targets_come_from_files_and_from_stdin_and_results_go_to_a_file(
    everleaf: Everleaf, nginx: Nginx, tmp_path: Path
) -> None:
    (tmp_path / "targets").write_text(f"# ours\n127.0.0.1:{nginx.port}  # nginx\n\n")
    output = tmp_path / "results"
    done = everleaf("--targets", str(tmp_path / "targets"), "--output", str(output))
    assert (done.code, done.stdout) == (0, "")
    assert [one["port"] for one in lines(output.read_text())] == [nginx.port]
    for arguments in (["-"], ["--targets", "-"]):
        done = everleaf(*arguments, given=f"127.0.0.1:{nginx.port}\n")
        assert [one["outcome"] for one in lines(done.stdout)] == ["tls"]


def test_the_code_is_1_where_no_certificate_was_found(everleaf: Everleaf) -> None:
    done = everleaf(f"127.0.0.1:{free_port()}", "no-such-host.invalid", "169.254.169.254")
    assert done.code == 1
    assert sorted(one["outcome"] for one in lines(done.stdout)) == ["excluded", "failed", "refused"]
    assert "asked 3, refused 1, excluded 1, failed 1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "There is nothing to scan"),
        (["127.0.0.1", "--ports", "70000"], "'70000' is not a port"),
        (["10.0.0.0/4"], "the limit is"),
        (["no target"], "is not an address"),
        (["127.0.0.1", "--sni", "192.0.2.1"], "no server can be asked for it"),
        (["127.0.0.1", "--exclude", "x"], "is not an address, a network or a range"),
        (["127.0.0.1", "--starttls", "gopher"], "not a protocol that we speak"),
        (["127.0.0.1", "--fail-on", "ugly"], "'ugly' is none of the things"),
        (["--targets", "/no/such/file"], "cannot be read"),
        (["127.0.0.1", "--output", "/no/such/folder/file"], "--output"),
    ],
)
def test_the_code_is_2_and_one_line_says_why_where_it_cannot_be_scanned_as_asked(
    everleaf: Everleaf, arguments: list[str], says: str
) -> None:
    done = everleaf(*arguments)
    assert (done.code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("everleaf: ")
    assert says in line
    assert "Next step: " in line


async def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    child = await asyncio.create_subprocess_exec(
        *EVERLEAF, "127.0.0.0/20", "--ports", "1", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert json.loads(await child.stdout.readline())
    child.stdout._transport.close()  # type: ignore[attr-defined] # a pipe has no public way to stop reading
    assert "Traceback" not in (await child.stderr.read()).decode()
    assert await child.wait() == 0


def test_a_strangers_certificate_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "\x1b]0;owned\x07[red]shop[/red]")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=365))
    der = builder.public_key(key.public_key()).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    writer = Table(sys.stdout)
    row = writer.row(Sighting(asked=Asked(address="::1", port=443), outcome=Outcome.TLS, chain=(der,)))
    assert row is not None
    writer.put([row])
    writer.finish()
    shown = capsys.readouterr().out
    assert "[::1]:443" in shown
    assert "\x1b]" not in shown
    assert "\x07" not in shown
