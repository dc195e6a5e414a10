"""What a deployment asked of the API of its target, and whether that is what its plan had said."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from services.provisioner.connectors.aws.account import Aws
from services.provisioner.connectors.aws.session import CALLS
from services.provisioner.connectors.planning import PlannedCall, PlannedStep
from shared.appliances.powershell import PowerShell
from shared.web import WebApi

_READS_OR_LOGS_IN = (
    r"GET .*",
    r"POST /mgmt/shared/authn/login|DELETE /mgmt/shared/authz/tokens/.*",
    r"POST /nitro/v1/config/log(in|out)",
    r"POST /api/ type=(keygen|config&action=(get|show)|op&show).*",
    r"POST .*/oauth2/v2.0/token|POST /token",
    r"POST /v1/sys/capabilities-self",
    r"POST .* target\.test",
    r"[a-z]+:(Get|List|Describe)\w+",
)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Keep every request that targets send, as plans write them; what only reads or logs in is left out."""
    asked: list[str] = []
    answer, call, script = WebApi.answer, Aws.call, PowerShell.ask

    async def over_http(api: WebApi, method: str, path: str, **question: Any) -> Any:
        asked.append(f"{method} {path}{_told(path, question)}")
        return await answer(api, method, path, **question)

    async def of_aws(aws: Aws, service: str, name: str, **question: Any) -> Any:
        asked.append(CALLS[service][name])
        return await call(aws, service, name, **question)

    async def by_script(shell: PowerShell, text: str, **question: Any) -> Any:
        asked.append(text)
        return await script(shell, text, **question)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WebApi, "answer", over_http)
        patch.setattr(Aws, "call", of_aws)
        patch.setattr(PowerShell, "ask", by_script)
        yield asked


def _told(path: str, question: Mapping[str, Any]) -> str:
    """Return what tells requests to the same path apart."""
    if path == "/api/":  # PAN-OS
        said = {**(question.get("params") or {}), **(question.get("data") or {})}
        words = [f"{name}={said[name]}" for name in ("type", "action", "xpath") if name in said]
        return " " + "&".join([*words, *re.findall(r"<(show)>", said.get("cmd", ""))])
    if "content" in question and path.endswith("/everleaf"):
        return f" {json.loads(question['content'])['type']}"
    query = "&".join(f"{name}={value}" for name, value in (question.get("params") or {}).items())
    return f"?{query}" if query else ""


def must_be_as_planned(asked: Sequence[str], steps: Sequence[PlannedStep]) -> None:
    """Compare what was asked with a plan: in its order, nothing beside, and nothing left out but what has a condition."""
    calls = [call for step in steps for call in step.calls]
    scripts = [each for each in asked if "\n" in each]
    if scripts:
        assert all(any(_word(call) in script for script in scripts) for call in calls), calls
        return
    left = list(calls)
    for each in asked:
        if any(re.fullmatch(pattern, each) for pattern in _READS_OR_LOGS_IN):
            continue
        while left and not _is(left[0], each):
            skipped = left.pop(0)
            assert skipped.when, (each, skipped)
        assert left, (each, calls)
        left.pop(0)
    assert all(call.when for call in left), left


def _word(call: PlannedCall) -> str:
    return call.request.partition(".")[0].split()[0]


def _is(call: PlannedCall, asked: str) -> bool:
    parts = re.split(r"\{[a-z]+\}", call.request)
    pattern = ".+".join(re.escape(part) for part in parts)
    return re.fullmatch(f"{pattern}([?& ].*)?", asked) is not None
