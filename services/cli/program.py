"""The list of all commands. It imports no more than a list needs: a shell asks for it at every press of Tab."""

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.profiles import app as profiles_app
from services.cli.remote import (
    alerts,
    approve,
    audit,
    campaign,
    certs,
    dead_letters,
    deploy,
    places,
    renew,
    scans,
    sources,
    targets,
    tokens,
    waits,
)

HERE, THERE, PLATFORM = "On this machine", "On a running platform", "The platform itself"
app = typer.Typer(
    help="Certificate lifecycle management that ends certificate outages.",
    epilog="Exit codes: 0 done, 1 no answer, 2 not possible as asked, 3 --fail-if-any found one, "
    "4 ended badly, 5 not in time, 6 not allowed, 130 interrupted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
REMOTE = {
    "certs": certs.app,
    "places": places.app,
    "scans": scans.app,
    "sources": sources.app,
    "renew": renew.app,
    "campaign": campaign.app,
    "approve": approve.app,
    "targets": targets.app,
    "deploy": deploy.app,
    "alerts": alerts.app,
    "audit": audit.app,
    "dead-letters": dead_letters.app,
    "tokens": tokens.app,
    "wait-for": waits.app,
    "profiles": profiles_app,
}
for _name, _group in REMOTE.items():
    app.add_typer(_group, name=_name, rich_help_panel=THERE)

Data = Annotated[Path | None, typer.Option(help="The data folder; EVERLEAF_DATA_DIR without it.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)]


@app.command(rich_help_panel=PLATFORM)
def up(data: Data = None, host: Host = "127.0.0.1", port: Port = 8400) -> None:
    """Run everything in one process: five services, SQLite files, the embedded bus."""
    from services.cli.running import run_everything

    run_everything(data, host=host, port=port)


@app.command("serve", rich_help_panel=PLATFORM)
def serve_command(service: str, host: Host = "127.0.0.1", port: Port = 8400, data: Data = None) -> None:
    """Run one service, on the database and the bus that the settings name."""
    from services.cli.running import run_service

    run_service(service, data, host=host, port=port)


@app.command("migrate", rich_help_panel=PLATFORM)
def migrate_command(
    service: Annotated[str | None, typer.Argument(help="One service; all of them without it.")] = None,
    data: Data = None,
) -> None:
    """Bring databases to the newest version and declare the queues: the step before `serve`."""
    from services.cli.running import prepare_databases

    typer.echo(f"Ready: {', '.join(prepare_databases(service, data))}.")


@app.command("rewrap", rich_help_panel=PLATFORM)
def rewrap_command(
    service: Annotated[str | None, typer.Argument(help="One service; all of them without it.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing: count by key.")] = False,
    data: Data = None,
) -> None:
    """Seal all secrets with the present key-encryption key, beside running processes. Can be broken off and repeated.

    Exit 1 where a secret is left that needs another key.
    """
    from services.cli.running import rewrap_secrets

    if not rewrap_secrets(service, data, check=check):
        raise typer.Exit(1)


@app.command(rich_help_panel=PLATFORM)
def backup(folder: Annotated[Path, typer.Argument(help="A new folder.")], data: Data = None) -> None:
    """Copy the embedded platform as it is at one instant, also while it runs. The key-encryption key is not in it."""
    from services.cli.running import copy_everything

    for line in copy_everything(folder.resolve(), data):
        typer.echo(line)


@app.command("restore", rich_help_panel=PLATFORM)
def restore_command(
    folder: Annotated[Path, typer.Argument(help="What `everleaf backup` has made.")],
    *,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Also where a key-encryption key is lost.")
    ] = False,
    data: Data = None,
) -> None:
    """Bring a backup back into a data folder that has no databases yet."""
    from services.cli.running import bring_back

    typer.echo(bring_back(folder.resolve(), data, without_key=without_key))


@app.command("forget-unreadable", rich_help_panel=PLATFORM)
def forget_unreadable_command(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this nothing is changed.")] = False,
    data: Data = None,
) -> None:
    """Empty every secret that was sealed with a lost key-encryption key, while the platform does not run."""
    from services.cli.running import forget_unreadable

    forget_unreadable(data, really=yes)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    rich_help_panel=HERE,
)
def scan(context: typer.Context) -> None:
    """Look at the network once, without the platform: a table, or JSON lines. See `everleaf scan --help`."""
    from services.cli.scan import main

    raise typer.Exit(main(context.args))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    rich_help_panel=HERE,
)
def configured(context: typer.Context) -> None:
    """Compare this host's server configurations with what is served. See `everleaf configured --help`."""
    from services.cli.configured import main

    raise typer.Exit(main(context.args))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    rich_help_panel=THERE,
)
def ask(context: typer.Context) -> None:
    """Ask the inventory for certificates: CSV, JSON, or how many. See `everleaf ask --help`."""
    from services.cli.ask import main

    raise typer.Exit(main(context.args))


@audit.app.command("verify")
def verify_trail_command(
    trail: Annotated[Path, typer.Argument(help="What `everleaf audit export` has written.")],
    keys: Annotated[
        list[Path] | None,
        typer.Option(help="Published keys: what /SERVICE/v1/audit-keys answers. Give one for each service."),
    ] = None,
) -> None:
    """Check offline that an audit trail is whole and as it was signed; exit 2, with every fault, where it is not."""
    from services.cli.audit import verify_trail

    typer.echo(verify_trail(trail, keys or []))


@app.command("verify-evidence", rich_help_panel=HERE)
def verify_evidence_command(
    report: Path,
    keys: Annotated[Path, typer.Option(help="The published keys: what /renewal/v1/evidence-keys answers.")],
) -> None:
    """Check offline that the report of a campaign is as it was signed; exit 2 where it is not."""
    from services.cli.evidence import verify_evidence

    typer.echo(verify_evidence(report, keys))


@app.command(rich_help_panel=PLATFORM)
def contracts(
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Change nothing; exit 1 where one is out of date, or breaks a released one."
        ),
    ] = False,
    to_release: Annotated[
        bool, typer.Option("--release", help="Keep what they say now as what must stay true.")
    ] = False,
) -> None:
    """Write every openapi.json, asyncapi.json, event schema and client, or check that they are up to date and break nothing."""
    from services.compatibility import release
    from services.contracts import RELEASED, broken, committed, write_or_check

    services_dir = Path(__file__).parent.parent
    outdated = write_or_check(services_dir, check=check)
    if to_release and not check:
        release(services_dir.parent / RELEASED, committed(services_dir))
    for path in outdated:
        typer.echo(f"{'out of date' if check else 'written'}: {path}")
    if check and outdated:
        typer.echo("Run `make contracts` and commit the result.", err=True)
    promised = broken(services_dir)
    for line in promised:
        typer.echo(f"breaks what was released: {line}")
    if promised:
        typer.echo(
            "Add beside it instead, or release a new version: see docs/how-to/release-a-contract.md.",
            err=True,
        )
    if check and (outdated or promised):
        raise typer.Exit(1)


@app.command(rich_help_panel=PLATFORM)
def broker(
    passwords: Annotated[
        Path, typer.Option(help="A folder with one password in each of bus-SERVICE and bus-migrate.")
    ],
) -> None:
    """Write RabbitMQ's definitions to standard output: a virtual host, a user for each service with the least rights."""
    from services.cli.broker import definitions

    typer.echo(json.dumps(definitions(passwords), indent=2))


@app.command(rich_help_panel=PLATFORM)
def healthy(
    port: Port = 8400,
    path: Annotated[
        str, typer.Option(help="`/livez`: it runs; `/readyz`: its database and its bus answer too.")
    ] = "/livez",
) -> None:
    """Exit 0 where the process on this host and port is well, 1 where it is not."""
    from services.cli.health import check

    check(port, path)


@app.command("api-key", rich_help_panel=PLATFORM)
def api_key_command() -> None:
    """Print a fresh API key, to give to inventory and to the service that is to use it as `EVERLEAF_…_API_KEY_FILE`."""
    from services.cli.keys import print_api_key

    print_api_key()


@app.command(rich_help_panel=PLATFORM)
def sbom() -> None:
    """Write what this installation is made of to standard output: a bill of materials, CycloneDX 1.6."""
    from services.cli.sbom import bill
    from shared.clock import utc_now

    typer.echo(json.dumps(bill(now=utc_now()), indent=2))


@app.command(rich_help_panel=PLATFORM)
def settings() -> None:
    """List every setting with its default."""
    from services.cli.running import all_settings

    for line in all_settings():
        typer.echo(line)
