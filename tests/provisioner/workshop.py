"""The provisioner's actions over a database of their own, with renewal played by a few lines and time in hand."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.provisioner import store
from services.provisioner.actions.accesses import Accesses
from services.provisioner.actions.approval_rules import ApprovalRules
from services.provisioner.actions.attempt import Means
from services.provisioner.actions.bindings import Bindings, NewBinding
from services.provisioner.actions.deployments import Deployments
from services.provisioner.actions.drifts import Drifts
from services.provisioner.actions.key_requests import KeyRequests
from services.provisioner.actions.key_work import KeyWork
from services.provisioner.actions.keys import OwnKey, sealing_public_key
from services.provisioner.actions.permits import Permits, WaitingDeployments
from services.provisioner.actions.plans import Plans
from services.provisioner.actions.policies import Policies, Policy
from services.provisioner.actions.pulls import Pulls, SlotMailbox
from services.provisioner.actions.rollouts import Rollouts, WaitingRollouts
from services.provisioner.actions.sending import Sending
from services.provisioner.actions.targets import NewTarget, Targets
from services.provisioner.actions.windows import Windows
from services.provisioner.actions.work import Work
from services.provisioner.connectors import Access, Limits, SshAccess
from services.provisioner.connectors.renewal import Renewal, purpose
from services.provisioner.connectors.wire import Endpoint, Handshakes
from services.provisioner.domain import Phase, Schedule, State
from services.provisioner.events import WORDS
from services.provisioner.store.approvals import APPROVALS, Kind
from shared.access import Principal
from shared.approvals.actions import Approvals, Patience
from shared.documents import revealed
from shared.events import Event, Payload
from shared.events.renewal import CertificateRenewed, RequestWanted
from shared.ids import new_id
from shared.outbound import Policy as Outbound
from shared.sealing import KeyEncryptionKey, Sealer, seal_to
from shared.ssh import Credential
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.builders import LOOPBACK

if TYPE_CHECKING:  # the bench's worker, which works in here too, does not need it
    from tests.servers.tls import Issued

CALLER = Principal(id="tester", name="Tester", roles=frozenset({"admin"}))
WAITS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
SCHEDULE = Schedule(waits=WAITS, attempts=8)
_LONG = timedelta(days=60)
LOOK_EVERY = timedelta(hours=1)
P = TypeVar("P", bound=Payload)


@dataclass
class Time:
    """The clock of a test: real time, and what the test adds."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def passes(self, span: timedelta) -> None:
        self.ahead += span


@dataclass
class Vault:
    """Renewal's key releases: `keys` by order, sealed to `public_key`."""

    public_key: bytes = b""
    keys: dict[str, bytes] = field(default_factory=dict)
    keys_in: Path | None = None
    """A folder with further keys, where another process is asked for them."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    answer: httpx.Response | None = None
    brought: list[tuple[str, str]] = field(default_factory=list)
    """Order and request, as they came."""
    refusals: list[tuple[str, str, bool]] = field(default_factory=list)
    """Order, reason, and whether it is final."""
    not_waiting: str | None = None
    """The state of orders that wait for no request."""

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._release), base_url="http://renewal")

    def _release(self, request: httpx.Request) -> httpx.Response:
        if self.answer is not None:
            return self.answer
        order_id = request.url.path.split("/")[3]
        if request.method == "GET":
            return httpx.Response(200, json={"state": self.not_waiting})
        if not request.url.path.endswith("/key-releases"):
            return self._hear(order_id, request)
        deployment_id = json.loads(request.content)["deployment_id"]
        self.asked.append((order_id, deployment_id))
        key = self.keys.get(order_id) or self._read(order_id)
        sealed = seal_to(self.public_key, key, purpose=purpose(order_id, deployment_id=deployment_id))
        return httpx.Response(201, json={"sealed_key": base64.b64encode(sealed).decode()})

    def _read(self, order_id: str) -> bytes:
        assert self.keys_in is not None
        return (self.keys_in / order_id).read_bytes()

    def _hear(self, order_id: str, request: httpx.Request) -> httpx.Response:
        said = json.loads(request.content)
        if self.not_waiting is not None:
            return httpx.Response(409, json={"detail": f"The order is {self.not_waiting}."})
        if request.method == "PUT":
            self.brought.append((order_id, said["csr"]))
        else:
            self.refusals.append((order_id, said["reason"], said["is_final"]))
        return httpx.Response(202, json={})


@dataclass(kw_only=True)
class Workshop:
    """Everything a deployment needs, but for the host."""

    database: Database
    work: Work
    targets: Targets
    bindings: Bindings
    deployments: Deployments
    key_requests: KeyRequests
    key_work: KeyWork
    pulls: Pulls
    vault: Vault
    time: Time
    approvals: Approvals
    rollouts: Rollouts
    approval_rules: ApprovalRules
    policies: Policies
    windows: Windows
    plans: Plans
    drifts: Drifts
    orders: int = 0

    async def target(self, name: str = "web-1", **given: Any) -> store.Target:
        described = {"name": name, "kind": "files", "options": {}, **given}
        new = NewTarget(**{**described, "credential": revealed(described["credential"])})
        return await self.targets.create(new, caller=CALLER, now=self.time())

    async def bind(
        self,
        target: store.Target,
        *,
        slot: dict[str, Any],
        endpoints: list[Endpoint],
        lineage: str = "lineage",
        **given: Any,
    ) -> store.Binding:
        new = NewBinding(
            lineage_id=lineage, target_id=target.id, slot=slot, endpoints=endpoints, deploy_now=True, **given
        )
        return await self.bindings.create(new, caller=CALLER, now=self.time())

    async def renew(
        self,
        issued: "Issued",
        *,
        lineage: str = "lineage",
        key_pem: bytes | None = None,
        order: str | None = None,
        key_is_on_target: bool = False,
    ) -> str:
        """Let renewal say that it has obtained a certificate; return the order's id."""
        self.orders += 1
        order = order or f"order-{self.orders}"
        self.vault.keys[order] = key_pem or issued.key_pem
        told = renewed(issued, lineage=lineage, order=order, key_is_on_target=key_is_on_target)
        event = Event.of(told, source="renewal", now=self.time())
        async with self.database.transaction() as tx:
            await self.deployments.begin(tx, event, now=self.time())
        return order

    async def has_deployed(self, issued: "Issued", binding: store.Binding, *, order: str = "before") -> None:
        """Remember a certificate as one that was put there long ago, by a deployment that `only` does not return."""
        self.vault.keys[order] = issued.key_pem
        told = Event.of(
            renewed(issued, lineage="another", order=order), source="renewal", now=self.time() - _LONG
        )
        async with self.database.transaction() as tx:
            await self.deployments.begin(tx, told, now=self.time())
            long_ago = self.time() - _LONG
            past = store.Deployment(
                id=new_id(),
                order_id=order,
                binding_id=binding.id,
                lineage_id=binding.lineage_id,
                target_id=binding.target_id,
                fingerprint=issued.fingerprint,
                renewed_at=long_ago,
                state=State.DEPLOYED,
                phase=Phase.OVER,
                created_at=long_ago,
                updated_at=long_ago,
                deployed_at=long_ago,
            )
            tx.session.add(past)

    async def policy(self, *, lineage: str = "lineage", **given: Any) -> store.RolloutPolicy:
        """Say how the certificates of the lineage go out: without waits, where nothing is given."""
        without = {"canaries": 1, "share": 50, "soak": 0, "stop_after": 1, "watch": 0, "approvals_needed": 0}
        policy = Policy(**{**without, "approver_groups": [], "approver_roles": [], **given})
        return await self.policies.put(lineage, policy, if_match=None, caller=CALLER, now=self.time())

    async def want_key(
        self, order: str, *, names: Sequence[str] = ("shop.test",), key_type: str = "ecdsa-p256"
    ) -> None:
        """Let renewal ask for a key that is made on the target."""
        told = RequestWanted(
            order_id=order,
            lineage_id="lineage",
            names=list(names),
            key_type=key_type,
            expires_at=self.time() + timedelta(days=1),
        )
        event = Event.of(told, source="renewal", now=self.time())
        async with self.database.transaction() as tx:
            await self.key_requests.wanted(tx, event, now=self.time())

    async def key_request(self, order: str) -> store.KeyRequest:
        """Return what is known of a key on a target."""
        async with self.database.read() as session:
            return await session.get_one(store.KeyRequest, order)

    async def work_off(self) -> None:
        """Do all that is due now."""
        await self.rollouts.look(self.time())
        while (key := await self.key_work.claim(now=self.time())) is not None:
            await self.key_work.run(key)
        while (claim := await self.work.claim(now=self.time())) is not None:
            await self.work.run(claim)

    async def states(self, **asked: str) -> list[State]:
        """Return the states of the deployments there are, the oldest first."""
        rows = await self.deployments.page(after=None, limit=100, caller=CALLER, **asked)
        return [State(row.state) for row in reversed(rows)]

    async def only(self) -> tuple[store.Deployment, list[store.Step]]:
        """Return the one deployment there is, and its steps."""
        rows = await self.deployments.page(after=None, limit=10, caller=CALLER)
        [row] = [row for row in rows if row.order_id != "before"]
        row, steps = await self.deployments.get(row.id, caller=CALLER)
        return row, list(steps)

    async def events(self, payload: type[P]) -> list[P]:
        """Return what was told, oldest first."""
        async with self.database.read() as session:
            bodies = (await session.scalars(sa.select(OUTBOX.c.body).order_by(OUTBOX.c.id))).all()
        told = [body for body in bodies if json.loads(body)["type"] == payload.type]
        return [Event.parse(body, payload).data for body in told]


def renewed(
    issued: "Issued", *, lineage: str, order: str, key_is_on_target: bool = False
) -> CertificateRenewed:
    """Return renewal's event for a certificate."""
    chain = [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers)]
    return CertificateRenewed.model_construct(
        lineage_id=lineage,
        order_id=order,
        old_fingerprint="0" * 64,
        fingerprint=issued.fingerprint,
        chain=chain,
        names=["shop.test"],
        not_before=issued.certificate.not_valid_before_utc,
        not_after=issued.certificate.not_valid_after_utc,
        authority="Test root",
        key_is_on_target=key_is_on_target,
    )


@asynccontextmanager
async def workshop(
    database: Database,
    *,
    lease: timedelta = timedelta(seconds=30),
    start_for: timedelta = timedelta(seconds=3),
    verify_for: timedelta = timedelta(seconds=3),
    schedule: Schedule = SCHEDULE,
    limit: timedelta = timedelta(seconds=5),
    per_network: int | None = None,
    has_tables: bool = False,
) -> AsyncIterator[Workshop]:
    """Set up a workshop over a database, which gets its tables unless it has them."""
    if not has_tables:
        from services.provisioner.service import SCHEMA

        await SCHEMA.upgrade(database)
    time, vault = Time(), Vault()
    sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
    vault.public_key = await sealing_public_key(database, sealer, time())
    limits = Limits(connect=limit, transfer=limit, command=limit)

    def mailbox(target_id: str) -> SlotMailbox:
        return SlotMailbox(database, sealer, target_id=target_id, clock=time)

    accesses = Accesses(sealer, limits=limits, policy=Outbound(LOOPBACK), mailbox=mailbox)
    async with vault.client() as client:
        means = Means(
            sealer=sealer,
            own_key=OwnKey(database, sealer),
            renewal=Renewal(client),
            accesses=accesses,
            wire=Handshakes(),
            schedule=schedule,
            verify_for=verify_for,
            start_for=start_for,
            look_every=LOOK_EVERY,
        )
        approvals = approvals_of(database)
        rollouts = Rollouts(database, approvals=approvals, ring=_nobody)
        sending = Sending(rollouts)
        yield Workshop(
            database=database,
            work=Work(
                database,
                means=means,
                rollouts=rollouts,
                permits=Permits(approvals),
                lease=lease,
                clock=time,
                per_network=per_network,
            ),
            targets=Targets(database, accesses, ring=_nobody),
            bindings=Bindings(database, sending=sending, ring=_nobody),
            deployments=Deployments(database, sending=sending, ring=_nobody),
            key_requests=KeyRequests(ring=_nobody),
            key_work=KeyWork(
                database,
                renewal=means.renewal,
                accesses=accesses,
                schedule=means.schedule,
                lease=lease,
                clock=time,
            ),
            pulls=Pulls(database, sealer, ring=_nobody, clock=time),
            vault=vault,
            time=time,
            approvals=approvals,
            rollouts=rollouts,
            approval_rules=ApprovalRules(database, approvals=approvals, ring=_nobody),
            policies=Policies(database),
            windows=Windows(database, ring=_nobody),
            plans=Plans(database),
            drifts=Drifts(database, wire=means.wire, every=LOOK_EVERY, ring=_nobody),
        )


def approvals_of(database: Database) -> Approvals:
    """Return the approvals of rollouts: they wait for a week, and remind daily."""
    return Approvals(
        database,
        store=APPROVALS,
        words=WORDS,
        subjects={
            Kind.ROLLOUT: WaitingRollouts(_nobody),
            Kind.DEPLOYMENTS: WaitingDeployments(_nobody),
        },
        patience=Patience(timeout=timedelta(days=7), reminder=timedelta(days=1)),
    )


def sending_of(database: Database) -> Sending:
    """Return who sends certificates on their way."""
    return Sending(Rollouts(database, approvals=approvals_of(database), ring=_nobody))


class LoggedInto(Protocol):
    """A host that lets somebody in by a key."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def host_key(self) -> str: ...
    @property
    def client_key(self) -> str: ...


def access(
    host: LoggedInto,
    *,
    credential: Credential | None = None,
    port: int | None = None,
    connect: float = 5,
    command: float = 5,
) -> Access:
    """Return how a host is reached; limits in seconds."""
    return Access(
        ssh=SshAccess(host=host.host, port=port or host.port, username=host.username, host_key=host.host_key),
        credential=credential or Credential.model_validate({"private_key": host.client_key}),
        limits=Limits(
            connect=timedelta(seconds=connect),
            transfer=timedelta(seconds=5),
            command=timedelta(seconds=command),
        ),
    )


def _nobody() -> None:
    """Wake nobody: the test works the deployments off by itself."""
