"""The one guarded HTTP client for every address that a user or a certificate has named.

A name is resolved here, every address is held against the policy, and the connection goes to the
very address that was checked: a name that resolves differently a moment later (DNS rebinding)
gains nothing, and a redirect passes the same gate because every connection does.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress

import anyio
import httpcore
import httpx

from shared.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that IANA has given out for the public network (RFC 4291 §2.4)."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""Not for everyday traffic, though Python 3.11 calls them global (IANA special-purpose registries);
one cloud serves its instances' credentials at 192.0.0.192."""
TIMEOUT = httpx.Timeout(20, connect=10)


class Policy:
    """Which addresses may be reached: the public ones, and what the operator allows beside."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        """Take networks like `10.0.0.0/8`. Raises `Invalid` where one is not a network."""
        try:
            self._allowed = [ipaddress.ip_network(text, strict=False) for text in allow]
        except ValueError as error:
            raise Invalid(
                f"outbound_allow: {error}.", next_step="Write networks as 10.0.0.0/8, with commas between."
            ) from error

    def permits(self, address: Address) -> bool:
        """Return whether a connection to this address may be made."""
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        inner = _inside(address) if isinstance(address, ipaddress.IPv6Address) else None
        if inner is not None:
            return self.permits(inner)
        return address.is_global and not address.is_multicast and not _is_special(address)


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a mapped, 6to4 or NAT64 (RFC 6052) address leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_special(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # noqa: PLR2004 - IP version 6
        return True
    return any(address in network for network in _SPECIAL)


class Forbidden(httpx.ConnectError):
    """The policy does not let us connect to this address."""


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed where its TLS handshake comes to nothing; httpcore leaves that to the collector."""

    def __init__(self, plain: httpcore.AsyncNetworkStream) -> None:
        self._plain = plain

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the interface we implement
        return await self._plain.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the interface we implement
        await self._plain.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._plain.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface we implement
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._plain.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._plain.aclose()
            raise

    def get_extra_info(self, info: str) -> object:
        return self._plain.get_extra_info(info)


class _Gate(httpcore.AsyncNetworkBackend):
    """Opens connections only to addresses the policy permits."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface we implement
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, and connect to what was checked: the first address that answers."""
        permitted = await permitted_addresses(self._policy, host, port, timeout=timeout)
        for text in permitted[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Stream(
                    await self._backend.connect_tcp(text, port, timeout, local_address, socket_options)
                )
        return _Stream(
            await self._backend.connect_tcp(permitted[-1], port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks."""
        await anyio.sleep(seconds)


async def permitted_addresses(policy: Policy, host: str, port: int, *, timeout: float | None) -> list[str]:  # noqa: ASYNC109 - httpcore's own parameter, passed on
    """Return the addresses of a host that may be connected to, for who does not speak HTTP.

    Raises `Forbidden` where there is none, and what httpcore raises where the name cannot be resolved.
    """
    addresses = await _resolve(host, port, timeout=timeout)
    permitted = [text for text in addresses if policy.permits(ipaddress.ip_address(text))]
    if not permitted:
        raise Forbidden(
            f"{host} is at {', '.join(addresses)}, which the outbound policy does not permit; "
            "an operator can allow its network with EVERLEAF_OUTBOUND_ALLOW"
        )
    return permitted


async def _resolve(host: str, port: int, *, timeout: float | None) -> list[str]:  # noqa: ASYNC109 - httpcore's own parameter, passed on
    try:
        with anyio.fail_after(timeout):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
    except (OSError, ValueError) as error:  # ValueError: what cannot be a name at all
        raise httpcore.ConnectError(f"{host} cannot be resolved") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def guarded_client(
    policy: Policy, *, tls: ssl.SSLContext | None = None, follow_redirects: bool = False
) -> httpx.AsyncClient:
    """Return a client that reaches only what the policy permits. TLS is always verified."""
    context = tls or ssl.create_default_context()
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    # httpx offers no parameter for the network backend of its pool; this is the pool it would make.
    transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - httpx has no parameter for it
        ssl_context=context, max_connections=100, keepalive_expiry=5, network_backend=_Gate(policy)
    )
    return httpx.AsyncClient(
        transport=transport, timeout=TIMEOUT, follow_redirects=follow_redirects, trust_env=False
    )
