"""`everleaf campaign`: many certificates replaced as one job."""

from datetime import datetime
from typing import Annotated

import typer

from everleaf import Call, Client, Listing, waiting
from everleaf.contracts import renewal
from services.cli.remote.commands import does, lists
from services.cli.remote.consent import agreed
from services.cli.remote.naming import name
from services.cli.shown import cell

app = typer.Typer(help="Campaigns: replace many certificates as one job.")

Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its id.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


def _planned(campaign: renewal.CampaignView) -> waiting.Wait[renewal.CampaignReport]:
    return waiting.plan(campaign["id"])


def _ended(campaign: renewal.CampaignView) -> waiting.Wait[renewal.CampaignReport]:
    return waiting.campaign(campaign["id"])


@lists(
    app,
    {"ID": "id", "NAME": "name", "STATE": "state", "WAVE": "wave", "QUERY": "query", "DEADLINE": "deadline"},
)
def campaign() -> Listing[renewal.CampaignView]:
    """List campaigns."""
    return renewal.list_campaigns()


@does(app, "new", wait=_planned)
def new(
    name: Annotated[str, typer.Argument()],
    *,
    query: Annotated[str, typer.Option("--query", "-q", help="Which certificates.")],
    reason: Reason,
    using: Annotated[
        list[str] | None, typer.Option(help="Certificate profiles, the first that fits.")
    ] = None,
    deadline: Annotated[datetime | None, typer.Option(help="In UTC.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Whose it is.")] = None,
) -> Call[renewal.CampaignView]:
    """Plan a campaign; nothing is changed before `start`."""
    body: renewal.CampaignBody = {
        "name": name,
        "query": query,
        "reason": reason,
        "profiles": using or [],
        "groups": group or [],
    }
    if deadline is not None:
        body["deadline"] = f"{deadline.isoformat()}Z"
    return renewal.create_campaign(body)


@does(app, "show")
def show(campaign: Campaign) -> Call[renewal.CampaignReport]:
    """Show a campaign: the plan, how far it is, when it ends."""
    return renewal.get_campaign(campaign)


@lists(
    app,
    {"NAME": name, "STATE": "state", "WAVE": "wave", "PROFILE": "profile", "OBSTACLE": "obstacle"},
    "items",
)
def items(
    campaign: Campaign, *, state: Annotated[renewal.ItemState | None, typer.Option()] = None
) -> Listing[renewal.ItemView]:
    """List the certificates of a campaign."""
    return renewal.list_campaign_items(campaign, state=state)


@does(app, "start", wait=_ended)
def start(
    client: Client,
    campaign: Campaign,
    *,
    digest: Annotated[str | None, typer.Option(help="Of the plan that was looked at.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Call[renewal.CampaignView]:
    """Start a campaign, on exactly the plan that was looked at."""
    if digest is None:
        plan = client.call(renewal.get_campaign(campaign))
        agreed(
            f"{cell(plan['name'])}: {plan['total']} certificates in {plan['wave_count']} waves, {cell(plan['counts'])}",
            yes=yes,
        )
        digest = plan["plan_digest"] or ""
    return renewal.start_campaign(campaign, {"plan_digest": digest})


@does(app, "pause")
def pause(campaign: Campaign, *, reason: Reason) -> Call[renewal.CampaignView]:
    """Order nothing more for now."""
    return renewal.pause_campaign(campaign, {"reason": reason})


@does(app, "resume", wait=_ended)
def resume(
    campaign: Campaign,
    *,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="And try again what failed.")] = False,
) -> Call[renewal.CampaignView]:
    """Go on with a campaign."""
    return renewal.resume_campaign(campaign, {"retry_failed": retry_failed})


@does(app, "abort")
def abort(campaign: Campaign, *, reason: Reason) -> Call[renewal.CampaignView]:
    """End a campaign before its end."""
    return renewal.abort_campaign(campaign, {"reason": reason})


@does(app, "evidence")
def evidence(campaign: Campaign) -> Call[str]:
    """Download the signed report, for `everleaf verify-evidence`."""
    return renewal.get_campaign_evidence(campaign)
