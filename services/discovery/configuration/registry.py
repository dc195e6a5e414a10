"""Every product whose configuration is read, and where it begins."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.discovery.configuration import (
    apache,
    bigip,
    caddy,
    dovecot,
    haproxy,
    nginx,
    postfix,
    postgres,
    sshd,
    stunnel,
    tomcat,
)
from services.discovery.configuration.files import Files
from services.discovery.domain.holdings import Reading


@dataclass(frozen=True, kw_only=True)
class Product:
    """A server, its reader, and the patterns of the files that its configuration may begin with."""

    name: str
    read: Callable[[Files, str], Awaitable[Reading]]
    starts: tuple[str, ...]


PRODUCTS: tuple[Product, ...] = (
    Product(name="nginx", read=nginx.read, starts=nginx.STARTS),
    Product(name="apache", read=apache.read, starts=apache.STARTS),
    Product(name="haproxy", read=haproxy.read, starts=haproxy.STARTS),
    Product(name="postfix", read=postfix.read, starts=postfix.STARTS),
    Product(name="dovecot", read=dovecot.read, starts=dovecot.STARTS),
    Product(name="postgresql", read=postgres.read, starts=postgres.STARTS),
    Product(name="stunnel", read=stunnel.read, starts=stunnel.STARTS),
    Product(name="tomcat", read=tomcat.read, starts=tomcat.STARTS),
    Product(name="caddy", read=caddy.read, starts=caddy.STARTS),
    Product(name="bigip", read=bigip.read, starts=bigip.STARTS),
)
SSHD = Product(name="sshd", read=sshd.read, starts=sshd.STARTS)
"""Apart from the others: its certificates are no X.509 certificates, and inventory has no place for them."""


async def read_all(
    files: Files, *, starts: Mapping[str, str] | None = None, products: Sequence[Product] = PRODUCTS
) -> tuple[Reading, ...]:
    """Read the configuration of every one of these products that a host has.

    `starts` names the file that a product's begins with; only those in it are read then.
    """
    if starts is not None:
        return tuple([await _read(one, files, starts[one.name]) for one in products if one.name in starts])
    readings = []
    for product in products:
        for pattern in product.starts:
            readings.extend([await _read(product, files, start) for start in await _there(files, pattern)])
    return tuple(readings)


async def _read(product: Product, files: Files, start: str) -> Reading:
    reading = await product.read(files, start)
    return replace(reading, uses=tuple(replace(use, start=start) for use in reading.uses))


async def _there(files: Files, pattern: str) -> tuple[str, ...]:
    try:
        return tuple(await files.glob(pattern))
    except OSError:
        return (pattern,)  # the reader meets it again, and makes a gap of it
