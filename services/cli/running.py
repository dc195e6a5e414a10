"""How the platform is run by the commands of the program: settings, databases, the bus, the HTTP server.

Apart from the list of commands because it imports all of the platform, which most commands do not need.
"""

import os
import resource
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import structlog

from services.cli.backup import back_up, restore
from services.cli.connection import VARIABLES
from services.cli.forget import forget_all
from services.cli.rewrap import rewrap_all
from services.portal import portal_routes
from services.program import NAMES, Program, migrate, open_services, require_key, require_migrated, sections
from services.run import front_door, listen, serve
from shared.collector import look_less
from shared.errors import EverleafError, Invalid
from shared.logs import configure
from shared.service import Endpoint
from shared.settings import variable

log = structlog.get_logger(__name__)


def run_everything(data: Path | None, *, host: str, port: int) -> None:
    """Run the five services in this process until it is told to end."""
    program = _program(data)
    program.prepare_data_dir()

    async def everything() -> None:
        await migrate(program, NAMES)
        await _serve(program, NAMES, host=host, port=port)

    with program.only_one():
        _run(everything)


def run_service(service: str, data: Path | None, *, host: str, port: int) -> None:
    """Run one service until the process is told to end. Raises `Invalid` where there is no such service."""
    names = _names(service)
    program = _program(data)
    program.prepare_data_dir()
    _run(lambda: _serve(program, names, host=host, port=port))


def prepare_databases(service: str | None, data: Path | None) -> tuple[str, ...]:
    """Migrate and declare the queues; return the services whose databases are ready."""
    names = _names(service) if service else NAMES
    program = _program(data)
    program.prepare_data_dir()

    async def prepare() -> None:
        await migrate(program, names)
        async with program.open_bus():
            pass

    _run(prepare)
    return names


def rewrap_secrets(service: str | None, data: Path | None, *, check: bool) -> bool:
    """Seal all secrets anew, or only count; return whether the present key is the only one in use."""
    names = _names(service) if service else NAMES
    program = _program(data)
    program.prepare_data_dir()
    is_done = False

    async def work() -> None:
        nonlocal is_done
        is_done = await rewrap_all(program, names, check=check)

    _run(work)
    return is_done


def copy_everything(folder: Path, data: Path | None) -> Iterator[str]:
    """Back the embedded platform up; yield what a person should know of it."""
    made = back_up(_program(data), folder)
    size = sum(file.bytes for file in made.files.values())
    yield f"{folder}: {len(made.files)} files, {size:,} bytes."
    for key, count in sorted(made.sealed_with.items()):
        yield f"{count:,} secrets need the key-encryption key {key}: keep a copy of it, and elsewhere."


def bring_back(folder: Path, data: Path | None, *, without_key: bool) -> str:
    """Restore a backup; return what a person should know of it."""
    program = _program(data)
    made = restore(program, folder, without_key=without_key)
    return f"Restored to {program.data_dir} as it was at {made.made_at:%Y-%m-%d %H:%M:%S} UTC."


def forget_unreadable(data: Path | None, *, really: bool) -> None:
    """Empty the secrets that no key opens any more, or only say which these are."""
    program = _program(data)
    program.prepare_data_dir()
    with program.only_one():
        _run(lambda: forget_all(program, NAMES, really=really))


def all_settings() -> list[str]:
    """Return every setting with its default, as `NAME=value`."""
    lines = []
    for section, model in sections().items():
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            text = ",".join(default) if isinstance(default, list) else default
            lines.append(f"{variable(section, name)}={'' if text is None else text}")
    return lines


def _names(service: str) -> tuple[str, ...]:
    if service not in NAMES:
        raise Invalid(f"There is no service {service!r}.", next_step=f"Choose one of {', '.join(NAMES)}.")
    return (service,)


def _program(data: Path | None) -> Program:
    toml_path = Path(os.environ.get("EVERLEAF_CONFIG", "everleaf.toml"))
    environ = {
        name: value for name, value in os.environ.items() if name not in {"EVERLEAF_CONFIG", *VARIABLES}
    }
    program = Program(environ, toml_path=toml_path, data_dir=data)
    style = program.settings.log_format or ("text" if sys.stderr.isatty() else "json")
    configure(level=program.settings.log_level, style=style)
    return program


async def _serve(program: Program, names: tuple[str, ...], *, host: str, port: int) -> None:
    tls = program.serving_tls()
    bound = listen(host, port)
    await require_migrated(program, names)
    await require_key(program, names)
    listening = Endpoint(host=host, port=bound.getsockname()[1])
    async with (
        program.tracing(names),
        program.open_bus() as bus,
        open_services(program, names, bus, listening=listening) as services,
    ):
        address = f"{'https' if tls else 'http'}://{host}:{listening.port}"
        log.info("everleaf.ready", services=list(names), address=address, data_dir=str(program.data_dir))
        look_less()
        # People sign in at inventory, so the portal is where that is.
        portal = portal_routes() if "inventory" in names else ()
        await serve(front_door(services, bus, portal=portal), services, bound, tls=tls)
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
