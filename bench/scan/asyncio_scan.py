"""A plain asyncio + ssl scanner, as most Python tools do it: open_connection(ssl=…), take the chain, close.

A program of its own, standard library only: `python asyncio_scan.py PLACES --timeout S --concurrency N --output FILE`.
"""

import _ssl
import argparse
import asyncio
import hashlib
import json
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


class Found:
    """One JSON line an endpoint; each distinct certificate once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._seen: set[str] = set()
        self.number = 0

    def add(self, place: str, connection: ssl.SSLObject) -> None:
        """Write what a connection has shown."""
        self.number += 1
        chain = [self._certificate(der) for der in _chain(connection)]
        suite = connection.cipher() or ("",)
        self._line({"place": place, "version": connection.version(), "suite": suite[0], "chain": chain})

    def _certificate(self, der: bytes) -> str:
        fingerprint = hashlib.sha256(der).hexdigest()
        if fingerprint not in self._seen:
            self._seen.add(fingerprint)
            self._line({"certificate": fingerprint, "der": der.hex()})
        return fingerprint

    def _line(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")


def _chain(connection: ssl.SSLObject) -> list[bytes]:
    # Python 3.11 has the chain in a private place only.
    inner: Any = connection._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - see above
    encoding = _ssl.ENCODING_DER
    return [each.public_bytes(encoding) for each in inner.get_unverified_chain()]


def _context() -> ssl.SSLContext:
    # A scanner takes whatever is served, and so the oldest versions too.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def _ask(place: str, *, context: ssl.SSLContext, timeout: float, found: Found) -> None:  # noqa: ASYNC109 - one connection's, from the command line
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="")
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return
    found.add(place, writer.get_extra_info("ssl_object"))
    writer.transport.abort()


async def _scan(places: Iterator[str], *, concurrency: int, timeout: float, found: Found) -> None:  # noqa: ASYNC109 - the same
    context = _context()

    async def work() -> None:
        for place in places:
            await _ask(place, context=context, timeout=timeout, found=found)

    await asyncio.gather(*(work() for _ in range(concurrency)))


def main() -> None:
    """Scan the places of a file; the last line of stdout says how many answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", type=Path)
    parser.add_argument("--timeout", type=float, default=3)
    parser.add_argument("--concurrency", type=int, default=500)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    with asked.output.open("w") as file:
        found = Found(file)
        places = iter(asked.places.read_text().split())
        asyncio.run(_scan(places, concurrency=asked.concurrency, timeout=asked.timeout, found=found))
    print(json.dumps({"ok": found.number}))


if __name__ == "__main__":
    main()
