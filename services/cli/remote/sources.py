"""`everleaf sources`: what the platform logs into to look, or what sends to it."""

from typing import Annotated

import typer

from everleaf import Call, Listing, waiting
from everleaf.contracts import discovery
from services.cli.remote import documents
from services.cli.remote.commands import does, lists

app = typer.Typer(help="Sources: hosts, clouds, clusters, CAs and devices that are read.")

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Its id.")]


@lists(
    app,
    {"ID": "id", "NAME": "name", "KIND": "kind", "GROUP": "group", "EVERY": "every", "NEXT": "next_run_at"},
)
def sources(*, group: Annotated[str | None, typer.Option()] = None) -> Listing[discovery.SourceView]:
    """List sources."""
    return discovery.list_sources(group=group)


@does(app, "kinds")
def kinds() -> Call[discovery.SourceKindsView]:
    """Say which kinds there are, and what each must be told."""
    return discovery.list_source_kinds()


@does(app, "show")
def show(source: Source) -> Call[discovery.SourceView]:
    """Show a source."""
    return discovery.get_source(source)


@does(app, "add")
def add(file: documents.File) -> Call[discovery.SourceView]:
    """Add a source: name, kind, settings, credential."""
    return discovery.create_source(documents.read(file))


@does(app, "remove")
def remove(source: Source) -> Call[None]:
    """Remove a source; what it has found stays known."""
    return discovery.delete_source(source)


@does(app, "check")
def check(source: Source) -> Call[discovery.SourceChecksView]:
    """Try whether it can be read, step by step."""
    return discovery.check_source(source)


@does(app, "run", wait=lambda run: waiting.source_run(run["source_id"], run["id"]))
def run(source: Source) -> Call[discovery.SourceRunView]:
    """Read a source now."""
    return discovery.run_source(source)


@lists(
    app,
    {"ID": "id", "STATE": "state", "FOUND": "holdings", "ENDED": "finished_at", "ERROR": "error"},
    "runs",
)
def runs(source: Source) -> Listing[discovery.SourceRunView]:
    """List the times it was read."""
    return discovery.list_source_runs(source)


@does(app, "send")
def send(source: Source, file: documents.File) -> Call[discovery.UploadView]:
    """Send certificates to a source of the kind `upload`."""
    return discovery.upload(source, documents.read(file))
