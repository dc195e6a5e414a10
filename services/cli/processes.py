"""Spreads a scan over processes, as many as there are cores, and brings together what they see."""

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from services.cli.harvest import Harvest, Job, harvest
from services.discovery.domain.looks import Reach
from services.discovery.scanner.engine import Tempo
from shared.errors import EverleafError

if TYPE_CHECKING:  # a scan in one process does not wait for it to be imported
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

LEAST_PLACES = {Reach.FAST: 16_384, Reach.FULL: 100}
"""For a process of its own: a second's work or so. Several cost a tenth more CPU than one."""
LEAST_RATE = 5000.0
"""New connections per second: fewer leave one core idle."""
_PATIENCE = 5.0
"""Seconds in which a process must have ended that was told to."""


class Unfinished(EverleafError):
    """Not everything was looked at."""

    title = "The scan was not finished"
    slug = "unfinished"


def how_many(wanted: int | None, *, job: Job) -> int:
    """Return how many processes to use: as wanted, else one for each core that would have enough to do."""
    if wanted is None:
        wanted = min(len(os.sched_getaffinity(0)), len(job.walk) // LEAST_PLACES[job.reach])
        if job.tempo.rate is not None:
            wanted = min(wanted, int(job.tempo.rate / LEAST_RATE))
    return max(1, min(wanted, job.tempo.concurrency))


def divided(tempo: Tempo, *, among: int) -> Tempo:
    """Return what each may do, so that all together do no more; hosts and networks are not shared among them."""
    return replace(
        tempo,
        concurrency=tempo.concurrency // among,
        rate=tempo.rate / among if tempo.rate is not None else None,
    )


@contextmanager
def spread(job: Job, *, processes: int) -> Iterator[Iterator[Harvest]]:
    """Start so many processes, and give what they bring as it comes; they end with the block.

    Whoever takes it gets `Unfinished` where one has ended before it was done. Nothing may be unwritten in the
    buffers of standard output and standard error, and no thread may run: the processes are forks, which begin at
    once and share what is in memory.
    """
    from multiprocessing import get_context  # noqa: PLC0415 - only where there are several

    fork = get_context("fork")
    tempo = divided(job.tempo, among=processes)
    # What is in memory now stays: a collector that looked for garbage in it would only copy it for each process.
    gc.freeze()
    started: list[BaseProcess] = []
    receivers: list[Connection] = []
    try:
        for walk in job.walk.divided(among=processes):
            receiver, sender = fork.Pipe(duplex=False)
            receivers.append(receiver)
            part = replace(job, walk=walk, tempo=tempo)
            worker = fork.Process(target=_work, args=(part, sender, receivers), daemon=True)
            worker.start()
            started.append(worker)
            sender.close()
        yield _gathered(receivers)
    finally:
        _end(started, receivers)


def _work(job: Job, sender: "Connection", receivers: Sequence["Connection"]) -> None:
    # An interrupt is for the process that started this one, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Else each would keep the pipes of its elder siblings open, and they would not see that nobody listens.
    for receiver in receivers:
        receiver.close()
    with suppress(BrokenPipeError):
        for brought in harvest(job):
            sender.send(brought)
        sender.send(None)


def _gathered(receivers: Sequence["Connection"]) -> Iterator[Harvest]:
    from multiprocessing.connection import wait  # noqa: PLC0415 - only where there are several

    working = list(receivers)
    while working:
        for receiver in cast("list[Connection]", wait(working)):
            try:
                brought = receiver.recv()
            except EOFError as end:
                raise Unfinished(
                    "A process of the scan has ended before it was done: not all targets were looked at.",
                    next_step="Scan again, with fewer --processes if the machine is short of memory.",
                ) from end
            if brought is None:
                working.remove(receiver)
            else:
                yield brought


def _end(started: Sequence["BaseProcess"], receivers: Sequence["Connection"]) -> None:
    for worker in started:
        worker.terminate()
    for worker in started:
        worker.join(_PATIENCE)
        if worker.is_alive():
            worker.kill()
    for receiver in receivers:
        receiver.close()
