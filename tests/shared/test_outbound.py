import ipaddress
import itertools
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx
import pytest

from shared.errors import Invalid
from shared.outbound import Forbidden, Policy, guarded_client
from tests.builders import LOOPBACK
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority
from tests.servers.webhook import Answer, StartWebhook, Webhook

NOTHING, OURS = Policy(), Policy(allow=LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "198.18.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "fd00:ec2::254",
        "fc00::1",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "3fff::1",
        "192.88.99.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2001::1",
    ],
)
def test_an_address_that_is_not_public_is_not_permitted(address: str):
    assert not NOTHING.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.128.0.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_a_public_address_is_permitted(address: str):
    assert NOTHING.permits(ipaddress.ip_address(address))


def test_the_operator_may_allow_more_and_only_that():
    policy = Policy(allow=["10.1.0.0/16", "fd00::1"])
    permitted = [
        a for a in ("10.1.2.3", "10.2.2.3", "fd00::1", "fd00::2", "::ffff:10.1.2.3") if _permits(policy, a)
    ]
    assert permitted == ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3"]


def _permits(policy: Policy, address: str) -> bool:
    return policy.permits(ipaddress.ip_address(address))


def test_a_network_that_is_none_is_one_clear_line():
    with pytest.raises(Invalid, match="outbound_allow"):
        Policy(allow=["10.0.0.0/33"])


async def test_loopback_is_not_reached_and_the_error_names_the_setting(webhook: Webhook):
    async with guarded_client(NOTHING) as client:
        with pytest.raises(Forbidden, match="EVERLEAF_OUTBOUND_ALLOW") as raised:
            await client.get(webhook.url)
    assert isinstance(raised.value, httpx.ConnectError)
    assert str(raised.value.request.url) == webhook.url
    assert webhook.requests == []


async def test_what_the_policy_allows_is_reached(webhook: Webhook):
    async with guarded_client(OURS) as client:
        assert (await client.post(webhook.url, content=b"leaf")).status_code == 200
    assert [request.body for request in webhook.requests] == [b"leaf"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
async def test_no_way_to_write_loopback_gets_past(webhook: Webhook, host: str):
    async with guarded_client(NOTHING) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://{host}:{webhook.port}/")
    assert webhook.requests == []


class Resolver:
    """Answers for every name, the next answer each time; it stands where the operating system's does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))

    def __call__(self, host: str | bytes, port: int, *_args: Any, **_named: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            found: Sequence[str] = [str(ipaddress.ip_address(name))]
        except ValueError:
            self.asked.append(name)
            found = next(self._answers)
        return [_entry(address, port) for address in found]


def _entry(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> Resolver:
    resolver = Resolver(*answers)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


async def test_a_name_at_a_private_address_is_not_reached(monkeypatch: pytest.MonkeyPatch, webhook: Webhook):
    resolve(monkeypatch, ["10.0.0.1", "127.0.0.1"])
    async with guarded_client(NOTHING) as client:
        with pytest.raises(Forbidden, match=r"evil\.test is at 10\.0\.0\.1, 127\.0\.0\.1"):
            await client.get(f"http://evil.test:{webhook.port}/")
    assert webhook.requests == []


async def test_a_name_that_changes_after_the_check_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, webhook: Webhook
):
    """DNS rebinding: the connection goes to the address that was checked, and nobody asks again."""
    allowed_first = Policy(allow=["127.0.0.1/32"])
    resolver = resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    dialled = _watch_connections(monkeypatch)
    async with guarded_client(allowed_first) as client:
        assert (await client.get(f"http://rebinding.test:{webhook.port}/")).status_code == 200
    assert resolver.asked == ["rebinding.test"]
    assert dialled == ["127.0.0.1"]
    assert webhook.requests[0].headers["host"] == f"rebinding.test:{webhook.port}"


async def test_a_name_is_checked_again_for_every_connection(
    monkeypatch: pytest.MonkeyPatch, webhook: Webhook
):
    resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    webhook.default = Answer(headers={"connection": "close"})
    async with guarded_client(Policy(allow=["127.0.0.1/32"])) as client:
        await client.get(f"http://rebinding.test:{webhook.port}/")
        with pytest.raises(Forbidden):
            await client.get(f"http://rebinding.test:{webhook.port}/")
    assert len(webhook.requests) == 1


def _watch_connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    dialled = []
    connect = anyio.connect_tcp

    async def watched(remote_host: str, *args: Any, **named: Any) -> Any:
        dialled.append(remote_host)
        return await connect(remote_host, *args, **named)

    monkeypatch.setattr(anyio, "connect_tcp", watched)
    return dialled


async def test_of_several_addresses_only_permitted_ones_are_dialled(
    monkeypatch: pytest.MonkeyPatch, webhook: Webhook
):
    resolve(monkeypatch, ["10.0.0.1", "127.0.0.1", "169.254.169.254"])
    dialled = _watch_connections(monkeypatch)
    async with guarded_client(OURS) as client:
        await client.get(f"http://mixed.test:{webhook.port}/")
    assert dialled == ["127.0.0.1"]


async def test_where_one_address_does_not_answer_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch, webhook: Webhook
):
    resolve(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    async with guarded_client(OURS) as client:
        assert (await client.get(f"http://two.test:{webhook.port}/")).status_code == 200


class Redirect(BaseHTTPRequestHandler):
    """Sends everybody on to where the server says."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", str(self.server.target))  # type: ignore[attr-defined] # the standard library does not know our server
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def redirecting() -> Iterator[ThreadingHTTPServer]:
    """A server on 127.0.0.1 that redirects to its `target`."""
    with ThreadingHTTPServer(("127.0.0.1", free_port()), Redirect) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_redirect_to_a_denied_address_is_not_followed(
    redirecting: ThreadingHTTPServer, webhook: Webhook
):
    redirecting.target = f"http://127.0.0.2:{webhook.port}/"  # type: ignore[attr-defined] # the standard library does not know our server
    here = f"http://127.0.0.1:{redirecting.server_port}/"
    async with guarded_client(Policy(allow=["127.0.0.1/32"]), follow_redirects=True) as client:
        with pytest.raises(Forbidden, match=r"127\.0\.0\.2"):
            await client.get(here)


async def test_a_redirect_to_an_allowed_address_is_followed_only_where_that_is_asked_for(
    redirecting: ThreadingHTTPServer, webhook: Webhook
):
    redirecting.target = webhook.url  # type: ignore[attr-defined] # the standard library does not know our server
    here = f"http://127.0.0.1:{redirecting.server_port}/"
    async with guarded_client(OURS) as client:
        assert (await client.get(here)).status_code == 302
    async with guarded_client(OURS, follow_redirects=True) as client:
        assert (await client.get(here)).status_code == 200


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, webhook: Webhook):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    async with guarded_client(OURS) as client:
        assert (await client.get(webhook.url)).status_code == 200


async def test_a_server_whose_authority_is_unknown_is_not_talked_to(start_webhook: StartWebhook):
    server = start_webhook(tls=True)
    async with guarded_client(OURS) as client:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(server.url)
    assert server.requests == []


async def test_a_server_is_verified_by_its_name_and_not_by_its_address(
    monkeypatch: pytest.MonkeyPatch, start_webhook: StartWebhook, lab_ca: CertificateAuthority
):
    server = start_webhook(tls=True)
    context = ssl.create_default_context(cadata=lab_ca.pem.decode())
    async with guarded_client(OURS, tls=context) as client:
        assert (await client.get(server.url)).status_code == 200
        resolve(monkeypatch, ["127.0.0.1"])
        with pytest.raises(httpx.ConnectError, match=r"certificate is not valid for 'other\.test'"):
            await client.get(f"https://other.test:{server.port}/")


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a..test", "a" * 300])
async def test_a_name_that_cannot_be_resolved_is_a_connection_error(host: str):
    async with guarded_client(OURS) as client:
        with pytest.raises((httpx.ConnectError, httpx.InvalidURL)):
            await client.get(f"http://{host}/")


async def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_n: released.wait(20))
    try:
        async with guarded_client(OURS) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("http://slow.test/", timeout=0.2)
    finally:
        released.set()
