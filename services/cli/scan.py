"""`everleaf scan`: one look at a network, without any platform."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import anyio
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.discovery.connectors.network import Network, NetworkOptions
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Walk, parse_ports, parse_server_name, parse_target, plan
from shared import x509
from shared.errors import Invalid
from shared.events.discovery import ScanCounts
from shared.logs import configure

MOST = 1 << 24
PATIENCE = timedelta(seconds=10)


class Depth(StrEnum):
    """How thoroughly to look."""

    FAST = "fast"
    FULL = "full"


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
    starttls: Annotated[str | None, typer.Option(help="Not there yet: only TLS from the first byte.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds one connection may take.", min=0.1, max=60)] = 3,
    concurrency: Annotated[int, typer.Option(help="Connections at a time.", min=1, max=10_000)] = 500,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="JSON lines, also on a terminal.")] = False,  # noqa: FBT002 - an option
    output: Annotated[
        Path | None, typer.Option(help="Write the results to this file, as JSON lines.")
    ] = None,
) -> None:
    """Scan for TLS certificates: a table on a terminal, JSON lines in a pipe.

    Exit codes: 0 at least one certificate was found, 1 none was, 2 it cannot be scanned as asked.
    """
    configure(level="error", style="text")
    _refuse_what_is_not_there(depth, starttls)
    limits = Limits(exclude=exclude or [])
    walk, unresolved = anyio.run(_plan, _texts(targets or [], targets_file), ports, sni or [])
    options = NetworkOptions(timeout=timedelta(seconds=timeout), concurrency=concurrency, limits=limits)
    with _writer(output, as_lines=jsonl or not sys.stdout.isatty()) as writer:
        for host, reason in unresolved.items():
            writer.write_unresolved(host, reason)
        counts = anyio.run(_scan, walk, Network(options), writer, len(unresolved))
    parts = [f"{name} {number}" for name, number in counts.model_dump().items() if number]
    typer.echo(", ".join(parts), err=True)
    raise typer.Exit(0 if writer.has_certificate else 1)


def _refuse_what_is_not_there(depth: Depth, starttls: str | None) -> None:
    if depth is Depth.FULL:
        raise Invalid("The depth `full` is not there yet.", next_step="Leave --depth out, or say fast.")
    if starttls is not None:
        raise Invalid(
            "STARTTLS is not there yet.",
            next_step="Leave --starttls out, and name ports that speak TLS from the first byte.",
        )


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


async def _plan(texts: list[str], ports: str, server_names: list[str]) -> tuple[Walk, dict[str, str]]:
    wishes = [parse_target(text, pointer=f"target {number}") for number, text in enumerate(texts, start=1)]
    names = [parse_server_name(name, pointer="--sni") for name in server_names]
    port_ranges = parse_ports(ports, pointer="--ports")
    resolved, unresolved = await resolve([wish.host for wish in wishes if wish.host], patience=PATIENCE)
    segments = plan(wishes, resolved=resolved, ports=port_ranges, server_names=names, most=MOST)
    return Walk(segments), unresolved


async def _scan(walk: Walk, source: Network, writer: "Writer", unresolved: int) -> ScanCounts:
    counts = Counter({Outcome.FAILED: unresolved})
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(walk))
        async with aclosing(source.look(map(walk.at, range(len(walk))))) as seen:
            async for sighting in seen:
                counts[sighting.outcome] += 1
                writer.write(sighting)
                progress.advance(task)
    parts = {outcome.value: number for outcome, number in counts.items()}
    return ScanCounts(asked=counts.total(), **parts)


class Writer:
    """Writes sightings as they come (JSON lines), or those with certificates as a table at the end."""

    def __init__(self, file: TextIO, *, as_lines: bool) -> None:
        self._file = file
        self._as_lines = as_lines
        self.has_certificate = False
        self._table = Table(box=box.SIMPLE_HEAD)
        for heading in ("address", "name", "certificate for", "expires", "left", "key", "TLS"):
            self._table.add_column(heading, no_wrap=heading in ("address", "expires", "left"))

    def write(self, sighting: Sighting) -> None:
        """Take one sighting."""
        self.has_certificate = self.has_certificate or bool(sighting.chain)
        if self._as_lines:
            self._line(_record(sighting))
        elif sighting.chain:
            self._table.add_row(*_cells(sighting))

    def write_unresolved(self, host: str, reason: str) -> None:
        """Take a host name that has no address."""
        typer.echo(f"{host}: {reason}", err=True)
        if self._as_lines:
            names = {"address": None, "port": None, "server_name": host}
            self._line({**names, "outcome": Outcome.FAILED.value, "reason": reason})

    def _line(self, record: dict[str, Any]) -> None:
        # Flushed, so that whoever reads the pipe sees each as it comes.
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def finish(self) -> None:
        """Write what was kept back."""
        if not self._as_lines and self._table.row_count:
            Console(file=self._file).print(self._table)


@contextmanager
def _writer(output: Path | None, *, as_lines: bool) -> Iterator[Writer]:
    if output is None:
        with _until_nobody_reads():
            writer = Writer(sys.stdout, as_lines=as_lines)
            yield writer
            writer.finish()
        return
    try:
        file = output.open("w")
    except OSError as error:
        raise Invalid(f"--output: {error}.", next_step="Name a file that can be written.") from error
    with file:
        yield Writer(file, as_lines=True)


@contextmanager
def _until_nobody_reads() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # As `| head` does: no complaint, and nothing for the interpreter to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


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
    record["chain_length"] = len(sighting.chain)
    record |= {
        "tls_version": sighting.tls_version,
        "cipher_suite": sighting.cipher_suite,
        "group": sighting.group,
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
        }
    return record


def _cells(sighting: Sighting) -> list[str]:
    asked, facts = sighting.asked, _facts(sighting)
    where = f"[{asked.address}]:{asked.port}" if ":" in asked.address else f"{asked.address}:{asked.port}"
    version = (sighting.tls_version or "").removeprefix("TLSv")
    if facts is None:
        return [_plain(where), asked.server_name or "", _plain(sighting.reason), "", "", "", version]
    left = facts.not_after - datetime.now(UTC)
    colour = "red" if left < timedelta(days=7) else "yellow" if left < timedelta(days=30) else "green"
    names = ", ".join(facts.names[:3]) + (" …" if len(facts.names) > 3 else "")  # noqa: PLR2004 - a few tell enough
    return [
        _plain(where),
        asked.server_name or "",
        _plain(names),
        facts.not_after.date().isoformat(),
        f"[{colour}]{left.days} d[/{colour}]",
        f"rsa {facts.key_bits}" if facts.key_type == "rsa" else facts.key_type,
        version,
    ]


def _plain(text: str) -> str:
    """Return what a stranger's certificate says as text that can do nothing to a terminal."""
    return escape("".join(each if each.isprintable() else "?" for each in text))
