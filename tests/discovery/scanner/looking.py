"""How the scanner's tests look at a place: with the real engine, as a scan does."""

from contextlib import closing

from services.discovery.domain.looks import Reach
from services.discovery.domain.sightings import Depth, Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker, inquiry_of
from services.discovery.scanner.pace import Sockets


def look(asked: Asked, *, reach: Reach = Reach.FULL, timeout: float = 3.0) -> Sighting:
    """Look at one place."""
    inquire = inquiry_of(reach, Asker())
    tempo = Tempo(timeout=timeout)
    engine = Engine([asked], permits=lambda *_: True, inquire=inquire, tempo=tempo, sockets=Sockets())
    with closing(engine):
        while not engine.is_done:
            for sighting in engine.step(wait=0.1):
                return sighting
    raise AssertionError


def look_deep(port: int) -> tuple[Sighting, Depth]:
    """Look at a port of this machine at depth `full`; it must show a certificate."""
    sighting = look(Asked(address="127.0.0.1", port=port))
    assert sighting.depth is not None, sighting
    return sighting, sighting.depth
