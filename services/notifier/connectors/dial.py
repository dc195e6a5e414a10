"""Opens plain TCP connections to what an operator has named, held against the outbound policy like every other."""

import asyncio
import ipaddress
import socket

import anyio

from shared.outbound import Policy

PATIENCE = 10.0


class NotPermitted(OSError):
    """The policy does not let us connect to any address of this name."""


async def dial(host: str, *, port: int, policy: Policy) -> socket.socket:
    """Resolve once, and connect to the first permitted address that answers. Raises `OSError`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    permitted = [entry for entry in found if policy.permits(ipaddress.ip_address(str(entry[4][0])))]
    if not permitted:
        raise NotPermitted(
            f"the outbound policy does not permit the addresses of {host}; "
            "an operator can allow its network with EVERLEAF_OUTBOUND_ALLOW"
        )
    for family, kind, protocol, _, address in permitted[:-1]:
        try:
            return await _connect(socket.socket(family, kind, protocol), address=address)
        except OSError:
            continue
    family, kind, protocol, _, address = permitted[-1]
    return await _connect(socket.socket(family, kind, protocol), address=address)


async def _connect(connection: socket.socket, *, address: tuple[object, ...]) -> socket.socket:
    connection.setblocking(False)
    try:
        with anyio.fail_after(PATIENCE):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection
