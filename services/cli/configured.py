"""`everleaf configured`: which certificates this host's servers are told to present, beside what they do present."""

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from services.cli.arguments import within
from services.cli.host_files import LocalFiles, configured, opened_archive
from services.cli.terminal import say, unmarked
from services.discovery.configuration import bigip
from services.discovery.configuration.registry import PRODUCTS, SSHD, read_all
from services.discovery.connectors.network import Network
from services.discovery.domain.comparisons import Comparison, Configured, Where, compare, questions
from services.discovery.domain.holdings import Gap, Reading
from services.discovery.domain.looks import LookOptions
from shared import x509
from shared.errors import Invalid

ENDS = """exit codes:
  0 every certificate that is configured is served, 1 no configuration was found, 2 it cannot be done as asked,
  3 something is not as it should be"""
_FOUND_NOTHING, _FOUND_FAULTS = 1, 3
_READ = (*PRODUCTS, SSHD)


def main(arguments: Sequence[str]) -> int:
    """Compare as the arguments say; return the exit code. Raises `Invalid` where it cannot be done as asked."""
    parser = ArgumentParser(
        prog="everleaf configured",
        description="Read the configuration of this host's servers and ask each listener what it serves.",
        epilog=ENDS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    names = ", ".join(product.name for product in _READ)
    add = parser.add_argument
    add(
        "--config",
        action="append",
        default=[],
        metavar="PRODUCT=FILE",
        help=f"instead of where {names} have theirs; bigip's may be a UCS archive, FILE.ucs",
    )
    add("--timeout", type=within(0.1, 60, float), default=3, help="seconds one connection may take")
    add("--jsonl", action="store_true", help="JSON lines, also on a terminal")
    asked = parser.parse_args(arguments)
    options = LookOptions(timeout=timedelta(seconds=asked.timeout))
    readings, rows, leaves = anyio.run(_compared, _starts(asked.config), options)
    gaps = [gap for reading in readings for gap in reading.gaps]
    if asked.jsonl or not sys.stdout.isatty():
        _print_lines(rows, gaps=gaps, leaves=leaves)
    else:
        _print_table(rows, gaps=gaps, leaves=leaves)
    faults = sum(1 for row in rows if row.findings)
    files = sum(len(reading.files) for reading in readings)
    counted = f"{files} files read, {len(rows)} places, {faults} with findings, {len(gaps)} gaps"
    say(counted)
    return _FOUND_FAULTS if faults else 0 if files else _FOUND_NOTHING


def _starts(texts: Sequence[str]) -> dict[str, str] | None:
    """Read `nginx=/path/nginx.conf`; None where the well-known places are to be looked at."""
    known = [product.name for product in _READ]
    starts = dict(text.partition("=")[::2] for text in texts)
    for name, path in starts.items():
        is_archive_of_another = path.endswith(".ucs") and name != "bigip"
        if name not in known or not path.startswith("/") or is_archive_of_another:
            raise Invalid(
                f"--config: {name}={path} names no product that is read, or no absolute path.",
                next_step=f"Write PRODUCT=/FILE; the products are {', '.join(known)}.",
            )
    return starts or None


async def _compared(
    starts: dict[str, str] | None, options: LookOptions
) -> tuple[tuple[Reading, ...], list[Comparison], dict[str, bytes]]:
    """Return what was read, the comparisons, and every leaf that was served, in DER by its fingerprint."""
    readings, slots = await _read(starts)
    leaves: dict[str, bytes] = {}
    asked = questions(slots)
    served: dict[Where, list[str]] = defaultdict(list)
    looking = Network(options).look(asked)
    async with aclosing(looking):
        async for sighting in looking:
            if sighting.chain:
                leaves[x509.fingerprint(sighting.chain[0])] = sighting.chain[0]
                served[asked[sighting.asked]].append(x509.fingerprint(sighting.chain[0]))
    return readings, list(compare(slots, asked=asked.values(), served=served)), leaves


async def _read(starts: dict[str, str] | None) -> tuple[tuple[Reading, ...], list[Configured]]:
    """Return what the configurations say, and each slot with what is in its files."""
    archives = {path for path in (starts or {}).values() if path.endswith(".ucs")}
    plain = starts and {name: path for name, path in starts.items() if path not in archives}
    readings = await read_all(LocalFiles(), starts=plain, products=_READ)
    slots = [configured(use) for reading in readings for use in reading.uses]
    for path in sorted(archives):
        archive = opened_archive(path)
        inside = await read_all(archive, starts={"bigip": bigip.STARTS[0]})
        slots += [configured(use, archive=archive) for reading in inside for use in reading.uses]
        readings += inside
    return readings, slots


def _row(comparison: Comparison, leaves: dict[str, bytes]) -> dict[str, Any]:
    slot, use, listener = comparison.configured, comparison.configured.use, comparison.listener
    return {
        "product": use.product,
        "file": use.file,
        "line": use.line,
        "address": listener.address,
        "port": listener.port,
        "starttls": listener.starttls,
        "server_name": comparison.server_name,
        "certificate": use.certificate,
        "key": asdict(slot.key) if slot.key else None,
        "protocols": use.protocols,
        "ciphers": use.ciphers,
        "client_verification": use.client_verification,
        "configured": _certificate(slot.fingerprint, until=slot.not_after),
        "served": [_certificate(one, until=_until(one, leaves)) for one in comparison.served],
        "findings": comparison.findings,
    }


def _certificate(fingerprint: str | None, *, until: datetime | None) -> dict[str, str] | None:
    if fingerprint is None:
        return None
    return {"fingerprint": fingerprint} | ({"not_after": until.isoformat()} if until else {})


def _until(fingerprint: str, leaves: dict[str, bytes]) -> datetime | None:
    try:
        return x509.read(leaves[fingerprint]).not_after.astimezone(UTC)
    except (KeyError, Invalid):
        return None


def _print_lines(rows: Sequence[Comparison], *, gaps: Sequence[Gap], leaves: dict[str, bytes]) -> None:
    lines = [*(_row(row, leaves) for row in rows), *({"gap": asdict(gap)} for gap in gaps)]
    sys.stdout.writelines(f"{json.dumps(line)}\n" for line in lines)


def _print_table(rows: Sequence[Comparison], *, gaps: Sequence[Gap], leaves: dict[str, bytes]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415 - the same

    table = Table("product", "listener", "name", "file", "configured", "served", "findings")
    for row in rows:
        listener, slot = row.listener, row.configured
        table.add_row(
            slot.use.product,
            unmarked(f"{listener.address or '*'}:{listener.port}"),
            unmarked(row.server_name or ""),
            unmarked(slot.use.certificate),
            _shown(slot.fingerprint, until=slot.not_after),
            "\n".join(_shown(one, until=_until(one, leaves)) for one in row.served)
            or ("nothing" if row.asked else "not asked"),
            ", ".join(row.findings),
        )
    console = Console()
    console.print(table)
    for gap in gaps:
        console.print(unmarked(f"gap: {gap.scope}: {gap.reason} {gap.next_step}"))


def _shown(fingerprint: str | None, *, until: datetime | None) -> str:
    if fingerprint is None:
        return "unreadable"
    return f"{fingerprint[:12]} until {until:%Y-%m-%d}" if until else fingerprint[:12]
