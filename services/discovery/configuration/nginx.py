"""nginx: which `server` block presents which certificate, where, and to which names.

Rules from https://nginx.org/en/docs/http/ngx_http_ssl_module.html, …/ngx_http_core_module.html (listen,
server_name), …/mail/ngx_mail_ssl_module.html and …/stream/ngx_stream_ssl_module.html.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, absolute, host_and_port
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf")
_PART = re.compile(
    r"""\s+ | \#[^\n]* | (?P<mark>[{};]) | "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?:\$\{[^}\s]*\}|\\.|[^\s{};\\])+) | .""",
    re.VERBOSE | re.DOTALL,
)
_MAIL_PORTS = {25: "smtp", 587: "smtp", 110: "pop3", 143: "imap"}


@dataclass(kw_only=True, slots=True)
class _Directive:
    """One directive; `block` holds what stands between its braces."""

    name: str
    arguments: list[str]
    file: str
    line: int
    block: list["_Directive"] = field(default_factory=list)


def _parts(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield words and marks, whether it is a mark, and its line."""
    line, counted = 1, 0
    for found in _PART.finditer(text):
        line, counted = line + text.count("\n", counted, found.start()), found.start()
        if found["mark"]:
            yield found["mark"], True, line
            continue
        word = next((found[kind] for kind in ("word", "double", "single") if found[kind] is not None), None)
        if word is not None:
            yield re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL), False, line


def _parsed(text: str, *, file: str) -> list[_Directive]:
    top: list[_Directive] = []
    open_blocks = [top]
    words: list[str] = []
    began = 1
    for part, is_mark, line in _parts(text):
        if not is_mark:
            began = began if words else line
            words.append(part)
            continue
        if words and part != "}":
            made = _Directive(name=words[0], arguments=words[1:], file=file, line=began)
            open_blocks[-1].append(made)
            if part == "{":
                open_blocks.append(made.block)
        elif part == "}" and len(open_blocks) > 1:
            open_blocks.pop()
        words = []
    return top


class _Includes:
    """Puts in place of each `include` what it names."""

    def __init__(self, reader: Reader, *, folder: str) -> None:
        self._reader = reader
        self._folder = folder

    async def file(self, path: str, *, within: tuple[str, ...] = ()) -> list[_Directive]:
        text = await self._reader.text(path, within=within)
        return [] if text is None else await self._spread(_parsed(text, file=path), within=(*within, path))

    async def _spread(self, found: list[_Directive], *, within: tuple[str, ...]) -> list[_Directive]:
        # A stack of its own: braces may be nested deeper than Python calls.
        spread: list[_Directive] = []
        waiting = [(found, spread)]
        while waiting:
            source, target = waiting.pop()
            for directive in source:
                if directive.name == "include" and directive.arguments:
                    target.extend(await self._included(directive.arguments[0], within=within))
                    continue
                inner: list[_Directive] = []
                waiting.append((directive.block, inner))
                directive.block = inner
                target.append(directive)
        return spread

    async def _included(self, pattern: str, *, within: tuple[str, ...]) -> list[_Directive]:
        path = absolute(pattern, under=self._folder)
        # A plain name must exist, a pattern may fit nothing.
        paths = await self._reader.matching(path) if re.search(r"[*?\[]", path) else [path]
        return [directive for one in paths for directive in await self.file(one, within=within)]


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a level has set: each name with the last it was set to on the innermost level that sets it."""

    values: dict[str, list[_Directive]] = field(default_factory=dict)

    def within(self, block: Sequence[_Directive]) -> "_Settings":
        mine: dict[str, list[_Directive]] = {}
        for directive in block:
            mine.setdefault(directive.name, []).append(directive)
        return _Settings(values={**self.values, **mine})

    def first(self, name: str) -> str | None:
        found = self.values.get(name, [])
        return found[-1].arguments[0] if found and found[-1].arguments else None

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(word for directive in self.values.get(name, []) for word in directive.arguments)


@dataclass(frozen=True, kw_only=True)
class _Server:
    """A `server` block with what it inherits."""

    family: str
    """http, mail or stream."""
    directive: _Directive
    settings: _Settings

    @property
    def listens(self) -> tuple[_Directive, ...]:
        own = [directive for directive in self.directive.block if directive.name == "listen"]
        if not own and self.family == "http":
            return (replace(self.directive, name="listen", arguments=["80"], block=[]),)
        return tuple(own)


async def read(files: Files, start: str) -> Reading:
    """Read nginx's configuration from its main file on."""
    reader = Reader(files)
    folder = posixpath.dirname(start)
    top = await _Includes(reader, folder=folder).file(start)
    servers = list(_servers(top))
    encrypted, defaults = _encrypted(servers), _defaults(servers)
    uses = [
        use
        for server in servers
        for use in _uses(server, reader=reader, folder=folder, encrypted=encrypted, defaults=defaults)
    ]
    return reader.reading(uses)


def _servers(top: list[_Directive]) -> Iterator[_Server]:
    outer = _Settings().within(top)
    for family in top:
        if family.name not in ("http", "mail", "stream"):
            continue
        inherited = outer.within(family.block)
        for directive in family.block:
            if directive.name == "server":
                settings = inherited.within(directive.block)
                yield _Server(family=family.name, directive=directive, settings=settings)


def _socket(listen: _Directive) -> tuple[str | None, int] | None:
    """Return the address and port; None for unix sockets and what is not TCP."""
    if not listen.arguments or {"udp", "quic"} & set(listen.arguments[1:]):
        return None
    text = listen.arguments[0]
    return host_and_port(text) or host_and_port(f"{text}:80")


def _encrypted(servers: Sequence[_Server]) -> set[tuple[str | None, int]]:
    """Return the sockets that speak TLS: `ssl` on one listen holds for every server of that socket."""
    return {
        socket
        for server in servers
        for listen in server.listens
        if "ssl" in listen.arguments[1:] or server.settings.first("ssl") == "on"
        if (socket := _socket(listen))
    }


def _defaults(servers: Sequence[_Server]) -> dict[tuple[str | None, int], int]:
    """Return for each socket the server (by its identity) that answers where no name fits."""
    first: dict[tuple[str | None, int], int] = {}
    said: dict[tuple[str | None, int], int] = {}
    for server in servers:
        for listen in server.listens:
            socket = _socket(listen)
            if socket:
                first.setdefault(socket, id(server.directive))
                if {"default_server", "default"} & set(listen.arguments[1:]):
                    said[socket] = id(server.directive)
    return first | said


def _uses(
    server: _Server,
    *,
    reader: Reader,
    folder: str,
    encrypted: set[tuple[str | None, int]],
    defaults: dict[tuple[str | None, int], int],
) -> Iterator[Use]:
    sockets = [socket for listen in server.listens if (socket := _socket(listen))]
    before = _starttls(server)
    mine = list(dict.fromkeys(socket for socket in sockets if socket in encrypted or before))
    certificates = server.settings.values.get("ssl_certificate", [])
    keys = server.settings.all("ssl_certificate_key")
    if not mine:
        return
    for number, directive in enumerate(certificates):
        certificate = _path(directive.arguments[:1], reader=reader, folder=folder, said_in=directive)
        if certificate is None:
            continue
        yield Use(
            product="nginx",
            file=server.directive.file,
            line=server.directive.line,
            listeners=tuple(_listener(socket, server=server, encrypted=encrypted) for socket in mine),
            server_names=tuple(_names(server.settings)) if server.family != "mail" else (),
            certificate=certificate,
            key=_path(list(keys[number : number + 1]), reader=reader, folder=folder, said_in=directive),
            trusted_ca=_optional(server.settings.first("ssl_client_certificate"), folder=folder),
            client_verification=_verification(server.settings.first("ssl_verify_client")),
            protocols=server.settings.all("ssl_protocols"),
            ciphers=server.settings.first("ssl_ciphers"),
            is_default=any(defaults.get(socket) == id(server.directive) for socket in mine),
        )


def _listener(
    socket: tuple[str | None, int], *, server: _Server, encrypted: set[tuple[str | None, int]]
) -> Listener:
    starttls = None
    if socket not in encrypted and _starttls(server):
        starttls = server.settings.first("protocol") or _MAIL_PORTS.get(socket[1])
    return Listener(address=socket[0], port=socket[1], starttls=starttls)


def _starttls(server: _Server) -> bool:
    return server.family == "mail" and server.settings.first("starttls") in ("on", "only")


def _names(settings: _Settings) -> Iterator[str]:
    for name in settings.all("server_name"):
        lower = name.lower()
        if lower.startswith("."):  # ".example.org" stands for both
            yield from (lower[1:], f"*{lower}")
        elif lower not in ("", "_"):
            yield lower


def _path(arguments: list[str], *, reader: Reader, folder: str, said_in: _Directive) -> str | None:
    if not arguments:
        return None
    text = arguments[0]
    if "$" in text or text.startswith(("data:", "engine:", "store:")):
        kind = "by a variable" if "$" in text else f"as {text.split(':')[0]}:"
        reader.gap(
            said_in.file,
            f"Line {said_in.line} names a certificate or key {kind}.",
            next_step="See by a network scan which certificates are served.",
        )
        return None
    return absolute(text, under=folder)


def _optional(path: str | None, *, folder: str) -> str | None:
    return absolute(path, under=folder) if path and "$" not in path else None


def _verification(said: str | None) -> str | None:
    if said in (None, "off"):
        return None
    return "required" if said == "on" else "optional"
