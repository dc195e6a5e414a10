"""What a scan has seen, on paper: JSON lines as it comes, or a table at the end."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

from services.cli.facts import facts_of
from services.cli.terminal import say, unmarked, until_nobody_reads
from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from shared.errors import Invalid
from shared.x509 import fingerprint

Row = TypeVar("Row")


class Results(Protocol[Row]):
    """Takes what was seen: a row is made wherever a place was looked at, and put down in one place."""

    def row(self, sighting: Sighting) -> Row | None:
        """Return what is to be put down for a sighting, nothing where it is not shown."""

    def put(self, rows: Sequence[Row]) -> None:
        """Take rows, and let whoever reads along have them."""

    def put_unresolved(self, host: str, reason: str) -> None:
        """Take a host name that has no address."""

    def finish(self) -> None:
        """Write what was kept back."""


class Lines:
    """One JSON object a line for every place, as it comes."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def row(self, sighting: Sighting) -> str:
        """Return the line of a sighting."""
        asked = sighting.asked
        return (
            f'{{"address": "{asked.address}", "port": {asked.port}, "server_name": {_json(asked.server_name)}, '
            f'"outcome": "{sighting.outcome}", "reason": {_json(sighting.reason)}'
            f"{_rest(sighting)}}}\n"
        )

    def put(self, rows: Sequence[str]) -> None:
        """Write lines, at once: somebody may read along."""
        self._file.writelines(rows)
        self._file.flush()

    def put_unresolved(self, host: str, reason: str) -> None:
        """Take a host name that has no address."""
        say(f"{host}: {reason}")
        names = {"address": None, "port": None, "server_name": host}
        self.put([json.dumps({**names, "outcome": Outcome.FAILED.value, "reason": reason}) + "\n"])

    def finish(self) -> None:
        """Nothing is kept back."""


_json = lru_cache(maxsize=4096)(json.dumps)


def _rest(sighting: Sighting) -> str:
    if sighting.outcome is not Outcome.TLS:
        return f', "protocol": {_json(sighting.protocol)}' if sighting.protocol else ""
    return (
        f', "starttls": {_json(sighting.starttls)}, "tls_version": {_json(sighting.tls_version)}'
        f', "cipher_suite": {_json(sighting.cipher_suite)}, "group": {_json(sighting.group)}'
        f', "alpn": {_json(sighting.alpn)}, "is_stapled": {_json(sighting.is_stapled)}'
        f', "wants_client_certificate": {_json(sighting.wants_client_certificate)}'
        f', "chain_length": {len(sighting.chain)}'
        f"{_certificate(sighting.chain[0]) if sighting.chain else ''}{_deep(sighting)}"
    )


def _deep(sighting: Sighting) -> str:
    """Return what only depth `full` finds out, as the rest of a JSON object."""
    if sighting.depth is None:
        return ""
    others = {kind: fingerprint(chain[0]) for kind, chain in sighting.other_chains.items()}
    return f', "depth": {json.dumps(asdict(sighting.depth))}, "other_fingerprints": {json.dumps(others)}'


@lru_cache(maxsize=4096)
def _certificate(der: bytes) -> str:
    """Return what a leaf says as the rest of a JSON object."""
    facts = facts_of(der)
    if facts is None:
        return ""
    said: dict[str, Any] = {
        "fingerprint": facts.fingerprint,
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "not_before": facts.not_before.isoformat(),
        "not_after": facts.not_after.isoformat(),
        "key_type": facts.key_type,
        "key_bits": facts.key_bits,
        "signature_algorithm": facts.signature_algorithm,
    }
    return f", {json.dumps(said)[1:-1]}"


class Table:
    """The places with certificates, as a table at the end."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rows: list[list[str]] = []

    def row(self, sighting: Sighting) -> list[str] | None:
        """Return the cells of a place with a certificate."""
        return _cells(sighting) if sighting.chain else None

    def put(self, rows: Sequence[list[str]]) -> None:
        """Keep rows: nothing is shown before the end."""
        self._rows += rows

    def put_unresolved(self, host: str, reason: str) -> None:
        """Take a host name that has no address."""
        say(f"{host}: {reason}")

    def finish(self) -> None:
        """Print the table."""
        from rich import box  # noqa: PLC0415 - only a terminal needs it
        from rich.console import Console  # noqa: PLC0415 - the same
        from rich.table import Table as Grid  # noqa: PLC0415 - the same

        if not self._rows:
            return
        grid = Grid(box=box.SIMPLE_HEAD)
        for heading in ("address", "name", "certificate for", "expires", "left", "key", "TLS"):
            grid.add_column(heading, no_wrap=heading in ("address", "expires", "left"))
        for row in self._rows:
            grid.add_row(*row)
        Console(file=self._file).print(grid)


def _cells(sighting: Sighting) -> list[str]:
    asked, facts = sighting.asked, facts_of(sighting.chain[0])
    where = f"[{asked.address}]:{asked.port}" if ":" in asked.address else f"{asked.address}:{asked.port}"
    version = (sighting.tls_version or "").removeprefix("TLSv")
    if sighting.starttls:
        version = f"{version} ({sighting.starttls})"
    if facts is None:
        return [unmarked(where), asked.server_name or "", unmarked(sighting.reason), "", "", "", version]
    left = facts.not_after - datetime.now(UTC)
    colour = "red" if left < timedelta(days=7) else "yellow" if left < timedelta(days=30) else "green"
    names = ", ".join(facts.names[:3]) + (" …" if len(facts.names) > 3 else "")  # noqa: PLR2004 - a few tell enough
    return [
        unmarked(where),
        asked.server_name or "",
        unmarked(names),
        facts.not_after.date().isoformat(),
        f"[{colour}]{left.days} d[/{colour}]",
        f"rsa {facts.key_bits}" if facts.key_type == "rsa" else facts.key_type,
        version,
    ]


@contextmanager
def results_to(output: Path | None, *, as_lines: bool) -> Iterator[Results[Any]]:
    """Open where the results go: a file, else standard output. Raises `Invalid` where it cannot be written."""
    if output is None:
        with until_nobody_reads():
            results: Results[Any] = Lines(sys.stdout) if as_lines else Table(sys.stdout)
            yield results
            results.finish()
        return
    try:
        file = output.open("w")
    except OSError as error:
        raise Invalid(f"--output: {error}.", next_step="Name a file that can be written.") from error
    with file:
        yield Lines(file)
