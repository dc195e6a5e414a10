"""`everleaf renew`: what is renewed when, and certificates that are ordered now."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from everleaf import Call, Client, Listing, waiting
from everleaf.contracts import renewal
from services.cli.durations import duration
from services.cli.remote.commands import does, lists
from services.cli.remote.naming import Lineage, lineage_of, name

app = typer.Typer(help="Renewal: the schedule, and orders.")

Order = Annotated[str, typer.Argument(metavar="ORDER", help="Its id.")]


def _wait(order: renewal.OrderView) -> waiting.Wait[renewal.OrderReport]:
    return waiting.order(order["id"])


@lists(
    app,
    {
        "NAME": name,
        "EXPIRES": "not_after",
        "RENEWED AT": "renew_at",
        "BECAUSE": "because",
        "LINEAGE": "lineage_id",
    },
)
def renew(
    *,
    within: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="DURATION", help="Due within it, as 7d.")
    ] = None,
) -> Listing[renewal.ScheduleView]:
    """List what is renewed by itself, and when."""
    before = (datetime.now(UTC) + within).isoformat() if within is not None else None
    return renewal.list_renewals(due_before=before)


@does(app, "now", wait=_wait)
def now(client: Client, certificate: Lineage) -> Call[renewal.OrderView]:
    """Renew a certificate now."""
    return renewal.renew_now(lineage_of(client, certificate))


@does(app, "new", wait=_wait)
def new(
    names: Annotated[list[str], typer.Argument(help="The names it is to be for.")],
    *,
    profile_name: Annotated[str, typer.Option("--using", help="The name of the certificate profile.")],
    group: Annotated[list[str] | None, typer.Option(help="Whose it is.")] = None,
) -> Call[renewal.OrderView]:
    """Order a certificate."""
    return renewal.create_order({"names": names, "profile": profile_name, "groups": group or []})


@does(app, "adopt")
def adopt(
    fingerprint: Annotated[str, typer.Argument(help="Of a certificate that nothing renews yet.")],
    *,
    using: Annotated[str | None, typer.Option(help="A profile; left out, the one that fits best.")] = None,
) -> Call[renewal.AdoptionView]:
    """Have a found certificate renewed by itself from now on."""
    return renewal.adopt_certificate({"fingerprint": fingerprint, "profile": using})


@lists(
    app,
    {
        "ID": "id",
        "STATE": "state",
        "NAMES": "names",
        "AUTHORITY": "authority",
        "ORDERED": "created_at",
        "ERROR": "last_error",
    },
    "orders",
)
def orders(*, state: Annotated[renewal.State | None, typer.Option()] = None) -> Listing[renewal.OrderView]:
    """List orders."""
    return renewal.list_orders(state=state)


@does(app, "show")
def show(order: Order) -> Call[renewal.OrderReport]:
    """Show an order, step by step."""
    return renewal.get_order(order)


@does(app, "retry", wait=_wait)
def retry(order: Order) -> Call[renewal.OrderView]:
    """Try an order again."""
    return renewal.retry_order(order)
