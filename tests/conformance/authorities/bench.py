"""One authority of any kind on the bench: ready to issue, and what the suite may do to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from typing import Any, Protocol

import anyio

from services.renewal.connectors import Challenge, Identity, Issued, Network, Pending, Request, Terms
from services.renewal.connectors.registry import Kind
from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, new_key, new_request
from shared.ids import new_id
from shared.outbound import Policy
from shared.tls import client_context
from tests.builders import LOOPBACK

NO_WAIT = timedelta(milliseconds=1)


class Power(StrEnum):
    """What the bench of a kind lets a test do, each by the attribute of `Bench` of the same name."""

    COUNT = auto()
    """See how many certificates (or orders) the authority has for a name."""
    REFUSED = auto()
    """Ask for names that the authority's own rules refuse."""
    HOLD = auto()
    """Let what is submitted wait until it is released."""
    EXPIRE = auto()
    """Let the authority take our login no more."""
    STOP = auto()
    """Let it be away."""
    TLS = auto()
    """No attribute: it is reached by TLS, and trusted by `trusted_ca` or `ca_pem`."""
    FINDS = auto()
    """No attribute: after a crash an order is found again, finished or not."""
    FINDS_HELD = auto()
    """No attribute: that goes for what waits for a person, too."""
    KEYED = auto()
    """No attribute: the authority itself knows an order by its key, whether we tell of a crash or not."""


def on_loopback(**changes: Any) -> Network:
    """Return a network that reaches the servers of tests."""
    return replace(
        Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=None),
        **changes,
    )


async def _nothing_counted(_name: str) -> int:
    raise NotImplementedError


async def _nothing_revoked(_certificate: bytes) -> bool:
    raise NotImplementedError


def _nothing() -> None:
    raise NotImplementedError


@dataclass
class Bench:
    """One authority, ready to issue; `identity` is kept as the actions would keep it."""

    kind: Kind
    options: dict[str, Any]
    secrets: dict[str, Any]
    network: Network
    challenge: Challenge | None = None
    profile: str | None = None
    key_type: KeyType = KeyType.ECDSA_P256
    lifetime: timedelta = timedelta(days=90)
    longest_wait: timedelta | None = None
    """Waits are cut to this, where what is waited for is done by the test."""
    left_over: Callable[[str], list[str]] = field(default=lambda _name: [])
    count: Callable[[str], Awaitable[int]] = _nothing_counted
    most: int = 1
    """How often a certificate is issued at most where a crash is never told of: an authority that finds nothing has 2."""
    refused: tuple[str, ...] = ()
    hold: Callable[[], None] = _nothing
    release: Callable[[], None] = _nothing
    expire: Callable[[], None] = _nothing
    stop: Callable[[], None] = _nothing
    is_revoked: Callable[[bytes], Awaitable[bool]] = _nothing_revoked
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        self._options = self.kind.options_type.model_validate(self.options)
        self._secrets = self.kind.secrets_type.model_validate(self.secrets)
        self.identity = self.kind.found(
            self._options, secrets=self._secrets, name="bench", now=datetime.now(UTC)
        )

    @property
    def can_count(self) -> bool:
        """Return whether it can be seen what the authority has."""
        return self.count is not _nothing_counted

    def secret_texts(self) -> list[str]:
        """Return each secret as it was given."""
        return [text for text in self.secrets.values() if isinstance(text, str)]

    def request(self, *names: str, key_type: KeyType | None = None) -> Request:
        """Return a fresh request, with a key of its own."""
        key = new_key(key_type or self.key_type)
        terms = Terms(challenge=self.challenge, lifetime=self.lifetime, profile=self.profile)
        return Request(
            csr=new_request(key, names),
            names=names,
            terms=terms,
            key=new_id(),
            anew=lambda attributes: new_request(key, names, attributes=attributes),
        )

    def check_terms(self) -> None:
        """Ask as a new profile is asked."""
        terms = Terms(challenge=self.challenge, lifetime=self.lifetime, profile=self.profile)
        self.kind.check_terms(self._options, terms=terms, network=self.network)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        """Open the authority as an attempt would."""
        async with self.kind.open(
            self._options, secrets=self._secrets, identity=self.identity, network=self.network
        ) as authority:
            yield authority

    async def step(
        self, authority: Any, request: Request, state: bytes | None, *, resumed: bool
    ) -> Pending | Issued:
        """Do one step."""
        told = await authority.advance(request, state=state, resumed=resumed, now=datetime.now(UTC))
        assert isinstance(told, Pending | Issued)
        return told

    def keep(self, told: Pending) -> None:
        """Keep what an attempt would keep of a step."""
        if told.private is not None:
            self.identity = replace(self.identity, private=told.private)

    async def wait(self, told: Pending) -> None:
        """Wait as the authority asks."""
        asked = told.retry_after
        await anyio.sleep(min(asked, self.longest_wait or asked).total_seconds())

    async def issue(self, request: Request, state: bytes | None = None, *, resumed: bool = False) -> Issued:
        """Go on until there is a certificate."""
        async with self.opened() as authority:
            return await self.issue_by(authority, request, state, resumed=resumed)

    async def issue_by(
        self, authority: Any, request: Request, state: bytes | None = None, *, resumed: bool = False
    ) -> Issued:
        """Go on until there is a certificate, by one that is open."""
        for _ in range(100):
            told = await self.step(authority, request, state, resumed=resumed)
            if isinstance(told, Issued):
                return told
            self.keep(told)
            await self.wait(told)
            state, resumed = told.state, False
        raise AssertionError("it came to no end")

    def check(self, request: Request, told: Issued) -> tuple[bytes, ...]:
        """Check a chain as an attempt would."""
        expected = Expected(
            csr=request.csr,
            names=request.names,
            lifetime=None if self.kind.decides_lifetime else request.terms.lifetime,
            roots=self.identity.roots,
        )
        return check_chain(told.chain, expected=expected, now=datetime.now(UTC))


Fixtures = Callable[[str], Any]
"""Gives a fixture by its name."""


Opens = Callable[[Fixtures], AbstractAsyncContextManager[Bench]]


class Server(Protocol):
    """A simulator."""

    def start(self) -> None:
        """Listen."""

    def stop(self) -> None:
        """Do not listen any more, however often it is said."""


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Let a server run; a test may have stopped it meanwhile."""
    server.start()
    try:
        yield
    finally:
        server.stop()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a kind, how its bench is set up, and what that can."""

    kind: Kind
    open: Opens
    powers: frozenset[Power] = frozenset()
