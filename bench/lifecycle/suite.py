"""One certificate's whole way, and what the processes that go it with it hold in memory.

`everleaf up` and the estate of `make demo` on loopback: from the order to scan until the new certificate is seen on the wire, the old
one is known to be replaced and the alert is resolved. The memory is the most that the process held until then.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ingest.servers import running
from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from demo.processes import Child, DemoFailed, free_port, start_estate, start_platform
from demo.story import Story
from tests.journeys.platforms import SERVICES, Production

EMBEDDED, SERVED = "one", "processes"
ROWS = (
    Row(
        name="lifecycle.one",
        scenario=EMBEDDED,
        unit="s",
        figure=lambda sample: sample.usage.wall,
        goal=1,
        baseline="10 s",
        fixed=10,
    ),
    Row(
        name="lifecycle.memory",
        scenario=EMBEDDED,
        unit="MiB",
        figure=lambda sample: sample.usage.peak_mib,
        goal=1,
        baseline="512 MiB",
        fixed=512,
    ),
    Row(
        name="lifecycle.memory_service",
        scenario=SERVED,
        unit="MiB, the largest",
        figure=lambda sample: sample.usage.peak_mib,
        goal=1,
        baseline="256 MiB",
        fixed=256,
    ),
)


@dataclass(frozen=True, kw_only=True)
class LifecycleSuite:
    """Rows `lifecycle.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - one is one
        """Start nothing: each round has a platform and an estate of its own."""
        title, run = {
            EMBEDDED: ("Found expiring → observed in place, embedded", _one),
            SERVED: ("Five processes that have begun, on PostgreSQL and RabbitMQ", _processes),
        }[name]
        yield Scenario(
            name=name, title=title, contestants=(Contestant(name=SUBJECT, run=lambda: run(folder)),)
        )


def _one(folder: Path) -> Sample:
    own = folder / "lifecycle"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    children: list[Child] = []
    try:
        child, estate = start_estate(own / "estate")
        children.append(child)
        platform, api = start_platform(own / "data", port=free_port())
        children.append(platform)
        story = Story(api=api, estate=estate)
        story.channels()
        story.authority()
        began = time.monotonic()
        for chapter in (
            story.discover,
            story.warn,
            story.bind,
            story.renew,
            story.deploy,
            story.observe,
        ):
            chapter()
        return _sample(wall=time.monotonic() - began, peaks=[_peak_mib(platform.pid)])
    except DemoFailed as error:
        raise NotMeasured(str(error)) from error
    finally:
        for child in reversed(children):
            child.stop()


def _processes(folder: Path) -> Sample:
    own = folder / "processes"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    with ExitStack() as opened:
        servers = opened.enter_context(running())
        urls = {
            f"EVERLEAF_{name.upper()}_DATABASE_URL": servers.postgres.database(name).url for name in SERVICES
        }
        bus = servers.rabbitmq.vhost("processes").url
        platform = Production(own, environ={"EVERLEAF_BUS_URL": bus, **urls})
        opened.callback(platform.stop)
        began = time.monotonic()
        platform.start()
        peaks = {name: _peak_mib(platform.processes[name].pid) for name in SERVICES}
        print(", ".join(f"{name} {peak:.0f} MiB" for name, peak in peaks.items()))
        return _sample(wall=time.monotonic() - began, peaks=list(peaks.values()))


def _sample(*, wall: float, peaks: list[float]) -> Sample:
    usage = Usage(wall=wall, cpu=0, peak_mib=max(peaks), exit_code=0, said="")
    return Sample(usage=usage, asked=1, found=1)


def _peak_mib(pid: int) -> float:
    """Return the most that a process has held (proc(5): VmHWM, in kB)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
