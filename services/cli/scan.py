"""`everleaf scan`: looks at the network once, without any platform.

Imports no more than a look needs: the command is started a thousand times by scripts.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.gate import Gate
from services.cli.progress import Progress
from services.cli.results import Results, results_to
from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits
from services.discovery.domain.targets import Walk, parse_ports, parse_server_name, parse_target, plan
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import AUTO, Asker
from services.discovery.scanner.pace import Sockets, raise_limit_of_files
from services.discovery.scanner.starttls import PROTOCOLS
from shared.errors import Invalid

MOST = 1 << 24
PATIENCE = 10.0
"""Seconds for the resolver to answer."""
WAIT = 0.2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Depth(StrEnum):
    """How thoroughly to look."""

    FAST = "fast"
    FULL = "full"


@app.command()
def scan(  # noqa: PLR0917 - the options of a command
    targets: Annotated[
        list[str] | None, typer.Argument(help="Networks, ranges, addresses, host names, URLs; - reads stdin.")
    ] = None,
    targets_file: Annotated[
        Path | None, typer.Option("--targets", help="A file of targets, one a line; - is stdin.")
    ] = None,
    ports: Annotated[str, typer.Option(help="As 443,8443,9000-9010.")] = "443",
    sni: Annotated[list[str] | None, typer.Option(help="A server name to ask each address for.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Addresses to leave out.")] = None,
    depth: Annotated[Depth, typer.Option(help="fast: the chain and what was negotiated.")] = Depth.FAST,
    starttls: Annotated[
        str, typer.Option(help=f"auto (by port and greeting), none, or {', '.join(PROTOCOLS)}.")
    ] = AUTO,
    timeout: Annotated[float, typer.Option(help="Seconds one connection may take.", min=0.1, max=60)] = 3,
    concurrency: Annotated[int, typer.Option(help="Connections at a time.", min=1, max=50_000)] = 4000,
    rate: Annotated[float | None, typer.Option(help="New connections per second.", min=0.1)] = None,
    per_host: Annotated[int, typer.Option(help="Connections at a time to one address.", min=1)] = 10,
    per_network: Annotated[int, typer.Option(help="… and to one /24 (IPv6: /64).", min=1)] = 256,
    fail_on: Annotated[
        str, typer.Option(help="End with 3 where there is one: expired,expiring=30d,weak,self-signed.")
    ] = "",
    jsonl: Annotated[bool, typer.Option("--jsonl", help="JSON lines, also on a terminal.")] = False,  # noqa: FBT002 - an option
    output: Annotated[
        Path | None, typer.Option(help="Write the results to this file, as JSON lines.")
    ] = None,
) -> None:
    """Scan for TLS certificates: a table on a terminal, JSON lines in a pipe.

    Exit codes: 0 at least one certificate was found, 1 none was, 2 it cannot be scanned as asked,
    3 something was found that --fail-on names.
    """
    if depth is Depth.FULL:
        raise Invalid("The depth `full` is not there yet.", next_step="Leave --depth out, or say fast.")
    gate = Gate(fail_on)
    raise_limit_of_files()
    tempo = Tempo(
        timeout=timeout, concurrency=concurrency, rate=rate, per_host=per_host, per_network=per_network
    )
    asker = Asker(Limits(exclude=exclude or []).permits)
    walk, unresolved = _plan(_texts(targets or [], targets_file), ports, sni or [], _protocol(starttls))
    with results_to(output, as_lines=jsonl or not sys.stdout.isatty()) as results:
        for host, reason in unresolved.items():
            results.write_unresolved(host, reason)
        counts = _scan(walk, asker, tempo, results, gate)
    counts[Outcome.FAILED] += len(unresolved)
    parts = [f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome]]
    typer.echo(", ".join([f"asked {counts.total()}", *parts]), err=True)
    for line in gate.findings:
        typer.echo(line, err=True)
    raise typer.Exit(3 if gate.findings else 0 if results.has_certificate else 1)


def _protocol(text: str) -> str | None:
    if text not in (AUTO, "none", *PROTOCOLS):
        raise Invalid(
            f"--starttls: {text!r} is not a protocol that we speak.",
            next_step=f"Write auto, none, or one of {', '.join(PROTOCOLS)}.",
        )
    return None if text == "none" else text


def _texts(targets: Sequence[str], file: Path | None) -> list[str]:
    texts = [text for target in targets for text in (_lines(sys.stdin) if target == "-" else [target])]
    if file is not None:
        texts += _lines(sys.stdin) if str(file) == "-" else _lines_of(file)
    if not texts:
        raise Invalid("There is nothing to scan.", next_step="Name targets: everleaf scan 192.0.2.0/24")
    return texts


def _lines_of(path: Path) -> list[str]:
    try:
        with path.open() as file:
            return _lines(file)
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"--targets: {path} cannot be read ({error}).", next_step="Name a text file."
        ) from error


def _lines(file: Iterable[str]) -> list[str]:
    return [text for line in file if (text := line.split("#")[0].strip())]


def _plan(
    texts: list[str], ports: str, server_names: list[str], starttls: str | None
) -> tuple[Walk, dict[str, str]]:
    wishes = [parse_target(text, pointer=f"target {number}") for number, text in enumerate(texts, start=1)]
    names = [parse_server_name(name, pointer="--sni") for name in server_names]
    port_ranges = parse_ports(ports, pointer="--ports")
    hosts = [wish.host for wish in wishes if wish.host]
    resolved, unresolved = _resolved(hosts) if hosts else ({}, {})
    segments = plan(wishes, resolved=resolved, ports=port_ranges, server_names=names, most=MOST)
    return Walk(segments, starttls=starttls), unresolved


def _resolved(hosts: list[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    from datetime import timedelta  # noqa: PLC0415 - only names need a resolver, and an event loop for it

    import anyio  # noqa: PLC0415 - the same

    from services.discovery.connectors.resolve import resolve  # noqa: PLC0415 - the same

    async def ask() -> tuple[dict[str, list[str]], dict[str, str]]:
        return await resolve(hosts, patience=timedelta(seconds=PATIENCE))

    return anyio.run(ask)


def _scan(walk: Walk, asker: Asker, tempo: Tempo, results: Results, gate: Gate) -> Counter[Outcome]:
    counts: Counter[Outcome] = Counter()
    places = map(walk.at, range(len(walk)))
    sockets = Sockets(tempo.concurrency)
    engine = Engine(places, inquire=asker.look, tempo=tempo, sockets=sockets)
    with closing(engine), Progress(len(walk)) as progress:
        while not engine.is_done:
            seen = engine.step(wait=WAIT)
            for sighting in seen:
                counts[sighting.outcome] += 1
                results.write(sighting)
                gate.check(sighting)
            results.flush()
            progress.advance(len(seen))
    return counts
