"""Documents that are sent as they are: from a file, or from standard input."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from shared.errors import Invalid

File = Annotated[
    Path, typer.Option("--from", metavar="FILE", help="JSON or YAML, as the contract has it; - is stdin.")
]


def read(file: Path) -> Any:
    """Return the document in a file. Raises `Invalid`."""
    import yaml  # noqa: PLC0415 - few commands send a document

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        found = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise Invalid(f"--from: {file} cannot be read ({error}).", next_step="Name JSON or YAML.") from error
    if not isinstance(found, dict):
        raise Invalid(f"--from: {file} holds no document.", next_step="Write its fields, a line each.")
    return cast("Any", found)
