"""OpenSSH's server: which host certificates it shows. They are OpenSSH's own kind (PROTOCOL.certkeys), not X.509.

Rules from sshd_config(5).
"""

import posixpath
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, absolute, listened, port_number
from services.discovery.domain.holdings import SSH, Listener, Reading, Use

STARTS = ("/etc/ssh/sshd_config",)
_CERTIFICATE = "-cert.pub"
_PORT = "22"


@dataclass(frozen=True, kw_only=True)
class _Directive:
    """One line: its name in lower case, and its arguments."""

    name: str
    arguments: tuple[str, ...]
    file: str
    line: int


async def read(files: Files, start: str) -> Reading:
    """Read a file and what it includes."""
    reader = Reader(files)
    directives = [each async for each in _directives(reader, start, within=())]
    return reader.reading(list(_uses(directives)))


async def _directives(reader: Reader, path: str, *, within: tuple[str, ...]) -> AsyncIterator[_Directive]:
    for number, line in enumerate((await reader.text(path, within=within) or "").splitlines(), start=1):
        words = _words(line)
        name = words[0].lower() if words else ""
        if name == "match":
            return  # to the end of the file: what it holds is for some logins, and never a host's own
        if name == "include":
            for pattern in words[1:]:
                for one in await reader.matching(absolute(pattern, under=posixpath.dirname(path))):
                    async for each in _directives(reader, one, within=(*within, path)):
                        yield each
        elif name:
            yield _Directive(name=name, arguments=tuple(words[1:]), file=path, line=number)


def _words(line: str) -> Sequence[str]:
    name, equals, value = line.partition("=")
    text = f"{name} {value}" if equals and len(name.split()) == 1 else line
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return ()


def _uses(directives: Sequence[_Directive]) -> Iterator[Use]:
    given = [each for each in directives if each.arguments]
    listeners = tuple(dict.fromkeys(_listeners(given)))
    keys = [each.arguments[0] for each in given if each.name == "hostkey"]
    for each in given:
        certificate = each.arguments[0]
        if each.name == "hostcertificate" and certificate.startswith("/"):
            key = certificate.removesuffix(_CERTIFICATE)
            yield Use(
                product="sshd",
                file=each.file,
                line=each.line,
                listeners=listeners,
                certificate=certificate,
                key=key if key in keys or certificate.endswith(_CERTIFICATE) else None,
                is_default=True,
            )


def _listeners(given: Sequence[_Directive]) -> Iterator[Listener]:
    ports = [each.arguments[0] for each in given if each.name == "port"] or [_PORT]
    addresses = [each.arguments[0] for each in given if each.name == "listenaddress"] or [""]
    for address in addresses:
        host, port = _host_and_port(address)
        for number in map(port_number, [port] if port else ports):
            if number is not None:
                yield Listener(address=listened(host), port=number, starttls=SSH)


def _host_and_port(text: str) -> tuple[str, str]:
    """Read `host`, `host:port`, `[host]:port`, and an address of IPv6 without a port."""
    host, colon, port = text.rpartition(":")
    if colon and (":" not in host or host.startswith("[")):
        return host, port
    return text, ""
