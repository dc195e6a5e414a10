"""The program: `everleaf up`, `serve`, `migrate`, `scan`, `configured`, `ask`, `contracts`, `settings`."""

import gc
import sys
from importlib import import_module

from shared.errors import EverleafError, Invalid


def main() -> None:
    """Run the program; an error of ours is one clear line and exit code 1 (2 for wrong settings)."""
    try:
        # A scan is often one of many in a script: it must not wait for the platform to be imported.
        if sys.argv[1:2] == ["scan"]:
            # Neither imports nor looks leave cycles behind: the collector would search thousands of objects in vain.
            gc.set_threshold(100_000)
            sys.exit(import_module("services.cli.scan").main(sys.argv[2:]))
        else:
            import_module("services.cli.program").app()
    except EverleafError as error:
        print(f"everleaf: {error}", file=sys.stderr)  # noqa: T201 - this is where a program speaks
        sys.exit(2 if isinstance(error, Invalid) else 1)
