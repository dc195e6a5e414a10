"""`everleaf approve`: what waits for a person's word."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from everleaf import Call, Client, Listing, NotFound
from everleaf.contracts import provisioner, renewal
from services.cli.remote.commands import does, lists
from services.cli.remote.consent import agreed
from services.cli.remote.naming import short
from services.cli.shown import cell

app = typer.Typer(help="Approvals: what waits for your word, in renewal and provisioning.")

Approval = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id.")]
Digest = Annotated[str | None, typer.Option(help="Of the document that was looked at.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


@lists(
    app,
    {
        "ID": "id",
        "KIND": "kind",
        "STATE": "state",
        "NEEDED": "needed",
        "REASON": "reason",
        "ENDS": "expires_at",
        "DIGEST": short("digest"),
    },
)
def approve(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what does not wait for you.")] = False,
    state: Annotated[renewal.ApprovalState | None, typer.Option()] = None,
) -> Sequence[Listing[Any]]:
    """List what waits for your own decision."""
    show: Literal["inbox", "all"] = "all" if everything or state else "inbox"
    return (
        renewal.list_approvals(show=show, state=state),
        provisioner.list_approvals(show=show, state=state),
    )


@does(app, "show")
def show(client: Client, approval: Approval) -> Call[Any]:
    """Show exactly what is to be agreed to, and who has said what."""
    asked: Call[Any] = _home(client, approval).get_approval(approval)
    return asked


@does(app, "grant")
def grant(
    client: Client, approval: Approval, *, reason: Reason = "", digest: Digest = None, yes: Yes = False
) -> Call[Any]:
    """Agree to exactly what is shown; should it change, the word is void."""
    return _decide(client, approval, "grant", reason, digest=digest, yes=yes)


@does(app, "refuse")
def refuse(
    client: Client, approval: Approval, *, reason: Reason, digest: Digest = None, yes: Yes = False
) -> Call[Any]:
    """Refuse it."""
    return _decide(client, approval, "refuse", reason, digest=digest, yes=yes)


def _decide(
    client: Client,
    approval: str,
    verdict: Literal["grant", "refuse"],
    reason: str,
    *,
    digest: str | None,
    yes: bool,
) -> Call[Any]:
    home = _home(client, approval)
    if digest is None:
        seen: renewal.ApprovalReport = client.call(home.get_approval(approval))
        agreed(f"{verdict.title()} {seen['kind']}: {cell(seen['document'])}", yes=yes)
        digest = seen["digest"]
    asked: Call[Any] = home.decide_approval(
        approval, {"verdict": verdict, "digest": digest, "reason": reason}
    )
    return asked


def _home(client: Client, approval: str) -> Any:
    """Return the contract of the service that asks."""
    try:
        client.call(renewal.get_approval(approval))
    except NotFound:
        return provisioner
    return renewal
