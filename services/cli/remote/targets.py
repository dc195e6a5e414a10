"""`everleaf targets`: what the platform logs into to change."""

from typing import Annotated

import typer

from everleaf import Call, Listing
from everleaf.contracts import provisioner
from services.cli.remote import documents
from services.cli.remote.commands import does, lists

app = typer.Typer(help="Targets: servers, devices and clouds that certificates are put into.")

Target = Annotated[str, typer.Argument(metavar="TARGET", help="Its id.")]


@lists(
    app,
    {
        "ID": "id",
        "NAME": "name",
        "KIND": "kind",
        "HOST": "host",
        "PORT": "port",
        "GROUPS": "groups",
        "CHANGED": "updated_at",
    },
)
def targets() -> Listing[provisioner.TargetView]:
    """List targets."""
    return provisioner.list_targets()


@does(app, "kinds")
def kinds() -> Call[provisioner.KindsView]:
    """Say which kinds there are, and what each must be told."""
    return provisioner.list_target_kinds()


@does(app, "show")
def show(target: Target) -> Call[provisioner.TargetView]:
    """Show a target."""
    return provisioner.get_target(target)


@does(app, "add")
def add(file: documents.File) -> Call[provisioner.TargetView]:
    """Add a target: name, kind, host, credential, options."""
    return provisioner.create_target(documents.read(file))


@does(app, "check")
def check(target: Target) -> Call[provisioner.ChecksView]:
    """Try whether it can be changed, step by step."""
    return provisioner.check_target(target)


@does(app, "remove")
def remove(target: Target) -> Call[None]:
    """Remove a target."""
    return provisioner.delete_target(target)


@does(app, "host-key")
def host_key(
    host: Annotated[str, typer.Argument()], *, port: Annotated[int | None, typer.Option()] = None
) -> Call[provisioner.HostKeyView]:
    """Show the SSH host key that a host presents, to be compared and pinned."""
    return provisioner.get_host_key(host=host, port=port)
