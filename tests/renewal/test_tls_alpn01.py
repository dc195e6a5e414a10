"""The listener of tls-alpn-01, and a real ACME server that comes to it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256

import anyio
import pytest
from cryptography import x509

from services.renewal.actions.challenges import TlsChallenges
from services.renewal.connectors import Challenge, Issued, NotNow, Pending
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.tls_alpn01 import IDENTIFIER, Listener, identifier_of
from shared.errors import Unavailable
from tests.conformance.authorities.acme import AcmeBench, directory, placed_orders
from tests.conformance.authorities.bench import on_loopback
from tests.renewal.workshop import Workshop
from tests.servers.pebble import StartPebble
from tests.servers.processes import free_port


class Shown:
    """What is shown, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def put(self, name: str, authorization: str) -> None:
        self.kept[name] = authorization

    async def remove(self, name: str, authorization: str) -> None:
        if self.kept.get(name) == authorization:
            del self.kept[name]

    async def find(self, name: str) -> str | None:
        return self.kept.get(name)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def shown(port: int) -> AsyncIterator[Shown]:
    """What the running listener shows."""
    kept = Shown()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=kept.find).run)
        await until_it_listens(port)
        yield kept
        tasks.cancel_scope.cancel()


async def until_it_listens(port: int) -> None:
    while True:
        with suppress(OSError):
            await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            return
        await anyio.sleep(0.01)


def handshake(port: int, name: str | None, *protocols: str) -> x509.Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        assert tls.selected_alpn_protocol() == "acme-tls/1"
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


async def test_who_asks_for_a_name_is_shown_its_key_authorization(shown: Shown, port: int) -> None:
    """RFC 8737 §3: one name, and a critical extension with the digest."""
    shown.kept["a.example.test"] = "token.thumbprint"
    served = await asyncio.to_thread(handshake, port, "A.example.test", "acme-tls/1")
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("a.example.test")]
    proof = served.extensions.get_extension_for_oid(IDENTIFIER)
    assert proof.critical
    assert isinstance(proof.value, x509.UnrecognizedExtension)
    assert proof.value.value == b"\x04\x20" + sha256(b"token.thumbprint").digest()


@pytest.mark.parametrize(
    ("name", "protocols"),
    [("b.example.test", ("acme-tls/1",)), (None, ("acme-tls/1",)), ("a.example.test", ("h2", "http/1.1"))],
    ids=["another name", "no name", "another protocol"],
)
async def test_others_are_shown_nothing_and_the_listener_goes_on(
    shown: Shown, port: int, name: str | None, protocols: tuple[str, ...]
) -> None:
    shown.kept["a.example.test"] = "token.thumbprint"
    with pytest.raises((OSError, AssertionError)):
        await asyncio.to_thread(handshake, port, name, *protocols)
    await asyncio.to_thread(handshake, port, "a.example.test", "acme-tls/1")


async def test_noise_and_a_first_message_in_pieces_do_not_disturb_it(shown: Shown, port: int) -> None:
    shown.kept["a.example.test"] = "token.thumbprint"
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00" + b"\x01" * 100, b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(noise)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    await asyncio.to_thread(in_pieces, port)


def in_pieces(port: int) -> None:
    """Send the first message byte by byte at its beginning."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="a.example.test")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sent = outgoing.read()
                for at in range(0, len(sent), 100):
                    plain.sendall(sent[at : at + 100])
                incoming.write(plain.recv(65536))
        plain.sendall(outgoing.read())
    assert tls.selected_alpn_protocol() == "acme-tls/1"


@pytest.mark.parametrize(
    ("server_name", "identifier"),
    [
        ("WWW.example.test.", "www.example.test"),
        ("1.2.0.192.in-addr.arpa", "192.0.2.1"),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            "2001:db8::1",
        ),
        ("nonsense.in-addr.arpa", None),
        ("1.2.ip6.arpa", None),
    ],
)
def test_an_address_is_asked_for_by_its_reverse_name(server_name: str, identifier: str | None) -> None:
    """RFC 8738 §6."""
    assert identifier_of(server_name) == identifier


async def test_a_port_that_is_taken_says_which_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = Listener("127.0.0.1", taken.getsockname()[1], find=Shown().find)
        with pytest.raises(Unavailable, match="cannot be at") as caught:
            await listener.run()
    assert "EVERLEAF_RENEWAL_TLS_ALPN01_LISTEN" in caught.value.next_step


@pytest.fixture
def bench(start_pebble: StartPebble, shown: Shown, port: int) -> AcmeBench:
    """A Pebble that comes to the listener."""
    pebble = start_pebble(tlsalpn01_port=port)
    return AcmeBench(
        kind=Acme,
        options=directory(pebble),
        secrets={},
        challenge=Challenge.TLS_ALPN_01,
        network=on_loopback(tls_alpn01=shown),
        pebble=pebble,
        left_over=lambda name: [name] if name in shown.kept else [],
    )


async def test_an_acme_server_sees_names_and_addresses_and_nothing_is_left_behind(
    bench: AcmeBench, shown: Shown
) -> None:
    for names in (("one.example.test", "two.example.test"), ("127.0.0.1",)):
        request = bench.request(*names)
        bench.check(request, await bench.issue(request))
    assert not shown.kept


async def test_an_order_abandoned_after_any_step_ends_in_one_certificate(bench: AcmeBench) -> None:
    request, state = bench.request("crash.example.test"), None
    told: Pending | Issued | None = None
    while not isinstance(told, Issued):
        async with bench.opened() as authority:  # it dies after this: what it did is kept by nobody
            await bench.step(authority, request, state, resumed=False)
        async with bench.opened() as authority:
            told = await bench.step(authority, request, state, resumed=True)
        if isinstance(told, Pending):
            bench.keep(told)
            await bench.wait(told)
            state = told.state
    bench.check(request, told)
    assert await placed_orders(bench) == ["valid"]
    assert not bench.left_over("crash.example.test")


async def test_a_wrong_answer_is_tried_again_with_a_new_order(bench: AcmeBench, shown: Shown) -> None:
    async def put(name: str, authorization: str) -> None:
        shown.kept[name] = f"not {authorization}"

    shown.put = put  # type: ignore[method-assign] # shows what is wrong
    with pytest.raises(NotNow) as caught:
        await bench.issue(bench.request("wrong.example.test"))
    assert caught.value.starts_over


async def test_what_is_shown_is_kept_for_every_process_and_taken_away_only_by_who_put_it(
    shop: Workshop,
) -> None:
    challenges = TlsChallenges(shop.database, clock=shop.time)
    name = ".".join(["a" * 60] * 4)
    await challenges.put(name, "first")
    await challenges.put(name, "second")
    await challenges.remove(name, "first")
    assert await TlsChallenges(shop.database, clock=shop.time).find(name.upper()) == "second"
    await challenges.remove(name, "second")
    assert await challenges.find(name) is None
