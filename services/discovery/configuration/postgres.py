"""PostgreSQL: which certificate the server presents on its port.

Rules from https://www.postgresql.org/docs/current/config-setting.html and runtime-config-connection.html.
"""

import posixpath
import re
from collections.abc import Iterator

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, absolute, listened, port_number
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = (
    "/etc/postgresql/*/*/postgresql.conf",
    "/var/lib/pgsql/data/postgresql.conf",
    "/var/lib/pgsql/*/data/postgresql.conf",
)
_LINE = re.compile(
    r"\s*(?P<name>[A-Za-z_][\w.$]*)(?:\s*=\s*|\s+)(?:'(?P<quoted>(?:''|\\.|[^'])*)'|(?P<plain>[^\s#']+))"
)
_ON = {"on", "true", "yes", "1", "t", "y", "tr", "tru", "ye"}


async def read(files: Files, start: str) -> Reading:
    """Read the main file, what it includes, and what ALTER SYSTEM has set."""
    reader = Reader(files)
    settings: dict[str, tuple[str, str, int]] = {}
    await _file(reader, start, into=settings, within=())
    data = _value(settings, "data_directory", posixpath.dirname(start))
    automatic = f"{data}/postgresql.auto.conf"
    if await reader.matching(automatic):
        await _file(reader, automatic, into=settings, within=())
    return reader.reading(list(_uses(settings, data=data, start=start)))


async def _file(
    reader: Reader, path: str, *, into: dict[str, tuple[str, str, int]], within: tuple[str, ...]
) -> None:
    folder, inner = posixpath.dirname(path), (*within, path)
    for number, raw in enumerate((await reader.text(path, within=within) or "").splitlines(), start=1):
        found = _LINE.match(raw)
        if not found:
            continue
        name, value = found["name"].lower(), _unquoted(found)
        if name in ("include", "include_if_exists"):
            target = absolute(value, under=folder)
            if name == "include" or await reader.matching(target):
                await _file(reader, target, into=into, within=inner)
        elif name == "include_dir":
            for one in await reader.matching(f"{absolute(value, under=folder)}/*.conf"):
                await _file(reader, one, into=into, within=inner)
        else:
            into[name] = value, path, number


def _unquoted(found: re.Match[str]) -> str:
    if found["plain"] is not None:
        return found["plain"]
    return re.sub(r"''|\\(.)", lambda escape: escape[1] or "'", found["quoted"])


def _value(settings: dict[str, tuple[str, str, int]], name: str, default: str) -> str:
    return settings[name][0] if name in settings else default


def _uses(settings: dict[str, tuple[str, str, int]], *, data: str, start: str) -> Iterator[Use]:
    listeners = tuple(_listeners(settings))
    if _value(settings, "ssl", "off").lower() not in _ON or not listeners:
        return
    _, file, line = settings.get("ssl_cert_file", settings["ssl"])
    bounds = [name for name in ("ssl_min_protocol_version", "ssl_max_protocol_version") if name in settings]
    trusted = _value(settings, "ssl_ca_file", "")
    yield Use(
        product="postgresql",
        file=file or start,
        line=line,
        listeners=listeners,
        certificate=absolute(_value(settings, "ssl_cert_file", "server.crt"), under=data),
        key=absolute(_value(settings, "ssl_key_file", "server.key"), under=data),
        trusted_ca=absolute(trusted, under=data) if trusted else None,
        protocols=tuple(f"{name} {settings[name][0]}" for name in bounds if settings[name][0]),
        ciphers=_value(settings, "ssl_ciphers", "") or None,
        is_default=True,
    )


def _listeners(settings: dict[str, tuple[str, str, int]]) -> Iterator[Listener]:
    port = port_number(_value(settings, "port", "5432"))
    for text in _value(settings, "listen_addresses", "localhost").split(","):
        address = text.strip()
        if address and port:
            yield Listener(address=listened(address), port=port, starttls="postgres")
