"""A cluster of three real RabbitMQ nodes on loopback, any of which can be killed."""

import secrets
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.rabbitmq import PACKAGE, RabbitMQ

NAMES = ("one", "two", "three")


class Node(RabbitMQ):
    """One of the nodes: they find one another by a shared port mapper, and know one another by a shared cookie."""

    def __init__(self, directory: Path, *, name: str, mapper: int, cookie: str) -> None:
        self._name, self._mapper, self._cookie = name, mapper, cookie
        super().__init__(directory)

    def _configure(self, tls: tuple[Path, Path, Path] | None) -> None:
        super()._configure(tls)
        cookie = self._directory / "home" / ".erlang.cookie"
        cookie.chmod(0o600)
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [
            f"cluster_formation.classic_config.nodes.{at} = {each}@localhost"
            for at, each in enumerate(NAMES, 1)
        ]
        lines += ["cluster_partition_handling = pause_minority"]
        with (self._directory / "rabbitmq.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")

    @property
    def _environ(self) -> dict[str, str]:
        return {
            **super()._environ,
            "RABBITMQ_NODENAME": f"{self._name}@localhost",
            "ERL_EPMD_PORT": str(self._mapper),
        }

    def _start_mapper(self) -> None:
        """Do nothing: the cluster has one."""


class Cluster:
    """Three nodes; whoever starts first is joined by the others."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mapper_port = free_port()
        cookie = secrets.token_hex(16)
        self.nodes = [
            Node(directory / name, name=name, mapper=self._mapper_port, cookie=cookie) for name in NAMES
        ]
        self._mapper: Process | None = None

    def start(self) -> None:
        """Start the nodes one after the other."""
        command = [program("epmd", package=PACKAGE), "-port", str(self._mapper_port), "-address", "127.0.0.1"]
        self._mapper = Process(command, log=self._directory / "epmd.log")
        for node in self.nodes:
            node.start()
        assert self.size() == len(NAMES)

    def size(self) -> int:
        """Return how many nodes are running, as the first one that answers sees it."""
        listed = self.nodes[0].api("GET", "nodes").json()
        return sum(1 for each in listed if each["running"])

    def stop(self) -> None:
        """Stop all of it."""
        for node in self.nodes:
            node.stop()
        if self._mapper is not None:
            self._mapper.stop()
            self._mapper = None
