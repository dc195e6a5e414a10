"""What every prober of discovery must do: look completely, change nothing, and never raise for a place."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from services.discovery.connectors.network import Network
from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import LookOptions
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from services.discovery.scanner.pace import Sockets
from shared import x509
from tests.servers.nginx import StartNginx
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority, fingerprint

HOST = "127.0.0.1"
KINDS: list[Literal["ec", "rsa"]] = ["ec", "rsa"]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def look(*asked: Asked, timeout: float = 1.0) -> list[Sighting]:
    network = Network(LookOptions(timeout=timedelta(seconds=timeout), concurrency=20))
    return [sighting async for sighting in network.look(asked)]


async def look_at(port: int, server_name: str | None = None, *, timeout: float = 1.0) -> Sighting:
    (sighting,) = await look(Asked(address=HOST, port=port, server_name=server_name), timeout=timeout)
    return sighting


@asynccontextmanager
async def serving(talk: Talk, *, tls: ssl.SSLContext | None = None, host: str = HOST) -> AsyncIterator[int]:
    """Serve on a free port with `talk` for each connection."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(guarded, host, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def read_on(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_chain_is_kept_as_it_is_served(
    kind: Literal["ec", "rsa"], version: ssl.TLSVersion, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    issued = lab_ca.intermediate("lab intermediate").issue("a.test", kind=kind)
    context = issued.server_context(tmp_path)
    context.minimum_version = context.maximum_version = version
    async with serving(read_on, tls=context) as port:
        sighting = await look_at(port)
    assert sighting.outcome is Outcome.TLS
    assert x509.fingerprint(sighting.chain[0]) == issued.fingerprint
    assert len(sighting.chain) == len(issued.chain_pem.split(b"BEGIN CERTIFICATE")) - 1
    assert sighting.tls_version == ("TLSv1.3" if version is ssl.TLSVersion.TLSv1_3 else "TLSv1.2")
    assert sighting.cipher_suite is not None
    assert sighting.group == "X25519"


@pytest.mark.parametrize("curve", ["secp384r1", "secp521r1"])
async def test_a_server_that_wants_another_group_is_asked_again_with_it(
    curve: str, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    issued = lab_ca.issue("a.test")
    context = issued.server_context(tmp_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve(curve)
    async with serving(read_on, tls=context) as port:
        sighting = await look_at(port)
    assert x509.fingerprint(sighting.chain[0]) == issued.fingerprint
    assert sighting.group == curve


async def test_each_name_on_one_address_shows_its_own_certificate(start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(start_nginx, "a.test", "b.test")
    asked = [Asked(address=HOST, port=nginx.port, server_name=name) for name in ("a.test", "b.test")]
    seen = {s.asked.server_name: x509.fingerprint(s.chain[0]) for s in await look(*asked)}
    assert seen == {site.server_name: fingerprint(site.issued.certificate) for site in nginx.sites}


async def test_ipv6_is_looked_at_too(start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(lambda: start_nginx("a.test", address="::1"))
    (sighting,) = await look(Asked(address="::1", port=nginx.port))
    assert x509.fingerprint(sighting.chain[0]) == fingerprint(nginx.sites[0].issued.certificate)


async def test_an_old_server_of_tls_1_0_is_seen(lab_ca: CertificateAuthority, tmp_path: Path) -> None:
    issued = lab_ca.issue("old.test", kind="rsa")
    context = issued.server_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    async with serving(read_on, tls=context) as port:
        sighting = await look_at(port)
    assert x509.fingerprint(sighting.chain[0]) == issued.fingerprint
    assert sighting.tls_version == "TLSv1"


async def test_a_closed_port_has_refused() -> None:
    sighting = await look_at(free_port())
    assert sighting.outcome is Outcome.REFUSED


async def test_a_server_that_never_answers_is_silent() -> None:
    async def wait(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(wait) as port:
        sighting = await look_at(port, timeout=0.3)
    assert sighting.outcome is Outcome.SILENT


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""])
async def test_a_server_of_another_protocol_is_not_tls(words: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(words)
        await writer.drain()

    async with serving(talk) as port:
        sighting = await look_at(port)
    assert sighting.outcome is Outcome.NO_TLS


def plain_record(kind: int, fragment: bytes) -> bytes:
    return bytes([kind]) + b"\x03\x03" + len(fragment).to_bytes(2, "big") + fragment


async def test_a_server_that_refuses_our_application_protocols_is_asked_without(
    lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    """As nginx does for mail, and OpenSSL for `alpn imap` (RFC 7301 §3.2: a fatal alert)."""
    issued = lab_ca.issue("a.test")
    context = issued.server_context(tmp_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(4000)
        if b"http/1.1" in hello:
            writer.write(plain_record(21, b"\x02\x78"))
            await writer.drain()
            return
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(inward, outward, server_side=True)
        inward.write(hello)
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
        writer.write(outward.read())
        await writer.drain()

    async with serving(refuse) as port:
        sighting = await look_at(port)
    assert x509.fingerprint(sighting.chain[0]) == issued.fingerprint
    assert sighting.tls_version == "TLSv1.3"


async def test_an_alert_is_remembered_when_the_server_then_hangs_up() -> None:
    asked = 0

    async def alert_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.read(4000)
        asked += 1
        if asked == 1:
            writer.write(plain_record(21, b"\x02\x28"))
            await writer.drain()

    async with serving(alert_once) as port:
        sighting = await look_at(port)
    assert (sighting.outcome, sighting.reason, sighting.chain) == (
        Outcome.TLS,
        "TLS alert 40 (handshake_failure)",
        (),
    )
    assert asked == 5, "TLS 1.2, TLS 1.3, a short hello, SSL 3.0 and SSL 2.0"


async def test_a_chain_counts_whatever_comes_after_it() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4000)
        hello = b"\x02\x00\x00\x26\x03\x03" + bytes(32) + b"\0\xc0\x2f\0"
        chain = b"\x0b\x00\x00\x0a\x00\x00\x07\x00\x00\x04junk"
        writer.write(plain_record(22, hello + chain))
        await writer.drain()
        await asyncio.sleep(5)

    async with serving(stall) as port:
        sighting = await look_at(port, timeout=0.3)
    assert (sighting.outcome, sighting.chain) == (Outcome.TLS, (b"junk",))


async def test_a_denied_address_is_not_looked_at() -> None:
    asked = Asked(address="169.254.169.254", port=80)
    (sighting,) = await look(asked)
    assert sighting.outcome is Outcome.EXCLUDED


async def test_what_goes_wrong_on_our_side_is_one_failure_and_not_the_end() -> None:
    async def hold(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)

    async with serving(hold) as port:
        odd = Asked(address=HOST, port=port, server_name="\udcff")
        seen = await look(odd, Asked(address=HOST, port=free_port()))
    sightings = {sighting.asked: sighting for sighting in seen}
    assert sightings.pop(odd).outcome is Outcome.FAILED
    assert [sighting.outcome for sighting in sightings.values()] == [Outcome.REFUSED]


async def test_more_places_than_sockets_are_all_looked_at() -> None:
    taken = most = 0

    async def hold(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal taken, most
        taken += 1
        most = max(most, taken)
        try:
            await asyncio.sleep(0.05)
        finally:
            taken -= 1

    sockets = Sockets(20)
    async with serving(hold) as port:
        options = LookOptions(concurrency=200, per_host=None)
        asked = [Asked(address=HOST, port=port)] * 100
        seen = [sighting.outcome async for sighting in Network(options, sockets=sockets).look(iter(asked))]
    assert seen == [Outcome.NO_TLS] * 100
    assert 15 <= most <= 20
    assert sockets.open == 0


async def test_a_look_that_is_given_up_leaves_nothing_behind() -> None:
    async def wait(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    sockets = Sockets()
    async with serving(wait) as port:
        network = Network(sockets=sockets)
        asked = [Asked(address=HOST, port=free_port()), *[Asked(address=HOST, port=port)] * 9]
        async with aclosing(network.look(asked)) as seen:
            await anext(seen)
        assert sockets.open == 0


async def test_a_dripping_server_costs_the_time_out_and_no_more() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"\x16\x03\x03\x40\x00" + bytes(1000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(drip) as port:
        began = asyncio.get_running_loop().time()
        sighting = await look_at(port, timeout=0.5)
        took = asyncio.get_running_loop().time() - began
    assert sighting.outcome is Outcome.FAILED
    assert took < 3


async def test_endless_records_become_a_recorded_failure() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        while True:
            writer.write(b"\x16\x03\x03\x40\x00" + b"\x0c\xff\xff\xff" + bytes(0x4000 - 4))
            await writer.drain()

    async with serving(flood) as port:
        sighting = await look_at(port)
    assert sighting.outcome is Outcome.FAILED
    assert "a message of" in sighting.reason


async def test_a_certificate_that_does_not_parse_is_kept_with_the_reason() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        hello = b"\x02\x00\x00\x26\x03\x03" + bytes(32) + b"\0\xc0\x2f\0"
        garbage = b"\x0b\x00\x00\x0a\x00\x00\x07\x00\x00\x04junk"
        writer.write(b"\x16\x03\x03" + (len(hello + garbage)).to_bytes(2, "big") + hello + garbage)
        await writer.drain()

    async with serving(talk) as port:
        sighting = await look_at(port)
    assert sighting.outcome is Outcome.TLS
    assert sighting.chain == (b"junk",)
    assert "not an X.509 certificate" in sighting.reason


async def test_exactly_one_sighting_comes_for_each_place(start_nginx: StartNginx) -> None:
    nginx = await asyncio.to_thread(start_nginx)
    asked = [Asked(address=HOST, port=port) for port in (nginx.port, *range(1, 60))]
    sightings = await look(*asked)
    assert sorted(s.asked.port for s in sightings) == sorted(one.port for one in asked)
