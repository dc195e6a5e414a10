"""What the how-tos for pipelines, Ansible, Kubernetes and code show, run against a running platform."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.tree import ROOT
from tests.journeys.platforms import Platform, accepted
from tests.services.cli.remote.consoles import blocks, shell

HOW_TO = ROOT / "docs" / "how-to"
Person = dict[str, str]


@pytest.fixture
def machine(person: Person, platform: Platform) -> Person:
    """The environment of a pipeline: an address and a token."""
    token = Path(person["ADMIN_TOKEN"]).read_text().strip()
    return {**person, "EVERLEAF_URL": platform.url, "EVERLEAF_TOKEN": token}


def documents(page: str) -> list[Any]:
    """Return the YAML blocks of a page."""
    return [yaml.safe_load(text) for text in blocks(HOW_TO / page, "yaml")]


def test_a_gate_on_github_stops_at_what_ends_soon_and_at_nothing_else(machine: Person, tmp_path: Path):
    github, _ = documents("gate-a-pipeline.md")
    steps = github["jobs"]["gate"]["steps"]
    ended = [shell(step["run"], environ=machine, cwd=tmp_path) for step in steps]
    assert ended[-1].returncode == 3
    assert "old.example.test" in ended[-1].stdout
    assert "www.example.test" not in ended[-1].stdout
    nobody = {**machine, "EVERLEAF_URL": "http://127.0.0.1:9"}
    assert shell(steps[-1]["run"], environ=nobody, cwd=tmp_path).returncode == 1


def test_a_job_on_gitlab_orders_and_waits(machine: Person, tmp_path: Path):
    _, gitlab = documents("gate-a-pipeline.md")
    for line in gitlab["certificates"]["script"]:
        done = shell(line, environ=machine, cwd=tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}"
    assert '"state": "renewed"' in (tmp_path / "order.json").read_text()


def test_what_is_kept_as_code_is_planned_applied_and_then_found_as_it_should_be(
    machine: Person, platform: Platform, tmp_path: Path
):
    [wanted] = blocks(HOW_TO / "keep-it-as-code.md", "yaml")
    [script] = blocks(HOW_TO / "keep-it-as-code.md", "python")
    (tmp_path / "as_code.py").write_text(script)
    file = tmp_path / "wanted.yaml"
    file.write_text(wanted)

    def run(what: str) -> tuple[int, str]:
        done = shell(f"python as_code.py {what} wanted.yaml", environ=machine, cwd=tmp_path)
        return done.returncode, done.stdout

    both = "+ teams 'Shop'\n+ profiles 'shop'\n2 changes\n"
    assert run("plan") == (3, both)
    assert run("apply") == (0, both)
    assert run("plan") == (0, "0 changes\n")
    file.write_text(wanted.replace("0.5", "0.6"))
    assert run("apply") == (0, "~ profiles 'shop': renew_fraction\n1 changes\n")
    with platform.client() as client:
        profiles = accepted(client.get("/renewal/v1/profiles"))["items"]
    [shop] = [each for each in profiles if each["name"] == "shop"]
    assert (shop["renew_fraction"], shop["allowed_names"]) == (0.6, ["*.shop.example.test"])


def test_the_tasks_for_ansible_do_what_they_say(machine: Person, platform: Platform, tmp_path: Path):
    [[play]] = documents("use-from-ansible.md")
    look, order, team = play["tasks"]
    host = play["vars"]["host"]
    command = order["ansible.builtin.command"]["cmd"].replace("{{ host }}", host)
    before = shell(look["ansible.builtin.command"]["cmd"], environ=machine, cwd=tmp_path)
    assert before.returncode == 0
    assert host not in before.stdout
    assert shell(command, environ=machine, cwd=tmp_path).returncode == 0
    assert host in shell(look["ansible.builtin.command"]["cmd"], environ=machine, cwd=tmp_path).stdout

    asked = team["ansible.builtin.uri"]
    path = re.sub(r"^\{\{.*?\}\}", "", asked["url"])
    key = {"Idempotency-Key": asked["headers"]["Idempotency-Key"]}
    with platform.client() as client:
        for headers in (key, key, {}):
            answer = client.request(asked["method"], path, json=asked["body"], headers=headers)
            assert answer.status_code in asked["status_code"], answer.text


def test_jobs_in_kubernetes_run_what_they_say_with_what_they_are_given(machine: Person, tmp_path: Path):
    cron, job, source = documents("run-in-kubernetes-jobs.md")
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert _run(pod, machine, tmp_path).returncode == 3
    (tmp_path / "source.yaml").write_text(yaml.safe_dump(source))
    pod = job["spec"]["template"]["spec"]
    done = _run(pod, machine, tmp_path)
    assert done.returncode == 0, done.stdout
    assert source["credential"]["token"] not in done.stdout
    assert "this-cluster" in shell("everleaf sources", environ=machine, cwd=tmp_path).stdout


def _run(pod: Any, machine: Person, folder: Path) -> Any:
    """Run the one container of a pod: its command, with only the variables that it names, and its mount."""
    [container] = pod["containers"]
    assert {each["name"] for each in container["env"]} == {"EVERLEAF_URL", "EVERLEAF_TOKEN"}
    assert all(each["valueFrom"]["secretKeyRef"]["name"] == "everleaf" for each in container["env"])
    mounted = [each["mountPath"] for each in container.get("volumeMounts", ())]
    words = [*container["command"], *container["args"]]
    command = shlex.join(words)
    for path in mounted:
        command = command.replace(path, str(folder))
    return shell(command, environ=machine, cwd=folder)
