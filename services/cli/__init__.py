"""The program `everleaf`: one that runs the platform, one that asks it, and one that needs none."""

import sys
from importlib import import_module

from shared.collector import look_hardly
from shared.errors import EverleafError, Invalid


def main() -> None:
    """Run the program; an error of ours is one clear line, and the exit code says what kind it is."""
    look_hardly()  # what serves for long looks again: `shared.collector.look_less`
    try:
        # A scan is often one of many in a script: it must not wait for anything else to be imported.
        if sys.argv[1:2] == ["scan"]:
            sys.exit(import_module("services.cli.scan").main(sys.argv[2:]))
        elif sys.argv[1:] == ["api-key"]:
            import_module("services.cli.keys").print_api_key()
        elif sys.argv[1:2] == ["healthy"] and "--help" not in sys.argv:
            import_module("services.cli.health").main(sys.argv[2:])
        else:
            _run()
    except EverleafError as error:
        print(f"everleaf: {error}", file=sys.stderr)  # noqa: T201 - this is where a program speaks
        sys.exit(2 if isinstance(error, Invalid) else 1)


def _run() -> None:
    from everleaf import ClientError  # noqa: PLC0415 - a scan needs no client
    from services.cli.program import app  # noqa: PLC0415 - nor the list of commands
    from services.cli.remote.exits import code, told  # noqa: PLC0415 - the same

    try:
        app()
    except ClientError as error:
        print(told(error), file=sys.stderr)  # noqa: T201 - this is where a program speaks
        sys.exit(code(error))
