"""`python -m bench.deploy URL KEYS`: the provisioner's work, in a process that is started as the program starts one."""

import sys
from importlib import import_module
from pathlib import Path

from shared.collector import look_hardly

if __name__ == "__main__":
    look_hardly()
    anyio, worker = import_module("anyio"), import_module("bench.deploy.worker")
    # As the platform runs: on uvloop, and what is loaded is not searched for garbage again and again.
    anyio.run(worker.main, sys.argv[1], Path(sys.argv[2]), backend_options={"use_uvloop": True})
