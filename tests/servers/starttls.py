"""Real servers whose connections begin without TLS: each product is started once for a module of tests."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from tests.servers.tls import CertificateAuthority, Issued

SERVER_NAME = "starttls.test"


class PlainServer(Protocol):
    """A product: made of its folder and its certificate; without a certificate it runs without TLS."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None: ...

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        ...

    def stop(self) -> None:
        """Stop it."""
        ...


S = TypeVar("S", bound=PlainServer)
StartPlain = Callable[..., Any]
"""`start_plain(Dovecot, tls=issued)` gives the running product; asked again with the same, the same one."""


@pytest.fixture(scope="module")
def issued(lab_ca: CertificateAuthority) -> Issued:
    """What the servers serve."""
    return lab_ca.issue(SERVER_NAME, "127.0.0.1")


@pytest.fixture(scope="module")
def start_plain() -> Iterator[StartPlain]:
    """Start products, each once."""
    with contextlib.ExitStack() as running:
        started: dict[tuple[type, str | None], PlainServer] = {}

        def start(kind: type[S], *, tls: Issued | None) -> PlainServer:
            key = (kind, tls.fingerprint if tls else None)
            if key not in started:
                server = kind(running.enter_context(_open_folder(kind.__name__.lower())), tls=tls)
                running.callback(server.stop)
                server.start()
                started[key] = server
            return started[key]

        yield start


@contextlib.contextmanager
def _open_folder(name: str) -> Iterator[Path]:
    # Not in pytest's own folder: that is closed to the accounts these servers run as, and its path is too
    # long for their sockets.
    with tempfile.TemporaryDirectory(prefix=f"everleaf-{name}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
