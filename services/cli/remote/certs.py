"""`everleaf certs`: what is known of certificates."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

import typer

from everleaf import Call, Client, Listing
from everleaf.contracts import inventory
from services.cli.durations import duration
from services.cli.remote.commands import does, lists
from services.cli.remote.naming import Lineage, fingerprint_of, lineage_of, name
from services.cli.shown import Columns

app = typer.Typer(help="Certificates: what there is, how urgent it is, where it is.")

Certificate = Annotated[
    str, typer.Argument(metavar="CERTIFICATE", help="A name it is for, or its fingerprint.")
]
COLUMNS: Columns = {
    "NAME": name,
    "EXPIRES": "not_after",
    "URGENCY": "urgency",
    "KEY": "key_type",
    "ISSUER": "issuer",
    "FINGERPRINT": "fingerprint",
}


@lists(app, COLUMNS)
def certs(
    *,
    query: Annotated[str | None, typer.Option("--query", "-q", help="In the query language.")] = None,
    expiring: Annotated[
        timedelta | None,
        typer.Option(parser=duration, metavar="DURATION", help="Current ones that end within it, as 14d."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name, or *.example.com for all below it.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a place it is at.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    sort: Annotated[str | None, typer.Option(help="A field; with - before it the other way round.")] = None,
) -> Listing[inventory.CertificateView]:
    """List certificates: `everleaf certs --expiring 14d --fail-if-any` ends a pipeline."""
    soon = f"current and expires < {int(expiring.total_seconds())}s" if expiring is not None else None
    asked = f"({query}) and {soon}" if query and soon else query or soon
    if sort is None and expiring is not None:
        sort = "expires"
    return inventory.list_certificates(query=asked, name=name, address=address, port=port, sort=sort)


@does(app, "show")
def show(client: Client, certificate: Certificate) -> Call[inventory.CertificateReportView]:
    """Show a certificate: chain, places, findings, thresholds."""
    return inventory.get_certificate(fingerprint_of(client, certificate))


@does(app, "pem")
def pem(client: Client, certificate: Certificate) -> Call[Any]:
    """Download a certificate and its chain, as PEM."""
    return replace(
        inventory.get_certificate_pem(fingerprint_of(client, certificate)),
        headers={"Accept": "text/plain"},
        answers="text",
    )


@does(app, "summary")
def summary() -> Call[inventory.SummaryView]:
    """Say how things are, in numbers."""
    return inventory.get_summary()


@lists(app, {"AT": "at", "WHAT": "kind", "TOLD": "text", "PLACE": "place_key"}, "history")
def history(client: Client, certificate: Lineage) -> Listing[inventory.TimelineView]:
    """List what has happened to a certificate's lineage."""
    return inventory.get_timeline(lineage_of(client, certificate))
