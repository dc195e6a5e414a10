"""`everleaf tokens`: people and machines, and the keys they ask with."""

from typing import Annotated

import typer

from everleaf import Call, Listing
from everleaf.contracts import inventory
from services.cli.remote.commands import does, lists

app = typer.Typer(help="People and machines, and their API keys.")

Principal = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="The id of a person or machine.")]


@lists(
    app,
    {
        "ID": "id",
        "NAME": "name",
        "KIND": "kind",
        "ROLES": "roles",
        "GROUPS": "groups",
        "DISABLED": "disabled_at",
    },
)
def tokens() -> Listing[inventory.PrincipalView]:
    """List people and machines."""
    return inventory.list_principals()


@does(app, "show")
def show(principal: Principal) -> Call[inventory.PrincipalReportView]:
    """Show one, with its keys."""
    return inventory.get_principal(principal)


@does(app, "add")
def add(
    name: Annotated[str, typer.Argument()],
    *,
    kind: Annotated[inventory.Kind, typer.Option()] = "machine",
    role: Annotated[
        list[str] | None, typer.Option(help="viewer, operator, approver, auditor, admin.")
    ] = None,
    permission: Annotated[list[str] | None, typer.Option(help="As certificates:read.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only about what is in it.")] = None,
) -> Call[inventory.PrincipalView]:
    """Add a person or machine; it has no key yet."""
    return inventory.create_principal(
        {
            "name": name,
            "kind": kind,
            "roles": role or [],
            "permissions": permission or [],
            "groups": group or [],
        }
    )


@does(app, "new")
def new(
    principal: Principal, *, days: Annotated[int, typer.Option(min=1, help="How long it is good.")] = 90
) -> Call[inventory.MadeKeyView]:
    """Make an API key, shown this once: keep it where EVERLEAF_TOKEN comes from."""
    return inventory.create_api_key(principal, {"days": days})


@does(app, "revoke")
def revoke(key: Annotated[str, typer.Argument(metavar="KEY", help="Its id.")]) -> Call[None]:
    """Take an API key back."""
    return inventory.revoke_api_key(key)


@does(app, "disable")
def disable(principal: Principal) -> Call[inventory.PrincipalView]:
    """Let somebody ask nothing more; all that was given is void."""
    return inventory.disable_principal(principal)
