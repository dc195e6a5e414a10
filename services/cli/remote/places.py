"""`everleaf places`: where certificates are, configured and served."""

from typing import Annotated

import typer

from everleaf import Listing
from everleaf.contracts import inventory
from services.cli.remote.commands import lists
from services.cli.remote.naming import short

app = typer.Typer(help="Places: what serves or holds a certificate, and what is wrong there.")


@lists(
    app,
    {
        "ADDRESS": "address",
        "PORT": "port",
        "NAME": "server_name",
        "PATH": "path",
        "CERTIFICATE": short("fingerprint"),
        "CONFIGURED": "configured_count",
        "FLAWS": "flaws",
        "SEEN": "last_seen",
    },
)
def places(
    *,
    query: Annotated[str | None, typer.Option("--query", "-q", help="In the query language.")] = None,
    address: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Of the certificate that is there.")] = None,
    flaw: Annotated[inventory.Flaw | None, typer.Option(help="Only those with which this is wrong.")] = None,
) -> Listing[inventory.BothViewsView]:
    """List places."""
    return inventory.list_places(query=query, address=address, port=port, fingerprint=fingerprint, flaw=flaw)
