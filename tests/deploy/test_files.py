"""What `deploy/` has is what Helm, Kubernetes, compose and systemd take, and what it promises of itself."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.program import NAMES, sections
from shared.settings import variable
from tests.deploy.parts import DEPLOY
from tests.servers.processes import MissingServer, program

CHART = DEPLOY / "helm" / "everleaf"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
TOOLS = CACHE / "everleaf" / "deploy-tools" / "bin" / "python"
EXPOSURE = 15
"""Tenths of what systemd calls exposure (0 to 10.0), at most."""


def asked(*arguments: str) -> dict[str, Any]:
    if not TOOLS.exists():
        raise MissingServer("Helm is not installed. Install it with: sh tests/servers/install.sh")
    script = str(Path(__file__).with_name("tools.py"))
    done = subprocess.run([TOOLS, script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_helm_and_kubernetes_take_the_chart_in_every_way_of_scaling():
    for kind in ("none", "hpa", "keda"):
        values = {"autoscaling": {"kind": kind, "queueMetric": "rabbitmq_queue_messages_ready"}}
        said = asked("chart", str(CHART), json.dumps(values))
        assert said["lint"]["errors"] == []
        assert said["faults"] == []
        kinds = [each["kind"] for each in said["objects"]]
        assert kinds.count("Deployment") == kinds.count("PodDisruptionBudget") == 6
        assert kinds.count("HorizontalPodAutoscaler") == (5 if kind == "hpa" else 0)
        assert kinds.count("ScaledObject") == (5 if kind == "keda" else 0)
        assert "Secret" not in kinds
        _hardened(said["objects"])
        _settings_of_ours(said["objects"])


def _hardened(objects: list[dict[str, Any]]) -> None:
    pods = [each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("Deployment", "Job")]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert not security["allowPrivilegeEscalation"]
            assert "limits" in container["resources"]
            # Secrets come as files; what a variable holds is in every crash report.
            assert all("valueFrom" not in each for each in container.get("env", []))


def _settings_of_ours(objects: list[dict[str, Any]]) -> None:
    known = {variable(section, name) for section, model in sections().items() for name in model.model_fields}
    known |= {f"{name}_FILE" for name in known}
    for each in objects:
        if each["kind"] in ("Deployment", "Job"):
            containers = each["spec"]["template"]["spec"]["containers"]
            told = {setting["name"] for container in containers for setting in container.get("env", [])}
            assert told <= known


def test_each_service_is_given_its_own_secrets_and_no_others():
    objects = asked("chart", str(CHART), "{}")["objects"]
    deployments = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
    for name in NAMES:
        volumes = deployments[f"house-{name}"]["spec"]["template"]["spec"]["volumes"]
        [secrets] = [volume["projected"]["sources"] for volume in volumes if volume["name"] == "secrets"]
        given = {item["path"] for source in secrets for item in source["secret"]["items"]}
        keys = {each for each in given if each.startswith("api-key-")}
        assert given - keys == {"kek", f"bus-{name}", f"db-{name}"}
        assert name == "inventory" or keys <= {f"api-key-{name}"}


def test_a_value_that_the_chart_does_not_know_is_refused():
    with pytest.raises(AssertionError, match="autoscaling"):
        asked("chart", str(CHART), json.dumps({"autoscaling": {"kind": "magic"}}))


def test_compose_takes_the_file_and_nobody_but_the_gateway_is_reached_from_outside():
    services = asked("compose", str(DEPLOY / "compose" / "compose.yaml"))["services"]
    assert {"postgresql", "rabbitmq", "migrate", "gateway", *NAMES} == set(services)
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    known = {variable(section, name) for section, model in sections().items() for name in model.model_fields}
    known |= {f"{name}_FILE" for name in known}
    for name in (*NAMES, "migrate"):
        service = services[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert set(service["environment"]) <= known
        assert not [key for key in service["environment"] if key.endswith(("PASSWORD", "KEK", "API_KEY"))]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is there."""
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/everleaf/bin/everleaf", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_takes_the_units_and_finds_little_that_is_exposed(units: Path):
    analyze = program("systemd-analyze", package="systemd")
    names = ("everleaf@inventory.service", "everleaf-migrate.service", "everleaf.target")
    paths = [str(units / name) for name in names]
    verified = subprocess.run(
        [analyze, "verify", "--man=no", *paths],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{units}:"},
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    for name in ("everleaf@.service", "everleaf-migrate.service"):
        looked = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", str(units / name)]
        judged = subprocess.run(looked, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout[-300:]


def test_the_image_is_of_several_stages_nobodys_root_and_holds_no_secret():
    text = (DEPLOY / "Containerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert text.count("\nFROM ") == 3
    assert "\nUSER 10001:10001\n" in last
    assert "\nHEALTHCHECK " in last
    assert "npm" not in last
    assert not re.search(r"(?i)(password|token|secret|key)=", text)
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # all that is not named stays outside
    copied = {
        path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for path in line.split()
    }
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert {path.split("/")[0] for path in copied} <= allowed
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["shared-data"]} <= copied
