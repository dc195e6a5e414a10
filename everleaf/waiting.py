"""Long work, and how one sees that it has ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from everleaf.calls import Call, Page
from everleaf.contracts import discovery, provisioner, renewal

T = TypeVar("T")


def _state(seen: Any) -> str:
    return str(seen["state"])


def _nothing(_: Any) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Wait(Generic[T]):
    """What is waited for: how to look, and which states end it, well or otherwise."""

    what: str
    """As a person would call it: `scan 0198…`."""
    look: Call[T]
    good: frozenset[str]
    bad: frozenset[str]
    """What does not go on by itself; a person has to do something."""
    state: Callable[[T], str] = _state
    share: Callable[[T], float | None] = _nothing
    """How much of it is done, from 0 to 1, where that is known."""

    def is_good(self, seen: T) -> bool:
        """Return whether it has ended as hoped."""
        return self.state(seen) in self.good

    def is_bad(self, seen: T) -> bool:
        """Return whether it has ended otherwise."""
        return self.state(seen) in self.bad


def scan(scan_id: str) -> Wait[discovery.ScanView]:
    """Wait for a scan's end."""
    return Wait(
        what=f"scan {scan_id}",
        look=discovery.get_scan(scan_id),
        good=frozenset({"finished"}),
        bad=frozenset({"cancelled", "failed", "paused"}),
        share=lambda seen: seen["percent"] / 100,
    )


def source_run(source_id: str, run_id: str) -> Wait[Page[discovery.SourceRunView]]:
    """Wait until a source has been read."""

    def state(seen: Page[discovery.SourceRunView]) -> str:
        return next((run["state"] for run in seen["items"] if run["id"] == run_id), "unknown")

    return Wait(
        what=f"run {run_id}",
        look=discovery.list_source_runs(source_id),
        good=frozenset({"finished"}),
        bad=frozenset({"failed", "superseded", "unknown"}),
        state=state,
    )


def order(order_id: str) -> Wait[renewal.OrderReport]:
    """Wait until an order's certificate is there."""
    return Wait(
        what=f"order {order_id}",
        look=renewal.get_order(order_id),
        good=frozenset({"renewed"}),
        bad=frozenset({"failed"}),
    )


def deployment(deployment_id: str) -> Wait[provisioner.DeploymentReport]:
    """Wait until a certificate is in place, and was watched there."""
    return Wait(
        what=f"deployment {deployment_id}",
        look=provisioner.get_deployment(deployment_id),
        good=frozenset({"deployed"}),
        bad=frozenset({"failed", "needs_attention", "superseded", "cancelled"}),
    )


def deployed(order_id: str) -> Wait[Page[provisioner.DeploymentView]]:
    """Wait until an order's certificate is in every slot where it belongs."""
    good, bad = deployment("").good, deployment("").bad

    def state(seen: Page[provisioner.DeploymentView]) -> str:
        states = [each["state"] for each in seen["items"]]
        worst = next((each for each in states if each in bad), None)
        waits = next((each for each in states if each not in good), None)
        return str(worst or waits or (states[0] if states else "not begun"))

    def share(seen: Page[provisioner.DeploymentView]) -> float | None:
        items = seen["items"]
        return sum(each["state"] in good for each in items) / len(items) if items else None

    return Wait(
        what=f"deployment of order {order_id}",
        look=provisioner.list_deployments(order_id=order_id, limit=1000),
        good=good,
        bad=bad,
        state=state,
        share=share,
    )


def rollout(rollout_id: str) -> Wait[provisioner.RolloutReport]:
    """Wait until a certificate is everywhere where it belongs."""
    return Wait(
        what=f"rollout {rollout_id}",
        look=provisioner.get_rollout(rollout_id),
        good=frozenset({"finished"}),
        bad=frozenset({"stopped", "aborted", "superseded"}),
    )


def plan(campaign_id: str) -> Wait[renewal.CampaignReport]:
    """Wait until it is known what a campaign would do."""
    return Wait(
        what=f"plan of campaign {campaign_id}",
        look=renewal.get_campaign(campaign_id),
        good=frozenset({"planned", "awaiting_approval", "running", "finished"}),
        bad=frozenset({"aborted", "paused"}),
    )


def campaign(campaign_id: str) -> Wait[renewal.CampaignReport]:
    """Wait for a campaign's end."""
    return Wait(
        what=f"campaign {campaign_id}",
        look=renewal.get_campaign(campaign_id),
        good=frozenset({"finished"}),
        bad=frozenset({"aborted", "paused"}),
        share=_share_of_campaign,
    )


def _share_of_campaign(seen: Mapping[str, Any]) -> float | None:
    ended = sum(seen["counts"].get(state, 0) for state in ("replaced", "failed", "by-hand", "skipped"))
    return ended / seen["total"] if seen["total"] else None
