"""`everleaf scan`: one look at a network, without any platform."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import anyio
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.discovery.connectors import Sighting
from services.discovery.connectors.network import Network, NetworkOptions
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.answers import Outcome, count
from services.discovery.domain.targets import Limits, Walk, parse_ports, parse_target, plan
from shared import x509
from shared.errors import Invalid

MOST = 1 << 24
SHARD = 4096


class Depth(StrEnum):
    """How thoroughly to look."""

    FAST = "fast"


def scan(  # noqa: PLR0917 - the options of a command
    targets: Annotated[
        list[str] | None, typer.Argument(help="Networks, ranges, addresses, host names, URLs; - reads stdin.")
    ] = None,
    targets_file: Annotated[
        Path | None, typer.Option("--targets", help="A file of targets, one a line.", dir_okay=False)
    ] = None,
    ports: Annotated[str, typer.Option(help="As 443,8443,9000-9010.")] = "443",
    sni: Annotated[list[str] | None, typer.Option(help="A server name to ask each address for.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A network to leave out.")] = None,
    depth: Annotated[Depth, typer.Option(help="fast: the chain and what was negotiated.")] = Depth.FAST,  # noqa: ARG001 - one depth so far
    timeout: Annotated[float, typer.Option(help="Seconds one connection may take.", min=0.1)] = 3,
    concurrency: Annotated[int, typer.Option(help="Connections at a time.", min=1, max=10_000)] = 500,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="JSON lines, also on a terminal.")] = False,  # noqa: FBT002 - an option
    output: Annotated[Path | None, typer.Option(help="Write the results to this file.")] = None,
) -> None:
    """Scan for TLS certificates: a table on a terminal, JSON lines in a pipe.

    Exit codes: 0 at least one certificate was found, 1 none was, 2 the targets cannot be scanned.
    """
    texts = [*_read(targets or []), *(_lines(targets_file.open()) if targets_file else [])]
    if not texts:
        raise Invalid("There is nothing to scan.", next_step="Name targets: everleaf scan 192.0.2.0/24")
    walk = anyio.run(_plan, texts, ports, sni or [])
    limits = Limits(exclude=exclude or [])
    source = Network(NetworkOptions(timeout=timedelta(seconds=timeout), concurrency=concurrency))
    with _writer(output, as_lines=jsonl or not sys.stdout.isatty()) as writer:
        outcomes = anyio.run(_scan, walk, limits, source, writer)
    counts = count(outcomes)
    parts = [f"{name} {number}" for name, number in counts.model_dump().items() if number]
    typer.echo(", ".join(parts), err=True)
    raise typer.Exit(0 if counts.tls else 1)


def _read(targets: Sequence[str]) -> Iterator[str]:
    for target in targets:
        if target == "-":
            yield from _lines(sys.stdin)
        else:
            yield target


def _lines(file: TextIO) -> Iterator[str]:
    with file:
        for line in file:
            text = line.split("#")[0].strip()
            if text:
                yield text


async def _plan(texts: list[str], ports: str, server_names: list[str]) -> Walk:
    wishes = [parse_target(text, pointer=f"target {number}") for number, text in enumerate(texts, start=1)]
    resolved, unresolved = await resolve([wish.host for wish in wishes if wish.host])
    for host, reason in unresolved.items():
        typer.echo(f"{host}: {reason}", err=True)
    segments = plan(
        [wish for wish in wishes if wish.host not in unresolved],
        resolved=resolved,
        ports=parse_ports(ports, pointer="--ports"),
        server_names=server_names,
        most=MOST,
    )
    return Walk(segments)


async def _scan(walk: Walk, limits: Limits, source: Network, writer: "Writer") -> list[Outcome]:
    outcomes: list[Outcome] = []
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(walk))
        for start in range(0, len(walk), SHARD):
            asked = [walk.at(number) for number in range(start, min(start + SHARD, len(walk)))]
            permitted = [one for one in asked if limits.permits(one.address)]
            outcomes += [Outcome.EXCLUDED] * (len(asked) - len(permitted))
            progress.advance(task, len(asked) - len(permitted))
            async for sighting in source.look(permitted):
                outcomes.append(sighting.outcome)
                writer.write(sighting)
                progress.advance(task)
    return outcomes


class Writer:
    """Writes sightings as they come (JSON lines), or those with certificates as a table at the end."""

    def __init__(self, file: TextIO, *, as_lines: bool) -> None:
        self._file = file
        self._as_lines = as_lines
        self._table = Table()
        for heading in ("address", "name", "certificate for", "expires", "left", "key", "TLS"):
            self._table.add_column(heading)

    def write(self, sighting: Sighting) -> None:
        """Take one sighting."""
        if self._as_lines:
            self._file.write(json.dumps(_record(sighting)) + "\n")
        elif sighting.outcome is Outcome.TLS:
            self._table.add_row(*_cells(sighting))

    def finish(self) -> None:
        """Write what was kept back."""
        if not self._as_lines and self._table.row_count:
            Console(file=self._file).print(self._table)


@contextmanager
def _writer(output: Path | None, *, as_lines: bool) -> Iterator[Writer]:
    if output is None:
        writer = Writer(sys.stdout, as_lines=as_lines)
        yield writer
        writer.finish()
        return
    with output.open("w") as file:
        writer = Writer(file, as_lines=True)
        yield writer


def _facts(sighting: Sighting) -> x509.CertificateFacts | None:
    try:
        return x509.read(sighting.chain[0]) if sighting.chain else None
    except Invalid:
        return None


def _record(sighting: Sighting) -> dict[str, Any]:
    asked, facts = sighting.asked, _facts(sighting)
    record: dict[str, Any] = {
        "address": asked.address,
        "port": asked.port,
        "server_name": asked.server_name,
        "outcome": sighting.outcome.value,
        "reason": sighting.reason,
    }
    if sighting.outcome is not Outcome.TLS:
        return record
    record |= {
        "tls_version": sighting.tls_version,
        "cipher_suite": sighting.cipher_suite,
        "alpn": sighting.alpn,
    }
    if facts is not None:
        record |= {
            "fingerprint": facts.fingerprint,
            "subject": facts.subject,
            "issuer": facts.issuer,
            "names": list(facts.names),
            "not_before": facts.not_before.isoformat(),
            "not_after": facts.not_after.isoformat(),
            "key_type": facts.key_type,
            "key_bits": facts.key_bits,
            "chain_length": len(sighting.chain),
        }
    return record


def _cells(sighting: Sighting) -> list[str]:
    asked, facts = sighting.asked, _facts(sighting)
    where = f"[{asked.address}]:{asked.port}" if ":" in asked.address else f"{asked.address}:{asked.port}"
    if facts is None:
        return [where, asked.server_name or "", sighting.reason, "", "", "", sighting.tls_version or ""]
    left = facts.not_after - datetime.now(UTC)
    colour = "red" if left < timedelta(days=7) else "yellow" if left < timedelta(days=30) else "green"
    names = ", ".join(facts.names[:3]) + (" …" if len(facts.names) > 3 else "")  # noqa: PLR2004 - a few tell enough
    return [
        where.replace("[", "\\["),
        asked.server_name or "",
        names.replace("[", "\\["),
        facts.not_after.date().isoformat(),
        f"[{colour}]{left.days} d[/{colour}]",
        f"{facts.key_type} {facts.key_bits}",
        sighting.tls_version or "",
    ]
