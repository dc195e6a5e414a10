"""The alerts about rollouts that have stopped, slots that others have changed, and certificates that wait to be put in place."""

from datetime import timedelta

from shared.events.notifier import Severity
from shared.events.provisioner import (
    BindingDrifted,
    BindingSettled,
    DeploymentApprovalSettled,
    DeploymentAwaitingApproval,
    RolloutChanged,
)
from tests.notifier.test_hooks import awaiting, settled
from tests.notifier.workshop import NEW, NOON, OLD, Workshop

HOUR = timedelta(hours=1)


def rollout(state: str, *, hours: int = 0) -> RolloutChanged:
    is_stopped = state == "stopped"
    return RolloutChanged(
        rollout_id="rollout-1",
        lineage_id="lineage-1",
        order_id="order-1",
        fingerprint=NEW,
        state=state,
        wave=0,
        counts={"restored": 1, "waiting": 3},
        reason="web-1: nginx -t: exit 1." if is_stopped else None,
        next_step="Resume it, or abort it." if is_stopped else None,
        changed_at=NOON + hours * HOUR,
    )


def drifted(*, is_put_right: bool = False, hours: int = 0) -> BindingDrifted:
    return BindingDrifted(
        binding_id="binding-1",
        lineage_id="lineage-1",
        target="web-1",
        slot="/etc/tls/shop.pem",
        place="tls://192.0.2.1:443/shop.test",
        fingerprint=NEW,
        found=OLD,
        is_put_right=is_put_right,
        drifted_at=NOON + hours * HOUR,
    )


async def test_a_rollout_that_has_stopped_is_an_alert_until_it_goes_on(small_shop: Workshop) -> None:
    await small_shop.hear(rollout("running"))
    await small_shop.hear(rollout("stopped", hours=1))
    alert = await small_shop.alert(problem="rollout-stopped")
    assert (alert.state, alert.severity, alert.lineage_id) == ("open", Severity.ERROR, "lineage-1")
    assert alert.details["reason"] == "web-1: nginx -t: exit 1."
    small_shop.clock.passes(2 * HOUR)
    await small_shop.hear(rollout("running", hours=2))
    assert (await small_shop.alert(problem="rollout-stopped")).state == "resolved"


async def test_a_rollout_that_stops_again_is_an_alert_again(small_shop: Workshop) -> None:
    for hours, state in enumerate(("stopped", "running", "stopped")):
        await small_shop.hear(rollout(state, hours=hours))
    assert (await small_shop.alert(problem="rollout-stopped", state="open")).state == "open"


async def test_a_slot_that_others_have_changed_is_an_alert_until_ours_is_seen_there(
    small_shop: Workshop,
) -> None:
    await small_shop.hear(drifted())
    alert = await small_shop.alert(problem="drifted")
    assert (alert.state, alert.severity) == ("open", Severity.ERROR)
    assert OLD in str(alert.details["reason"])
    await small_shop.hear(
        BindingSettled(binding_id="binding-1", lineage_id="lineage-1", settled_at=NOON + HOUR)
    )
    assert (await small_shop.alert(problem="drifted")).state == "resolved"


async def test_what_is_put_right_by_itself_is_only_a_warning(small_shop: Workshop) -> None:
    await small_shop.hear(drifted(is_put_right=True))
    assert (await small_shop.alert(problem="drifted")).severity == Severity.WARNING


async def test_a_certificate_that_waits_to_be_put_in_place_is_decided_on_where_it_waits(
    small_shop: Workshop,
) -> None:
    told = awaiting(kind="rollout").model_dump()
    await small_shop.hear(DeploymentAwaitingApproval.model_validate(told))
    alert = await small_shop.alert(problem="awaiting-approval")
    assert "POST /provisioner/v1/approvals/approval-1/decisions" in str(alert.details["next_step"])
    small_shop.clock.passes(2 * HOUR)
    await small_shop.hear(DeploymentApprovalSettled.model_validate(settled().model_dump()))
    assert (await small_shop.alert(problem="awaiting-approval")).state == "resolved"
