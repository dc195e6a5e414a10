"""Every product whose configuration is read, and where it begins."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.discovery.configuration import (
    apache,
    caddy,
    dovecot,
    haproxy,
    nginx,
    postfix,
    postgres,
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
)


async def read_all(files: Files, *, starts: Mapping[str, str] | None = None) -> tuple[Reading, ...]:
    """Read the configuration of every product that a host has.

    `starts` names the file that a product's begins with; only those in it are read then.
    """
    if starts is not None:
        return tuple([await one.read(files, starts[one.name]) for one in PRODUCTS if one.name in starts])
    readings = []
    for product in PRODUCTS:
        for pattern in product.starts:
            readings.extend([await product.read(files, start) for start in await _there(files, pattern)])
    return tuple(readings)


async def _there(files: Files, pattern: str) -> tuple[str, ...]:
    try:
        return tuple(await files.glob(pattern))
    except OSError:
        return (pattern,)  # the reader meets it again, and makes a gap of it
