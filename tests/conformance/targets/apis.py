"""What goes wrong with every kind that is an API, and what serves from it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import Failure, State
from tests.conformance.targets.bench import NAME, NO_KEYS, Bench, Break, Fault, Outcome
from tests.servers.api import Api, Asked, Told
from tests.servers.presenting import HOST, Pair, Presenting
from tests.servers.tls import CertificateAuthority, fingerprint

NO_DISK = "An API says nothing of its disk."
NO_TEST = "There is no configuration to be tested."
NO_RELOAD = "There is nothing to be reloaded."
TAKES_ALL = "It keeps whatever it is sent, and knows of no certificates."
SENSELESS: Mapping[Fault, str] = {
    Fault.DISK_FULL: NO_DISK,
    Fault.BROKEN_BEFORE: NO_TEST,
    Fault.RELOAD_FAILS: NO_RELOAD,
    Fault.MADE_THERE: NO_KEYS,
}
IMPOSTOR = Outcome(state=State.WAITING, failure=Failure.UNREACHABLE)
"""What shows another certificate than one of the trusted CA is not spoken with."""
REJECTED = Outcome(state=State.RESTORED, failure=Failure.REJECTED)


class Front:
    """Whatever serves with what an API holds: it may go on with what it had."""

    def __init__(self, current: Callable[[], tuple[bytes, bytes] | None]) -> None:
        self._current = current
        self._frozen: Pair | None = None
        self._presenting = Presenting(self._bound)
        self.endpoint = Endpoint(address=HOST, port=self._presenting.port, server_name=NAME)

    def _bound(self, _name: str | None) -> Pair | None:
        if self._frozen is not None:
            return self._frozen
        found = self._current()
        return Pair(chain=found[0], key=found[1]) if found is not None else None

    def close(self) -> None:
        """End serving."""
        self._presenting.close()

    @asynccontextmanager
    async def stuck(self, _bench: Bench) -> AsyncIterator[None]:
        """Go on with what is served now, as long as the block lasts."""
        self._frozen = self._bound(None)
        yield
        self._frozen = None

    def held(self) -> str:
        """Return the fingerprint of what the API holds for it; the key is that of the certificate."""
        found = self._current()
        assert found is not None
        leaf = x509.load_pem_x509_certificates(found[0])[0]
        assert load_pem_private_key(found[1], None).public_key() == leaf.public_key()
        return fingerprint(leaf)


@contextmanager
def front(current: Callable[[], tuple[bytes, bytes] | None]) -> Iterator[Front]:
    """Serve what an API holds."""
    opened = Front(current)
    try:
        yield opened
    finally:
        opened.close()


def option(name: str, value: Any) -> Break:
    """Set an option of the target."""

    @asynccontextmanager
    async def broken(bench: Bench) -> AsyncIterator[None]:
        bench.target["options"] = {**bench.target["options"], name: value}
        yield

    return broken


def impostor(name: str = "trusted_ca") -> Break:
    """Trust a CA that has nothing to do with the API."""
    return option(name, CertificateAuthority("somebody else").pem.decode())


def credential(wrong: Mapping[str, Any]) -> Break:
    """Log in with that."""

    @asynccontextmanager
    async def broken(bench: Bench) -> AsyncIterator[None]:
        bench.target["credential"] = dict(wrong)
        yield

    return broken


def between(begin: Callable[[], object], end: Callable[[], object]) -> Break:
    """Call something before and after."""

    @asynccontextmanager
    async def broken(_bench: Bench) -> AsyncIterator[None]:
        begin()
        yield
        end()

    return broken


def refusing(api: Api, *, method: str, ending: str, told: Told, times: int = 1) -> Break:
    """Let a write be refused so many times, though the login may do it and what is sent is right."""
    left = [times]

    def refuse(asked: Asked) -> Told | None:
        is_meant = asked.method == method and asked.path.endswith(ending) and not asked.query.get("dryRun")
        if not is_meant or left[0] == 0:
            return None
        left[0] -= 1
        return told

    def begin() -> None:
        api.refuses = refuse

    def end() -> None:
        api.refuses = None

    return between(begin, end)


def through(name: str, url: Callable[[int], str]) -> Callable[[Bench, int], None]:
    """Return how a target is led through a port: by the option that says where its API is."""

    def lead(bench: Bench, port: int) -> None:
        bench.target["options"] = {**bench.target["options"], name: url(port)}

    return lead
