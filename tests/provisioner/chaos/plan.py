"""What happens in each round, chosen by a seed before anything is begun."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

THINGS = 40
"""About how many things a provisioner does to the target and to its database for one deployment."""
PACKETS = 55
"""About how many packets it sends for one."""


class Blow(StrEnum):
    """What is struck."""

    PROVISIONER = "provisioner killed"
    SESSIONS = "sshd's sessions killed"
    SSHD = "sshd stopped"
    NETWORK = "network cut"
    SILENCE = "network away for a while"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One certificate for every site, and what happens meanwhile."""

    kill_at: tuple[int, ...]
    """Of each provisioner that is started in turn, before what it is killed."""
    blow: Blow | None
    """What else is struck."""
    packets: int
    """When: after so many packets."""
    refused: frozenset[int]
    """The sites whose server does not take its new certificate."""


def rounds(seed: int, *, sites: int) -> Iterator[Round]:
    """Yield rounds without end; those of a seed are always the same."""
    random = Random(seed)
    others = (Blow.SESSIONS, Blow.SSHD, Blow.NETWORK, Blow.SILENCE)
    while True:
        kills = random.choice((0, 1, 1, 2))
        yield Round(
            kill_at=tuple(random.randint(1, THINGS * sites) for _ in range(kills)),
            blow=random.choice(others) if kills == 0 or random.random() < 0.5 else None,
            packets=random.randint(2, PACKETS * sites),
            refused=frozenset(site for site in range(sites) if random.random() < 0.15),
        )
