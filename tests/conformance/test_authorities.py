"""What every authority does, shown with the built-in one and with a real ACME server by http-01 and by dns-01."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from services.renewal.connectors import (
    Challenge,
    Identity,
    Issued,
    Network,
    NotNow,
    Pending,
    Request,
    Terms,
)
from services.renewal.connectors.acme import Acme, AcmeOptions, AcmeSecrets
from services.renewal.connectors.builtin import Builtin
from services.renewal.connectors.http01 import Listener
from services.renewal.connectors.registry import Kind, authority_kind
from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, new_key, new_request
from shared.errors import Invalid, Refused
from shared.outbound import Policy
from shared.tls import client_context
from shared.x509 import key_fingerprint, load
from tests.builders import LOOPBACK
from tests.servers.bind import Bind
from tests.servers.pebble import Pebble, StartPebble, new_eab_key
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority

BLOCKED = "blocked.example.test"


class Answers:
    """The answers of the http-01 listener, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def put(self, token: str, text: str) -> None:
        self.kept[token] = text

    async def remove(self, token: str) -> None:
        self.kept.pop(token, None)

    async def find(self, token: str) -> str | None:
        return self.kept.get(token)


@dataclass
class Bench:
    """One authority, ready to issue; `identity` is kept as the actions would keep it."""

    kind: Kind
    options: dict[str, Any]
    secrets: dict[str, Any]
    challenge: Challenge | None
    network: Network
    pebble: Pebble | None = None
    left_over: Callable[[str], list[str]] = field(default=lambda _name: [])
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        self._options = self.kind.options_type.model_validate(self.options)
        self._secrets = self.kind.secrets_type.model_validate(self.secrets)
        self.identity = self.kind.found(
            self._options, secrets=self._secrets, name="bench", now=datetime.now(UTC)
        )

    def request(self, *names: str, key_type: KeyType = KeyType.ECDSA_P256) -> Request:
        csr = new_request(new_key(key_type), names)
        return Request(
            csr=csr, names=names, terms=Terms(challenge=self.challenge, lifetime=timedelta(days=90))
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        async with self.kind.open(
            self._options, secrets=self._secrets, identity=self.identity, network=self.network
        ) as authority:
            yield authority

    async def step(
        self, authority: Any, request: Request, state: bytes | None, *, resumed: bool
    ) -> Pending | Issued:
        told = await authority.advance(request, state=state, resumed=resumed, now=datetime.now(UTC))
        assert isinstance(told, Pending | Issued)
        return told

    def keep(self, told: Pending) -> None:
        if told.private is not None:
            self.identity = replace(self.identity, private=told.private)

    async def issue(self, request: Request, state: bytes | None = None, *, resumed: bool = False) -> Issued:
        async with self.opened() as authority:
            while True:
                told = await self.step(authority, request, state, resumed=resumed)
                if isinstance(told, Issued):
                    return told
                self.keep(told)
                await anyio.sleep(told.retry_after.total_seconds())
                state, resumed = told.state, False

    def check(self, request: Request, told: Issued) -> tuple[bytes, ...]:
        expected = Expected(
            csr=request.csr,
            names=request.names,
            lifetime=None if self.kind.decides_lifetime else request.terms.lifetime,
            roots=self.identity.roots,
        )
        return check_chain(told.chain, expected=expected, now=datetime.now(UTC))


@pytest.fixture(params=["builtin", "acme http-01", "acme dns-01"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each kind of authority."""
    if request.param == "builtin":
        network = Network(policy=Policy(), tls=client_context(), http01=None)
        yield Bench(kind=authority_kind("builtin"), options={}, secrets={}, challenge=None, network=network)
        return
    start: StartPebble = request.getfixturevalue("start_pebble")
    bind: Bind = request.getfixturevalue("bind")
    async with AsyncExitStack() as running:
        make = http_bench if request.param == "acme http-01" else dns_bench
        yield await running.enter_async_context(make(start, bind))


@asynccontextmanager
async def http_bench(start: StartPebble, bind: Bind, **options: Any) -> AsyncIterator[Bench]:
    answers, port = Answers(), free_port()
    pebble = start(http01_port=port, blocklist=(BLOCKED,), noncereject=20, **options)
    network = Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=answers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=answers.find).run)
        yield Bench(
            kind=Acme,
            options=directory(pebble),
            secrets={},
            challenge=Challenge.HTTP_01,
            network=network,
            pebble=pebble,
            left_over=lambda _name: list(answers.kept),
        )
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def dns_bench(start: StartPebble, bind: Bind, **options: Any) -> AsyncIterator[Bench]:
    pebble = start(dns_server=bind.address, blocklist=(BLOCKED,), **options)
    zone = {"server": bind.host, "port": bind.port, "zone": bind.zone, "key_name": bind.key_name}
    yield Bench(
        kind=Acme,
        options={**directory(pebble), "dns": {**zone, "algorithm": bind.algorithm}},
        secrets={"dns_secret": bind.secret},
        challenge=Challenge.DNS_01,
        network=Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=None),
        pebble=pebble,
        left_over=lambda name: bind.txt(f"_acme-challenge.{name}"),
    )


def directory(pebble: Pebble) -> dict[str, Any]:
    return {
        "directory_url": pebble.dir_url,
        "ca_pem": pebble.ca_pem.read_text(),
        "contacts": ["mailto:pki@example.test"],
    }


async def test_what_is_issued_is_what_was_asked_for_and_nothing_is_left_behind(bench: Bench) -> None:
    request = bench.request("one.example.test", "two.example.test")
    told = await bench.issue(request)
    chain = bench.check(request, told)
    assert load(chain[0]).not_valid_after_utc > datetime.now(UTC) + timedelta(days=80)
    assert not [name for name in request.names if bench.left_over(name)]


async def test_each_certificate_has_the_key_of_its_own_request(bench: Bench) -> None:
    requests = [bench.request("key.example.test") for _ in range(2)]
    issued = [await bench.issue(request) for request in requests]
    keys = {key_fingerprint(load(told.chain[0]).public_key()) for told in issued}
    asked = {key_fingerprint(x509.load_der_x509_csr(request.csr).public_key()) for request in requests}
    assert keys == asked
    assert len(keys) == 2


async def test_an_order_abandoned_after_any_step_ends_in_exactly_one_certificate(bench: Bench) -> None:
    """At each step a process dies when it is done and not kept; another goes on from what was kept before."""
    request = bench.request("crash.example.test")
    state: bytes | None = None
    for _ in range(100):
        async with bench.opened() as authority:  # it dies after this: what it did is kept by nobody
            await bench.step(authority, request, state, resumed=False)
        async with bench.opened() as authority:
            told = await bench.step(authority, request, state, resumed=True)
        if isinstance(told, Issued):
            break
        bench.keep(told)
        await anyio.sleep(told.retry_after.total_seconds())
        state = told.state
    else:
        pytest.fail("it came to no end")
    bench.check(request, told)
    if bench.pebble is not None:
        assert await placed_orders(bench) == ["valid"]
    assert not bench.left_over("crash.example.test")


async def placed_orders(bench: Bench, name: str | None = None) -> list[str]:
    """Return the states of the account's orders for a name, or all, as the ACME server has them."""
    async with bench.opened() as authority:
        session = authority._steps._session
        page = json.loads((await session.get(session.kid)).content)["orders"]
        orders = []
        while page is not None:
            listed = await session.get(page)
            orders += [
                json.loads((await session.get(url)).content) for url in json.loads(listed.content)["orders"]
            ]
            page = listed.next_page
    return [each["status"] for each in orders if name in (None, each["identifiers"][0]["value"])]


@pytest.fixture
async def acme(start_pebble: StartPebble, bind: Bind) -> AsyncIterator[Bench]:
    """An ACME authority with http-01."""
    async with http_bench(start_pebble, bind) as opened:
        yield opened


@pytest.mark.parametrize("earlier", [2, 3, 7])
async def test_an_order_placed_before_is_found_on_any_page_of_the_accounts_orders(
    acme: Bench, earlier: int
) -> None:
    """Pebble gives three orders a page (PEBBLE_WFE_ORDERS_PER_PAGE), the oldest first."""
    for number in range(earlier):
        await acme.issue(acme.request(f"earlier{number}.example.test"))
    request = acme.request("crash.example.test")
    async with acme.opened() as authority:  # it dies after this: that the order is placed is kept by nobody
        assert (await acme.step(authority, request, None, resumed=False)).step == "place"  # type: ignore[union-attr] # placing is never the last step
    acme.check(request, await acme.issue(request, resumed=True))
    assert await placed_orders(acme, "crash.example.test") == ["valid"]
    assert len(await placed_orders(acme)) == earlier + 1


async def test_a_name_that_the_authority_blocks_is_refused(acme: Bench) -> None:
    with pytest.raises(Refused, match="rejectedIdentifier"):
        await acme.issue(acme.request(BLOCKED))


async def test_a_directory_that_cannot_be_reached_is_not_now(acme: Bench) -> None:
    assert acme.pebble is not None
    acme.pebble.stop()
    with pytest.raises(NotNow, match="cannot be reached"):
        await acme.issue(acme.request("away.example.test"))


async def test_the_chain_comes_leaf_first_and_without_the_root(start_pebble: StartPebble, bind: Bind) -> None:
    async with http_bench(start_pebble, bind, chain_length=2) as bench:
        request = bench.request("chain.example.test")
        chain = [load(der) for der in bench.check(request, await bench.issue(request))]
    assert len(chain) == 3
    for one, issuer in pairwise(chain):
        one.verify_directly_issued_by(issuer)
    assert chain[-1].subject != chain[-1].issuer


@pytest.mark.parametrize("chain_length", [1, 2])
async def test_a_chain_that_does_not_end_at_the_named_root_is_refused(
    start_pebble: StartPebble, bind: Bind, lab_ca: CertificateAuthority, chain_length: int
) -> None:
    async with http_bench(start_pebble, bind, chain_length=chain_length) as bench:
        assert bench.pebble is not None
        for pem, is_right in ((bench.pebble.roots()[0], True), (lab_ca.pem.decode(), False)):
            strict = replace(bench, options={**bench.options, "root_pem": pem})
            request = strict.request("root.example.test")
            told = await strict.issue(request)
            if is_right:
                assert strict.check(request, told)
                continue
            with pytest.raises(Refused, match="does not end at the authority's root"):
                strict.check(request, told)


def test_a_root_that_is_no_certificate_is_refused() -> None:
    options = AcmeOptions.model_validate({"directory_url": "https://ca.example.test", "root_pem": "x"})
    with pytest.raises(Invalid, match="root_pem holds no PEM"):
        Acme.found(options, secrets=AcmeSecrets(), name="x", now=datetime.now(UTC))


async def test_a_wildcard_is_issued_by_dns_and_refused_by_http(
    start_pebble: StartPebble, bind: Bind, acme: Bench
) -> None:
    async with dns_bench(start_pebble, bind) as bench:
        request = bench.request("*.wild.example.test", "wild.example.test")
        bench.check(request, await bench.issue(request))
        assert not bench.left_over("wild.example.test")
    with pytest.raises(Refused, match="offers dns-01"):
        await acme.issue(acme.request("*.wild.example.test"))


async def test_a_failed_challenge_is_cleaned_up_and_begins_anew(
    start_pebble: StartPebble, bind: Bind
) -> None:
    async with http_bench(start_pebble, bind) as bench:
        silent = replace(bench, network=replace(bench.network, http01=Answers()))
        with pytest.raises(NotNow, match="unauthorized") as caught:
            await silent.issue(silent.request("silent.example.test"))
        assert caught.value.starts_over
        assert not silent.left_over("silent.example.test")


@pytest.fixture(params=[http_bench, dns_bench], ids=["http-01", "dns-01"])
async def showing(
    request: pytest.FixtureRequest, start_pebble: StartPebble, bind: Bind
) -> AsyncIterator[Bench]:
    """An ACME authority with each challenge."""
    async with request.param(start_pebble, bind) as opened:
        yield opened


async def shown(bench: Bench, request: Request) -> bytes:
    """Go on until a challenge is shown; return what is kept."""
    step, state = "", None
    async with bench.opened() as authority:
        while step != "show":
            told = await bench.step(authority, request, state, resumed=False)
            assert isinstance(told, Pending)
            bench.keep(told)
            step, state = told.step, told.state
    assert state is not None
    assert bench.left_over(request.names[0])
    return state


async def test_a_challenge_that_cannot_be_answered_is_taken_away_and_shown_again_later(
    showing: Bench,
) -> None:
    request = showing.request("answer.example.test")
    state = await shown(showing, request)
    away = replace(showing, options={k: v for k, v in showing.options.items() if k != "ca_pem"})
    away.identity = showing.identity
    async with away.opened() as authority:
        with pytest.raises(NotNow, match="cannot be reached"):
            await away.step(authority, request, state, resumed=False)
    assert not showing.left_over("answer.example.test")
    showing.check(request, await showing.issue(request, state, resumed=True))
    assert not showing.left_over("answer.example.test")
    assert await placed_orders(showing) == ["valid"]


async def test_a_challenge_is_taken_away_when_the_authority_has_forgotten_it(showing: Bench) -> None:
    request = showing.request("forgotten.example.test")
    state = await shown(showing, request)
    assert showing.pebble is not None
    showing.pebble.stop()
    showing.pebble.start()
    async with showing.opened() as authority:
        told = await showing.step(authority, request, state, resumed=False)
    assert isinstance(told, Pending)
    assert told.step == "account"
    assert not showing.left_over("forgotten.example.test")


async def test_a_listener_that_cannot_be_reached_is_tried_again_with_a_new_order(
    start_pebble: StartPebble,
) -> None:
    pebble = start_pebble()
    network = Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=Answers())
    bench = Bench(
        kind=Acme, options=directory(pebble), secrets={}, challenge=Challenge.HTTP_01, network=network
    )
    with pytest.raises(NotNow, match="connection") as caught:
        await bench.issue(bench.request("closed.example.test"))
    assert caught.value.starts_over


async def test_an_external_account_is_bound_and_needed_where_the_authority_wants_it(
    start_pebble: StartPebble,
) -> None:
    mac = new_eab_key()
    pebble = start_pebble(eab={"kid-1": mac})
    network = Network(policy=Policy(allow=LOOPBACK), tls=client_context(), http01=Answers())

    def bench(**given: Any) -> Bench:
        options = {**directory(pebble), **given.pop("options", {})}
        return Bench(
            kind=Acme,
            options=options,
            secrets=given.get("secrets", {}),
            challenge=Challenge.HTTP_01,
            network=network,
        )

    with pytest.raises(Refused, match="externalAccountRequired"):
        await bench().issue(bench().request("eab.example.test"))
    known = bench(options={"external_account": {"key_id": "kid-1"}}, secrets={"hmac": mac})
    async with known.opened() as authority:
        told = await known.step(authority, known.request("eab.example.test"), None, resumed=False)
    assert isinstance(told, Pending)
    assert told.step == "account"


async def test_an_authority_that_has_forgotten_everything_gets_account_and_order_anew(acme: Bench) -> None:
    request = acme.request("again.example.test")
    await acme.issue(request)
    assert acme.pebble is not None
    acme.pebble.stop()
    acme.pebble.start()
    acme.check(request, await acme.issue(request))


async def test_two_orders_of_the_same_names_get_a_certificate_each(acme: Bench) -> None:
    requests = [acme.request("same.example.test") for _ in range(2)]
    issued = [await acme.issue(request) for request in requests]
    for request, told in zip(requests, issued, strict=True):
        acme.check(request, told)


async def test_an_address_that_the_policy_does_not_permit_is_not_asked(acme: Bench) -> None:
    closed = replace(acme, network=replace(acme.network, policy=Policy()))
    with pytest.raises(NotNow, match="outbound policy"):
        await closed.issue(closed.request("policy.example.test"))


async def test_an_authority_with_an_unknown_tls_root_is_not_trusted(acme: Bench) -> None:
    stranger = replace(acme, options={"directory_url": acme.options["directory_url"]})
    with pytest.raises(NotNow, match="certificate verify failed"):
        await stranger.issue(stranger.request("tls.example.test"))


async def test_a_wrong_tsig_key_is_refused(start_pebble: StartPebble, bind: Bind) -> None:
    async with dns_bench(start_pebble, bind) as bench:
        wrong = replace(bench, secrets={"dns_secret": "d3Jvbmcgd3Jvbmcgd3Jvbmc="})
        with pytest.raises(Refused, match="refused to change"):
            await wrong.issue(wrong.request("tsig.example.test"))


async def test_the_builtin_authority_issues_for_no_second_longer_than_asked() -> None:
    """The second of `notAfter` is part of the validity (RFC 5280 §4.1.2.5, CA/B Baseline Requirements §6.3.2)."""
    network = Network(policy=Policy(), tls=client_context(), http01=None)
    bench = Bench(kind=Builtin, options={}, secrets={}, challenge=None, network=network)
    request = bench.request("exact.example.test")
    leaf = load((await bench.issue(request)).chain[0])
    validity = leaf.not_valid_after_utc - leaf.not_valid_before_utc + timedelta(seconds=1)
    assert validity == request.terms.lifetime


@pytest.mark.parametrize("key_type", list(KeyType))
async def test_the_builtin_authority_signs_every_kind_of_key(key_type: KeyType) -> None:
    network = Network(policy=Policy(), tls=client_context(), http01=None)
    bench = Bench(kind=Builtin, options={}, secrets={}, challenge=None, network=network)
    request = bench.request("kind.example.test", "10.1.2.3", key_type=key_type)
    leaf = load(bench.check(request, await bench.issue(request))[0])
    assert leaf.serial_number.bit_length() <= 159
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    verifier = (
        PolicyBuilder()
        .store(Store([load(bench.identity.roots[0])]))
        .build_server_verifier(x509.DNSName("kind.example.test"))
    )
    if key_type is not KeyType.ED25519:  # the verifier knows the Web PKI's algorithms only
        assert len(verifier.verify(leaf, [])) == 2
