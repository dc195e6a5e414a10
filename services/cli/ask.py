"""`everleaf ask`: the inventory's answer to a question, on standard output as it arrives."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

import httpx

from everleaf import Client, ClientError, Problem
from everleaf.contracts import inventory
from services.cli.connection import Asked, connect
from services.cli.remote.exits import code
from services.cli.terminal import say

ENDS = """examples:
  everleaf ask 'expires < 30d and current'
  everleaf ask --count 'key.type = rsa and key.size < 2048'
  everleaf ask --format ndjson --sort=-expires --columns subject,not_after 'place.port = 443'

exit codes:
  0 there is the answer, 1 the platform gives none, 2 it cannot be asked like this,
  6 the token is not accepted, or does not allow it"""


def main(arguments: Sequence[str], *, transport: httpx.BaseTransport | None = None) -> int:
    """Ask, and write the answer; return the exit code. Raises `Invalid` where it is not known whom to ask."""
    asked = _parser().parse_args(arguments)
    where = Asked(profile=asked.profile, url=asked.url, token_file=asked.token_file)
    try:
        with connect(where, transport=transport) as client:
            _write(client, asked)
    except ClientError as error:
        _explain(error, asked.query)
        return code(error)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="everleaf ask",
        description="Ask the inventory for certificates, in its query language.",
        epilog=ENDS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("query", nargs="?", default="", help="what is asked; everything without it")
    add("--count", action="store_true", help="only how many there are")
    add("--format", choices=("csv", "json", "ndjson"), default="csv")
    add("--columns", help="with commas between them; by default all")
    add("--sort", help="a field; with - before it the other way round")
    add("--profile", help="one of `everleaf profiles list`")
    add("--url", help="of the platform; by default the profile's, or this machine's own")
    add("--token-file", type=Path, help="what holds the token; by default the profile's, or the first one's")
    return parser


def _write(client: Client, asked: Namespace) -> None:
    if asked.count:
        sys.stdout.write(f"{client.call(inventory.count_certificates(query=asked.query))['count']}\n")
        return
    export = inventory.export_certificates(
        query=asked.query, format=asked.format, columns=asked.columns, sort=asked.sort
    )
    with client.stream(export) as parts:
        for part in parts:
            sys.stdout.buffer.write(part)
    sys.stdout.flush()


def _explain(error: ClientError, query: str) -> None:
    """Say what is wrong, with a mark below the column where the query goes wrong."""
    faults = error.faults if isinstance(error, Problem) else ()
    columns = [fault["column"] for fault in faults if "column" in fault]
    if columns and query.isprintable():
        say(f"  {query}\n  {' ' * (int(columns[0]) - 1)}^")
    say(f"everleaf: {error}")
