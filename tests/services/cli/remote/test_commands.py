"""The commands against a running platform, in a shell, as a person or a pipeline uses them."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.journeys.platforms import Platform
from tests.services.cli.remote.consoles import blocks, shell, steps

HOW_TO = ROOT / "docs" / "how-to"
Person = dict[str, str]


@pytest.fixture
def signed_in(person: Person, platform: Platform) -> Person:
    """The same with an address and a token in the environment."""
    return {**person, "EVERLEAF_URL": platform.url, "EVERLEAF_TOKEN_FILE": person["ADMIN_TOKEN"]}


def test_the_session_that_is_written_down_happens_as_it_is_written(person: Person, tmp_path: Path):
    page = HOW_TO / "use-the-command-line.md"
    told = list(steps(page))
    assert len(told) > 10
    for step in told:
        said = shell(step.command, environ=person, cwd=tmp_path).stdout
        assert step.fits(said), f"$ {step.command}\n{said}\n--- is written as ---\n{step.output}"


def test_the_program_that_is_written_down_runs(person: Person, platform: Platform, tmp_path: Path):
    [program] = blocks(HOW_TO / "use-the-command-line.md", "python")
    token = Path(person["ADMIN_TOKEN"]).read_text().strip()
    script = tmp_path / "program.py"
    script.write_text(f"url, token = {platform.url!r}, {token!r}\n{program}")
    done = shell(f"python {script}", environ=person, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "old.example.test" in done.stdout
    assert done.stdout.splitlines()[-1] == "renewed"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("everleaf wai", "wait-for"),
        ("everleaf wait-for dep", "deployment deployed"),
        ("everleaf alerts --severity crit", "critical"),
        ("everleaf certs --profile st", "staging"),
    ],
)
def test_bash_completes_commands_choices_and_profiles(
    person: Person, tmp_path: Path, words: str, offered: str
):
    config = tmp_path / ".config" / "everleaf"
    config.mkdir(parents=True)
    (config / "profiles.toml").write_text('[profiles.staging]\nurl = "https://staging.example.com"\n')
    (config / "profiles.toml").chmod(0o600)
    script = (
        "source <(_EVERLEAF_COMPLETE=source_bash everleaf)\n"
        f"COMP_WORDS=({words}); COMP_CWORD={words.count(' ')}\n"
        '_everleaf_completion everleaf; echo "${COMPREPLY[@]}"'
    )
    assert shell(script, environ=person, cwd=tmp_path).stdout.strip() == offered


def test_the_scripts_of_other_shells_are_there(person: Person, tmp_path: Path):
    for name in ("zsh", "fish"):
        said = shell(f"_EVERLEAF_COMPLETE=source_{name} everleaf", environ=person, cwd=tmp_path).stdout
        assert f"_EVERLEAF_COMPLETE=complete_{name}" in said


def test_a_file_of_tokens_that_others_can_read_is_refused(person: Person, tmp_path: Path):
    config = tmp_path / ".config" / "everleaf"
    config.mkdir(parents=True)
    (config / "profiles.toml").write_text('[profiles.a]\nurl = "https://a.example.com"\ntoken = "x"\n')
    (config / "profiles.toml").chmod(0o644)
    done = shell("everleaf certs --profile a", environ=person, cwd=tmp_path)
    assert done.returncode == 2
    assert "others can read it (mode 644)" in done.stdout
    assert "chmod 600" in done.stdout


def test_a_profiles_token_is_sent_to_its_own_platform_only(person: Person, tmp_path: Path):
    shell('everleaf profiles add house --url "$URL" < "$ADMIN_TOKEN"', environ=person, cwd=tmp_path)
    done = shell(
        "everleaf certs --profile house --url https://evil.example.com", environ=person, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "is sent nowhere else" in done.stdout
    done = shell("everleaf certs --url https://evil.example.com", environ=person, cwd=tmp_path)
    assert "There is no token for https://evil.example.com" in done.stdout


KEYRING = """
import json, pathlib
from keyring.backend import KeyringBackend

FILE = pathlib.Path(__file__).with_name("kept.json")

class Kept(KeyringBackend):
    priority = 1

    def all(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}

    def get_password(self, service, username):
        return self.all().get(f"{service} {username}")

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({**self.all(), f"{service} {username}": password}))

    def delete_password(self, service, username):
        FILE.write_text(json.dumps({}))
"""


def test_a_token_goes_into_the_keyring_where_there_is_one(person: Person, tmp_path: Path):
    (tmp_path / "own_keyring.py").write_text(KEYRING)
    environ = {**person, "PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "own_keyring.Kept"}
    added = shell('everleaf profiles add house --url "$URL" < "$ADMIN_TOKEN"', environ=environ, cwd=tmp_path)
    assert added.stdout == "Added house: the token is in the keyring.\n"
    assert "token" not in (tmp_path / ".config" / "everleaf" / "profiles.toml").read_text()
    assert shell("everleaf certs summary", environ=environ, cwd=tmp_path).returncode == 0
    shell("everleaf profiles remove house", environ=environ, cwd=tmp_path)
    assert (tmp_path / "kept.json").read_text() == "{}"


def test_no_platform_no_token_and_no_command_are_told_apart(signed_in: Person, tmp_path: Path):
    bad = {**signed_in, "EVERLEAF_TOKEN": "nonsense"}
    assert shell("everleaf certs", environ=bad, cwd=tmp_path).returncode == 6
    nobody = {**signed_in, "EVERLEAF_URL": "http://127.0.0.1:9"}
    done = shell("everleaf certs", environ=nobody, cwd=tmp_path)
    assert done.returncode == 1
    assert "Next step: Check the address" in done.stdout
    assert shell("everleaf certs --expiring soon", environ=signed_in, cwd=tmp_path).returncode == 2
    lost = shell("everleaf certs --profile other summary", environ=signed_in, cwd=tmp_path)
    assert lost.returncode == 2
    assert "Write options after it: everleaf certs summary" in lost.stdout
    assert shell("everleaf certs | true", environ=signed_in, cwd=tmp_path).stdout == ""


def test_a_wait_that_takes_too_long_ends_with_5(signed_in: Person, tmp_path: Path):
    ordered = "everleaf renew new late.example.test --using web --json"
    command = f"""id=$({ordered} | python -c 'import json, sys; print(json.load(sys.stdin)["id"])')
        everleaf wait-for order $id && everleaf wait-for deployed late.example.test --order $id --timeout 1s"""
    done = shell(command, environ=signed_in, cwd=tmp_path)
    assert done.returncode == 5, done.stdout
    assert "is still not begun after 1 seconds" in done.stdout


def test_on_a_terminal_a_row_is_one_line_and_a_name_can_do_nothing_to_it(signed_in: Person, tmp_path: Path):
    said = _on_a_terminal("everleaf certs", environ=signed_in, cwd=tmp_path)
    lines = said.strip().splitlines()
    assert lines[0].startswith("NAME")
    assert all(len(line) <= 80 for line in lines)
    assert any(line.endswith("…") for line in lines)


def _on_a_terminal(command: str, *, environ: Mapping[str, str], cwd: Path) -> str:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            ["bash", "-c", f"stty cols 80; {command}"],
            env=environ,
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        parts = []
        while True:
            try:
                part = screen.read(4096)
            except OSError:  # nobody holds the other end any more
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(60) == 0
    return b"".join(parts).decode()
