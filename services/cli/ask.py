"""`everleaf ask`: the inventory's answer to a question, on standard output as it arrives."""

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from services.cli.terminal import say
from services.settings import ProgramSettings
from shared.errors import Invalid, Unavailable
from shared.settings import SettingsSource
from shared.tls import client_context

ENDS = """examples:
  everleaf ask 'expires < 30d and current'
  everleaf ask --count 'key.type = rsa and key.size < 2048'
  everleaf ask --format ndjson --sort=-expires --columns subject,not_after 'place.port = 443'

exit codes:
  0 there is the answer, 1 the platform gives none, 2 it cannot be asked like this"""
_NO_ANSWER, _MISTAKE = 1, 2
_HERE = ("127.0.0.1", "::1", "localhost")


def main(arguments: Sequence[str], *, transport: httpx.BaseTransport | None = None) -> int:
    """Ask, and write the answer; return the exit code. Raises `Invalid` or `Unavailable`."""
    toml_path = Path(os.environ.get("EVERLEAF_CONFIG", "everleaf.toml"))
    settings = SettingsSource.read(os.environ, toml_path=toml_path).load(ProgramSettings)
    asked = _parser(settings).parse_args(arguments)
    headers = {"Authorization": f"Bearer {_token(asked.token_file)}"}
    _refuse_plain_text(asked.url)
    ca = settings.gateway_tls_ca
    verify = client_context(ca) if ca is not None else True
    try:
        with (
            httpx.Client(
                base_url=asked.url, headers=headers, timeout=60, verify=verify, transport=transport
            ) as client,
            client.stream("GET", _path(asked), params=_parameters(asked)) as answer,
        ):
            return _write(answer, asked)
    except httpx.HTTPError as error:
        raise Unavailable(
            f"{asked.url} gave no whole answer ({type(error).__name__}).",
            next_step="Check the address (--url) and whether the platform runs.",
        ) from error


def _parser(settings: ProgramSettings) -> ArgumentParser:
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
    add("--url", default=settings.gateway_url, help="of the platform; by default %(default)s")
    add(
        "--token-file",
        type=Path,
        default=settings.data_dir / "admin.token",
        help="what holds the token; by default %(default)s",
    )
    return parser


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Invalid(
            f"The token cannot be read ({error.strerror}: {path}).",
            next_step="Name a file with --token-file.",
        ) from error


def _refuse_plain_text(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _HERE:
        raise Invalid(
            f"The token would go to {url} unencrypted.", next_step="Use an address that begins with https://."
        )


def _path(asked: Namespace) -> str:
    return f"/inventory/v1/certificates/{'count' if asked.count else 'export'}"


def _parameters(asked: Namespace) -> Mapping[str, str]:
    names = ("query",) if asked.count else ("query", "format", "columns", "sort")
    return {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}


def _write(answer: httpx.Response, asked: Namespace) -> int:
    if answer.status_code != HTTPStatus.OK:
        answer.read()
        _explain(answer, asked.query)
        return _MISTAKE if answer.is_client_error else _NO_ANSWER
    if asked.count:
        answer.read()
        sys.stdout.write(f"{answer.json()['count']}\n")
        return 0
    for part in answer.iter_bytes():
        sys.stdout.buffer.write(part)
    sys.stdout.flush()
    return 0


def _explain(answer: httpx.Response, query: str) -> None:
    """Say what is wrong, with a mark below the column where the query goes wrong."""
    try:
        problem: dict[str, Any] = answer.json()
    except ValueError:
        problem = {"detail": f"The platform answers {answer.status_code}.", "next_step": "Look at its log."}
    columns = [fault["column"] for fault in problem.get("errors", []) if "column" in fault]
    if columns and query.isprintable():
        say(f"  {query}\n  {' ' * (int(columns[0]) - 1)}^")
    say(f"everleaf: {problem.get('detail')} Next step: {problem.get('next_step')}")
