"""The commands that run the platform, and the list of all commands."""

import gc
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import anyio
import structlog
import typer

from services.cli.ask import main as ask_main
from services.cli.audit import app as audit_app
from services.cli.configured import main as configured_main
from services.cli.evidence import verify_evidence
from services.cli.rewrap import rewrap_all
from services.cli.scan import main as scan_main
from services.contracts import write_or_check
from services.portal import portal_routes
from services.program import NAMES, Program, migrate, open_services, require_migrated, sections
from services.run import front_door, listen, serve
from shared.errors import EverleafError, Invalid
from shared.logs import configure
from shared.service import Endpoint
from shared.settings import variable

app = typer.Typer(
    help="Certificate lifecycle management that ends certificate outages.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(audit_app, name="audit")
log = structlog.get_logger(__name__)

Data = Annotated[Path | None, typer.Option(help="The data folder; EVERLEAF_DATA_DIR without it.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)]


@app.command()
def up(data: Data = None, host: Host = "127.0.0.1", port: Port = 8400) -> None:
    """Run everything in one process: five services, SQLite files, the embedded bus."""
    program = _program(data)
    program.prepare_data_dir()

    async def everything() -> None:
        await migrate(program, NAMES)
        await _serve(program, NAMES, host=host, port=port)

    with program.only_one():
        _run(everything)


@app.command("serve")
def serve_command(service: str, host: Host = "127.0.0.1", port: Port = 8400, data: Data = None) -> None:
    """Run one service, on the database and the bus that the settings name."""
    names = _names(service)
    program = _program(data)
    program.prepare_data_dir()
    _run(lambda: _serve(program, names, host=host, port=port))


@app.command("migrate")
def migrate_command(
    service: Annotated[str | None, typer.Argument(help="One service; all of them without it.")] = None,
    data: Data = None,
) -> None:
    """Bring databases to the newest version and declare the queues: the step before `serve`."""
    names = _names(service) if service else NAMES
    program = _program(data)
    program.prepare_data_dir()

    async def prepare() -> None:
        await migrate(program, names)
        async with program.open_bus():
            pass

    _run(prepare)
    typer.echo(f"Ready: {', '.join(names)}.")


@app.command("rewrap")
def rewrap_command(
    service: Annotated[str | None, typer.Argument(help="One service; all of them without it.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing: count by key.")] = False,
    data: Data = None,
) -> None:
    """Seal all secrets with the present key-encryption key, beside running processes. Can be broken off and repeated.

    Exit 1 where a secret is left that needs another key.
    """
    names = _names(service) if service else NAMES
    program = _program(data)
    program.prepare_data_dir()
    is_done = False

    async def work() -> None:
        nonlocal is_done
        is_done = await rewrap_all(program, names, check=check)

    _run(work)
    if not is_done:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def scan(context: typer.Context) -> None:
    """Look at the network once, without the platform: a table, or JSON lines. See `everleaf scan --help`."""
    raise typer.Exit(scan_main(context.args))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def configured(context: typer.Context) -> None:
    """Compare this host's server configurations with what is served. See `everleaf configured --help`."""
    raise typer.Exit(configured_main(context.args))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def ask(context: typer.Context) -> None:
    """Ask the inventory for certificates: CSV, JSON, or how many. See `everleaf ask --help`."""
    raise typer.Exit(ask_main(context.args))


@app.command("verify-evidence")
def verify_evidence_command(
    report: Path,
    keys: Annotated[Path, typer.Option(help="The published keys: what /renewal/v1/evidence-keys answers.")],
) -> None:
    """Check offline that the report of a campaign is as it was signed; exit 2 where it is not."""
    typer.echo(verify_evidence(report, keys))


@app.command()
def contracts(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where one is out of date.")
    ] = False,
) -> None:
    """Write every openapi.json, asyncapi.json and event schema, or check that they are up to date."""
    outdated = write_or_check(Path(__file__).parent.parent, check=check)
    for path in outdated:
        typer.echo(f"{'out of date' if check else 'written'}: {path}")
    if check and outdated:
        typer.echo("Run `make contracts` and commit the result.", err=True)
        raise typer.Exit(1)


@app.command()
def settings() -> None:
    """List every setting with its default."""
    for section, model in sections().items():
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            text = ",".join(default) if isinstance(default, list) else default
            typer.echo(f"{variable(section, name)}={'' if text is None else text}")


def _names(service: str) -> tuple[str, ...]:
    if service not in NAMES:
        raise Invalid(f"There is no service {service!r}.", next_step=f"Choose one of {', '.join(NAMES)}.")
    return (service,)


def _program(data: Path | None) -> Program:
    toml_path = Path(os.environ.get("EVERLEAF_CONFIG", "everleaf.toml"))
    environ = {name: value for name, value in os.environ.items() if name != "EVERLEAF_CONFIG"}
    program = Program(environ, toml_path=toml_path, data_dir=data)
    style = program.settings.log_format or ("text" if sys.stderr.isatty() else "json")
    configure(level=program.settings.log_level, style=style)
    return program


async def _serve(program: Program, names: tuple[str, ...], *, host: str, port: int) -> None:
    bound = listen(host, port)
    await require_migrated(program, names)
    listening = Endpoint(host=host, port=bound.getsockname()[1])
    async with (
        program.open_bus() as bus,
        open_services(program, names, bus, listening=listening) as services,
    ):
        address = f"http://{host}:{listening.port}"
        log.info("everleaf.ready", services=list(names), address=address, data_dir=str(program.data_dir))
        # What is loaded stays: to look through all of it again and again for garbage costs a tenth of answering.
        gc.collect()
        gc.freeze()
        # People sign in at inventory, so the portal is where that is.
        portal = portal_routes() if "inventory" in names else ()
        await serve(front_door(services, bus, portal=portal), services, bound)
    log.info("everleaf.stopped", services=list(names))


def _leave_no_core_file() -> None:
    """A process that crashes must not write its memory, with the keys that are open in it, to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    _leave_no_core_file()
    try:
        anyio.run(work, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        known = _first_known(group)
        if known is not None:
            raise known from None
        log.critical("everleaf.crashed", exc_info=group)
        sys.exit(1)


def _first_known(group: BaseExceptionGroup[BaseException]) -> EverleafError | None:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
        leaf = leaf.exceptions[0]
    return leaf if isinstance(leaf, EverleafError) else None
