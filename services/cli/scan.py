"""`everleaf scan`: looks at the network once, without any platform.

Imports no more than a look needs: the command is started a thousand times by scripts.
"""

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

from services.cli.arguments import within
from services.cli.gate import Gate
from services.cli.harvest import Harvest, Job, harvest
from services.cli.processes import Unfinished, how_many, spread
from services.cli.progress import Progress
from services.cli.results import results_to
from services.cli.terminal import say
from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits
from services.discovery.domain.looks import Reach
from services.discovery.domain.targets import (
    AUTO,
    Walk,
    Wish,
    parse_ports,
    parse_server_name,
    parse_target,
    plan,
)
from services.discovery.scanner.engine import Tempo
from services.discovery.scanner.pace import raise_limit_of_files
from shared.errors import Invalid
from shared.starttls import PROTOCOLS

MOST = 1 << 24
PATIENCE = 10.0
"""Seconds for the resolver to answer."""
UNFINISHED, INTERRUPTED = 4, 130

ENDS = """exit codes:
  0 at least one certificate was found, 1 none was, 2 it cannot be scanned as asked,
  3 something was found that --fail-on names, 4 not everything was looked at, 130 interrupted"""


def main(arguments: Sequence[str]) -> int:
    """Scan as the arguments say; return the exit code. Raises `Invalid` where it cannot be done as asked."""
    asked = _parser().parse_args(arguments)
    gate = Gate(asked.fail_on)
    raise_limit_of_files()
    permits = Limits(exclude=asked.exclude).permits
    texts = _texts(asked.targets, asked.targets_file)
    walk, unresolved = _plan(texts, asked.ports, asked.sni, _protocol(asked.starttls))
    with results_to(asked.output, as_lines=asked.jsonl or not sys.stdout.isatty()) as results:
        for host, reason in unresolved.items():
            results.put_unresolved(host, reason)
        job = Job(
            walk=walk,
            permits=permits,
            reach=Reach(asked.depth),
            tempo=_tempo(asked),
            gate=gate,
            results=results,
        )
        whole = Harvest(counts=Counter({Outcome.FAILED: len(unresolved)}))
        trouble = _scan(job, whole, asked.processes)
    return _summed_up(whole, trouble)


def _summed_up(whole: Harvest, trouble: int | None) -> int:
    """Say what it came to; return the exit code."""
    counts = whole.counts
    parts = [f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome]]
    say(", ".join([f"asked {counts.total()}", *parts]))
    for line in whole.findings:
        say(line)
    if trouble is not None:
        return trouble
    return 3 if whole.findings else 0 if whole.certificates else 1


class _Formatter(RawDescriptionHelpFormatter):
    """Knows how wide a terminal is without `shutil`, which would import all that archives need."""

    def __init__(self, prog: str) -> None:
        width = os.get_terminal_size(1).columns - 2 if sys.stdout.isatty() else 100
        super().__init__(prog, width=width)


def _parser() -> ArgumentParser:
    # The one of the standard library: it is there at once, and a scan is started a thousand times by scripts.
    parser = ArgumentParser(
        prog="everleaf scan",
        description="Scan for TLS certificates: a table on a terminal, JSON lines in a pipe.",
        epilog=ENDS,
        formatter_class=_Formatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", help="networks, ranges, addresses, host names, URLs; - reads stdin")
    add("--targets", dest="targets_file", type=Path, help="a file of targets, one a line; - is stdin")
    add("--ports", default="443", help="as 443,8443,9000-9010 (default 443)")
    add("--sni", action="append", default=[], help="a server name to ask each address for")
    add("--exclude", action="append", default=[], help="addresses, networks, ranges to leave out")
    add("--depth", choices=["fast", "full"], default="fast", help="full: also versions, suites, groups, …")
    add("--starttls", default=AUTO, help=f"auto (by port and greeting), none, or {', '.join(PROTOCOLS)}")
    _add_tempo(add)
    add("--fail-on", default="", help="end with 3 where there is one: expired,expiring=30d,weak,self-signed")
    add("--jsonl", action="store_true", help="JSON lines, also on a terminal")
    add("--output", type=Path, help="write the results to this file, as JSON lines")
    return parser


def _add_tempo(add: Callable[..., object]) -> None:
    add("--timeout", type=within(0.1, 60, float), default=3, help="seconds one connection may take")
    add("--concurrency", type=within(1, 50_000, int), default=4000, help="connections at a time")
    add("--processes", type=within(1, 64, int), help="that share the work (default: one for each core)")
    add("--rate", type=within(0.1, 1e6, float), help="new connections per second")
    add("--per-host", type=within(1, 50_000, int), default=10, help="connections at a time to one address")
    add("--per-network", type=within(1, 50_000, int), default=256, help="and to one /24 (IPv6: /64)")


def _tempo(asked: Namespace) -> Tempo:
    return Tempo(
        timeout=asked.timeout,
        concurrency=asked.concurrency,
        rate=asked.rate,
        per_host=asked.per_host,
        per_network=asked.per_network,
    )


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
    _refuse_suffixes(wishes)
    names = [parse_server_name(name, pointer="--sni") for name in server_names]
    port_ranges = parse_ports(ports, pointer="--ports")
    hosts = [wish.host for wish in wishes if wish.host]
    resolved, unresolved = _resolved(hosts) if hosts else ({}, {})
    segments = plan(wishes, resolved=resolved, ports=port_ranges, server_names=names, most=MOST)
    return Walk(segments, starttls=starttls), unresolved


def _refuse_suffixes(wishes: list[Wish]) -> None:
    for wish in wishes:
        if wish.under is not None:
            raise Invalid(
                f"{wish.text} stands for all names known under {wish.under}, and only the platform remembers names.",
                next_step="Scan it through the platform's API, or name the hosts.",
            )


def _resolved(hosts: list[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    from datetime import timedelta  # noqa: PLC0415 - only names need a resolver, and an event loop for it

    import anyio  # noqa: PLC0415 - the same

    from services.discovery.connectors.resolve import resolve  # noqa: PLC0415 - the same

    async def ask() -> tuple[dict[str, list[str]], dict[str, str]]:
        return await resolve(hosts, patience=timedelta(seconds=PATIENCE))

    return anyio.run(ask)


def _scan(job: Job, whole: Harvest, processes: int | None) -> int | None:
    """Look at everything, and put it down as it comes; return the exit code where it was not finished."""
    number = how_many(processes, job=job)
    try:
        # The processes first: they are forks, and a progress bar is a thread.
        with spread(job, processes=number) if number > 1 else nullcontext(harvest(job)) as brought:
            _put_down(brought, job, whole)
    except KeyboardInterrupt:
        say("everleaf: interrupted")
        return INTERRUPTED
    except Unfinished as error:
        say(f"everleaf: {error}")
        return UNFINISHED
    return None


def _put_down(brought: Iterable[Harvest], job: Job, whole: Harvest) -> None:
    with Progress(len(job.walk)) as progress:
        for each in brought:
            whole.take(each)
            job.results.put(each.rows)
            progress.advance(each.counts.total())
