"""HAProxy: which `bind` line presents which certificates.

Rules from the Configuration Manual (https://docs.haproxy.org/3.0/configuration.html): §3.1 crt-base, ca-base,
ssl-default-bind-*, §3.12 crt-store, §5.1 bind options, and crt-list. The names that a certificate is chosen by
are those in it, unless a crt-list says otherwise.
"""

import posixpath
import re
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, absolute, host_and_port
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg")
_SECTIONS = {
    "global",
    "defaults",
    "frontend",
    "listen",
    "backend",
    "crt-store",
    "peers",
    "userlist",
    "resolvers",
}
_NOT_A_CERTIFICATE = (".key", ".ocsp", ".issuer", ".sctl")
_MOST_PORTS = 100
"""Of one range: more of them are hardly meant for TLS."""
_SEE_ON_THE_WIRE = "See by a network scan which certificates are served."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """One line of a section, in words."""

    section: str
    name: str
    number: int
    words: tuple[str, ...]


@dataclass(kw_only=True)
class _Global:
    """What holds for every `bind`."""

    crt_base: str
    ca_base: str
    options: tuple[str, ...] = ()
    ciphers: str | None = None
    stored: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Certificate and key by the name that a bind gives them: `@store/alias`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Presented:
    """A certificate of a bind line, in its order."""

    path: str
    key: str | None = None
    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


async def read(files: Files, start: str) -> Reading:
    """Read one configuration file; HAProxy knows no includes, only lists and folders of certificates."""
    reader = Reader(files)
    text = await reader.text(start)
    lines = list(_lines(text or ""))
    settings = _global(lines, start=start)
    uses = [
        use
        for line in lines
        if line.words[0] == "bind" and "ssl" in line.words[2:]
        for use in [one async for one in _uses(line, reader=reader, settings=settings, start=start)]
    ]
    return reader.reading(uses)


def _lines(text: str) -> Iterator[_Line]:
    section, name = "", ""
    for number, raw in enumerate(text.splitlines(), start=1):
        words = _words(raw)
        if not words:
            continue
        if words[0] in _SECTIONS:
            section, name = words[0], words[1] if len(words) > 1 else ""
        else:
            yield _Line(section=section, name=name, number=number, words=words)


def _words(line: str) -> tuple[str, ...]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        return tuple(lexer)
    except ValueError:  # quotes that do not end
        return tuple(line.partition("#")[0].split())


def _global(lines: Sequence[_Line], *, start: str) -> _Global:
    folder = posixpath.dirname(start)
    found = _Global(crt_base=folder, ca_base=folder)
    for line in lines:
        name, rest = line.words[0], line.words[1:]
        if line.section != "global" or not rest:
            continue
        if name == "crt-base":
            found.crt_base = absolute(rest[0], under=folder)
        elif name == "ca-base":
            found.ca_base = absolute(rest[0], under=folder)
        elif name == "ssl-default-bind-options":
            found.options = rest
        elif name == "ssl-default-bind-ciphers":
            found.ciphers = rest[0]
    found.stored = dict(_stored(lines, settings=found))
    return found


def _stored(lines: Sequence[_Line], *, settings: _Global) -> Iterator[tuple[str, tuple[str, str | None]]]:
    crt_base = key_base = settings.crt_base
    store = ""
    for line in lines:
        if line.section != "crt-store":
            continue
        if line.name != store:
            store, crt_base, key_base = line.name, settings.crt_base, settings.crt_base
        options = _after(line.words[1:])
        if line.words[0] == "crt-base" and line.words[1:]:
            crt_base = absolute(line.words[1], under=settings.crt_base)
        elif line.words[0] == "key-base" and line.words[1:]:
            key_base = absolute(line.words[1], under=settings.crt_base)
        elif line.words[0] == "load" and "crt" in options:
            key = absolute(options["key"], under=key_base) if "key" in options else None
            pair = absolute(options["crt"], under=crt_base), key
            yield f"@{store}/{options.get('alias', options['crt'])}", pair


def _after(words: Sequence[str]) -> dict[str, str]:
    """Return each word with the one after it; the last of two wins."""
    return dict(pairwise(words))


async def _uses(line: _Line, *, reader: Reader, settings: _Global, start: str) -> AsyncIterator[Use]:
    options = _after(line.words[2:])
    listeners = tuple(_listeners(line.words[1]))
    if not listeners:
        return
    verify = options.get("verify")
    presented = [one async for one in _presented(line, reader=reader, settings=settings, start=start)]
    for number, one in enumerate(presented):
        yield Use(
            product="haproxy",
            file=start,
            line=line.number,
            listeners=listeners,
            server_names=one.names,
            certificate=one.path,
            key=one.key or await _key_of(one.path, reader=reader),
            trusted_ca=absolute(options["ca-file"], under=settings.ca_base) if "ca-file" in options else None,
            client_verification=verify if verify in ("required", "optional") else None,
            protocols=_protocols((*settings.options, *line.words[2:], *one.options)),
            ciphers=options.get("ciphers", settings.ciphers),
            is_default=number == 0,
            is_by_certificate=not one.names,
        )


async def _key_of(path: str, *, reader: Reader) -> str:
    # The key is in the same file, or else in one beside it (§3.1, ssl-load-extra-files).
    for beside in (f"{path}.key", f"{posixpath.splitext(path)[0]}.key"):
        if beside != path and await reader.matching(_literal(beside)):
            return beside
    return path


def _literal(path: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", path)


def _listeners(text: str) -> Iterator[Listener]:
    for part in text.split(","):
        family, _, rest = part.rpartition("@")
        if family not in ("", "ipv4", "ipv6", "tcp", "tcp4", "tcp6") or rest.startswith("/"):
            continue
        host, _, ports = rest.rpartition(":")
        first, _, last = ports.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            for port in range(int(first), min(int(last or first), int(first) + _MOST_PORTS) + 1):
                socket = host_and_port(f"{_bracketed(host)}:{port}")
                if socket:
                    yield Listener(address=socket[0], port=socket[1])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _protocols(words: Sequence[str]) -> tuple[str, ...]:
    """Return the versions as HAProxy writes them: bounds as `ssl-min-ver TLSv1.2`, and what is switched off."""
    bounds = {
        word: f"{word} {after}" for word, after in pairwise(words) if word in ("ssl-min-ver", "ssl-max-ver")
    }
    off = [word for word in words if re.fullmatch(r"(no|force)-(sslv3|tlsv1[0-3])", word)]
    return (*bounds.values(), *dict.fromkeys(off))


async def _presented(
    line: _Line, *, reader: Reader, settings: _Global, start: str
) -> AsyncIterator[_Presented]:
    words = line.words[2:]
    for option, value in pairwise(words):
        if option not in ("crt", "crt-list"):
            continue
        if "$" in value:
            reader.gap(
                start, f"Line {line.number} names a certificate by a variable.", next_step=_SEE_ON_THE_WIRE
            )
        elif option == "crt":
            async for one in _certificates(value, reader=reader, settings=settings):
                yield one
        else:
            async for one in _listed(
                absolute(value, under=posixpath.dirname(start)), reader=reader, settings=settings
            ):
                yield one


async def _certificates(value: str, *, reader: Reader, settings: _Global) -> AsyncIterator[_Presented]:
    if value.startswith("@"):
        path, key = settings.stored.get(value, (None, None))
        if path is None:
            reader.gap(value, "No crt-store has it.", next_step="Check the bind line that names it.")
        else:
            yield _Presented(path=path, key=key)
        return
    path = absolute(value, under=settings.crt_base)
    if not await reader.is_folder(path):
        yield _Presented(path=path)
        return
    for inner in await reader.matching(f"{_literal(path)}/*"):
        name = posixpath.basename(inner)
        if not name.startswith(".") and not name.endswith(_NOT_A_CERTIFICATE):
            yield _Presented(path=inner)


async def _listed(path: str, *, reader: Reader, settings: _Global) -> AsyncIterator[_Presented]:
    """Read a crt-list: `file [options] name !name` on each line."""
    for raw in (await reader.text(path) or "").splitlines():
        found = re.match(r"\s*(?P<file>[^\s#\[]+)\s*(?:\[(?P<options>[^\]]*)\])?(?P<names>[^#]*)", raw)
        if not found:
            continue
        names = tuple(name.lower() for name in found["names"].split() if not name.startswith("!"))
        options = tuple((found["options"] or "").split())
        async for one in _certificates(found["file"], reader=reader, settings=settings):
            yield _Presented(path=one.path, key=one.key, names=names, options=options)
