"""A certificate is sent on its way into slots: all at once, or in the waves that the policy of its lineage says."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network

from services.provisioner import store
from services.provisioner.actions.rollouts import Rollouts, waves_of
from services.provisioner.domain import Hold, Phase, State
from services.provisioner.domain.order import CANARY, arranged, in_waves
from services.provisioner.domain.rollouts import RolloutState
from shared.ids import new_id
from shared.store import Transaction

_NEWER = "A newer certificate goes out instead."


class Sending:
    """Makes the deployments of a renewal."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    async def send(
        self, tx: Transaction, renewal: store.Renewal, bindings: Sequence[store.Binding], *, now: datetime
    ) -> None:
        """Send a certificate to these bindings, where it is not on its way already."""
        policy = await tx.session.get(store.RolloutPolicy, renewal.lineage_id)
        if policy is None:
            rows = [new_deployment(renewal, binding, now=now) for binding in bindings]
            await store.keep_deployments(tx, rows)
            return
        known = await store.bindings_of_order(tx.session, renewal.order_id)
        new = [binding for binding in bindings if binding.id not in known]
        if new:
            await self._send_in_waves(tx, renewal, new, policy=policy, now=now)

    async def _send_in_waves(
        self,
        tx: Transaction,
        renewal: store.Renewal,
        bindings: Sequence[store.Binding],
        *,
        policy: store.RolloutPolicy,
        now: datetime,
    ) -> None:
        await self._end_older(tx, renewal, now=now)
        rollout = _rollout(renewal, policy, now=now)
        tx.session.add(rollout)
        await tx.session.flush()
        order = arranged({binding.id: binding.after for binding in bindings})
        waves = in_waves(order, waves_of(policy))
        rows = [new_deployment(renewal, binding, now=now) for binding in bindings]
        for row in rows:
            row.rollout_id, row.wave, row.watch = rollout.id, waves[row.binding_id], policy.watch
            _wait(row, rollout)
        await store.keep_deployments(tx, rows)
        if rollout.state == RolloutState.AWAITING_APPROVAL:
            await self._rollouts.ask(tx, rollout, now=now)

    async def _end_older(self, tx: Transaction, renewal: store.Renewal, *, now: datetime) -> None:
        for rollout in await store.live_rollouts(tx, renewal.lineage_id):
            if rollout.renewed_at < renewal.renewed_at:
                await self._rollouts.finish(
                    tx, rollout, state=RolloutState.SUPERSEDED, reason=_NEWER, now=now
                )


def _rollout(renewal: store.Renewal, policy: store.RolloutPolicy, *, now: datetime) -> store.Rollout:
    needs_approval = policy.approvals_needed > 0
    return store.Rollout(
        id=new_id(),
        order_id=renewal.order_id,
        lineage_id=renewal.lineage_id,
        fingerprint=renewal.fingerprint,
        renewed_at=renewal.renewed_at,
        canaries=policy.canaries,
        share=policy.share,
        soak=policy.soak,
        stop_after=policy.stop_after,
        approvals_needed=policy.approvals_needed,
        approver_groups=policy.approver_groups,
        approver_roles=policy.approver_roles,
        policy_by=policy.updated_by,
        state=RolloutState.AWAITING_APPROVAL if needs_approval else RolloutState.RUNNING,
        look_at=None if needs_approval else now,
        created_at=now,
        updated_at=now,
    )


def _wait(row: store.Deployment, rollout: store.Rollout) -> None:
    if rollout.state == RolloutState.AWAITING_APPROVAL:
        row.hold, row.hold_reason = Hold.APPROVAL, "Its rollout waits for an approval."
    elif row.wave > CANARY:
        row.hold, row.hold_reason = Hold.ROLLOUT, "Its wave has not begun."
    else:
        return
    row.state, row.next_attempt_at = State.WAITING, None


def new_deployment(renewal: store.Renewal, binding: store.Binding, *, now: datetime) -> store.Deployment:
    """Return a deployment of a renewed certificate into a slot, due at once."""
    return store.Deployment(
        id=new_id(),
        order_id=renewal.order_id,
        binding_id=binding.id,
        lineage_id=renewal.lineage_id,
        target_id=binding.target_id,
        fingerprint=renewal.fingerprint,
        renewed_at=renewal.renewed_at,
        network=network_of(binding),
        state=State.PENDING,
        phase=Phase.START,
        next_attempt_at=now,
        created_at=now,
        updated_at=now,
    )


def network_of(binding: store.Binding) -> str | None:
    """Return the network of what a binding serves: the /24 of an IPv4 address, the /64 of an IPv6 one."""
    address = next((str(endpoint["address"]) for endpoint in binding.endpoints), None)
    if address is None:
        return None
    return str(ip_network(f"{address}/{64 if ':' in address else 24}", strict=False))
