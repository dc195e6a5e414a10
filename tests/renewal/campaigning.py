"""What a campaign needs in tests: an inventory and a provisioner that answer with pages, and its workers in hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.renewal import store
from services.renewal.actions.campaign_approvals import CampaignGate
from services.renewal.actions.campaign_plans import CampaignPlans
from services.renewal.actions.campaign_runs import CampaignRuns
from services.renewal.actions.campaigns import Campaigns, NewCampaign, Progress
from services.renewal.actions.evidence import Evidence
from services.renewal.connectors.inventory import Inventory
from services.renewal.connectors.provisioner import Provisioner
from services.renewal.domain.campaigns import Waves
from shared.access import Principal
from tests.renewal.workshop import CALLER, Workshop


def known(number: int, **changes: Any) -> dict[str, Any]:
    """Return what inventory knows of one of many certificates."""
    return {
        "fingerprint": f"{number:064x}",
        "lineage_id": f"lineage-{number:04}",
        "names": [f"s{number}.example.test"],
        "issuer": "CN=Old CA",
        "not_before": "2026-11-01T00:00:00Z",
        "not_after": "2027-01-30T00:00:00Z",
        "key_type": "ecdsa-p256",
        "key_bits": 256,
        "finding": None,
        "is_ca": False,
        "is_current": True,
        "owner": {"id": "pay", "name": "Payments"},
        "groups": ["shop"],
        **changes,
    }


@dataclass
class Campaigning:
    """Campaigns over a workshop; `answers` are what inventory answers next instead of the page that was asked for."""

    shop: Workshop
    certificates: Sequence[dict[str, Any]]
    bound: Sequence[str] = ()
    page: int = 2
    approvals_needed: int = 0
    answers: list[httpx.Response] = field(default_factory=list)
    asked: list[httpx.URL] = field(default_factory=list)

    def __post_init__(self) -> None:
        inventory = httpx.AsyncClient(
            transport=httpx.MockTransport(self._inventory), base_url="http://inventory"
        )
        provisioner = httpx.AsyncClient(
            transport=httpx.MockTransport(self._provisioner), base_url="http://provisioner"
        )
        database = self.shop.database
        self.plans = CampaignPlans(
            database, inventory=Inventory(inventory), provisioner=Provisioner(provisioner)
        )
        self.runs = CampaignRuns(database, revocations=self.shop.revocations, ring=self.shop.rung)
        gate = CampaignGate(self.shop.approvals, needed=self.approvals_needed)
        self.campaigns = Campaigns(database, gate=gate, ring=self.shop.rung)
        self.evidence = Evidence(database, self.campaigns, sealer=self.shop.sealer)

    def _inventory(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if self.answers:
            return self.answers.pop(0)
        start = int(request.url.params.get("cursor", "0"))
        rest = self.certificates[start + self.page :]
        return httpx.Response(
            200,
            json={
                "items": list(self.certificates[start : start + self.page]),
                "next_cursor": str(start + self.page) if rest else None,
            },
        )

    def _provisioner(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/bindings"
        items = [{"lineage_id": lineage_id} for lineage_id in self.bound]
        return httpx.Response(200, json={"items": items, "next_cursor": None})

    async def planned(self, *, caller: Principal = CALLER, **given: Any) -> store.Campaign:
        """Plan a campaign to its end, or to where it cannot be planned."""
        values = {"name": "away", "query": 'issuer = "CN=Old CA"', "reason": "distrusted", **given}
        made = await self.campaigns.create(NewCampaign(**values), caller=caller, now=self.shop.time())
        while await self.plans.step(self.shop.time()):
            pass
        return await self.campaigns.get(made.id, caller=CALLER)

    async def start(self, row: store.Campaign) -> None:
        """Start what was planned."""
        await self.campaigns.start(row.id, digest=row.plan_digest or "", caller=CALLER, now=self.shop.time())

    async def tick(self) -> None:
        """Go on with campaigns and with orders as far as both come by themselves."""
        while await self.runs.step(self.shop.time()):
            pass
        await self.shop.work_off()
        await self.runs.step(self.shop.time())

    async def progress(self, row: store.Campaign) -> Progress:
        """Return how far it is."""
        return await self.campaigns.progress(row.id, caller=CALLER, now=self.shop.time())

    async def items(self, row: store.Campaign) -> list[store.CampaignItem]:
        """Return all its certificates."""
        return list(
            await self.campaigns.items(row.id, after=None, limit=1000, state=None, wave=None, caller=CALLER)
        )

    async def seen_in_place(self, row: store.Campaign) -> None:
        """Let every new certificate be seen in the places of the old one."""
        async with self.shop.database.transaction() as tx:
            for item in await self.items(row):
                if item.new_fingerprint is not None:
                    await store.mark_observed(
                        tx,
                        lineage_id=item.lineage_id,
                        fingerprint=item.new_fingerprint,
                        at=self.shop.time(),
                    )


SMALL = Waves(first=1, size=2, in_flight=10)
