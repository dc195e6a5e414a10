"""Apache httpd: which virtual host presents which certificate, where, and to which names.

Rules from https://httpd.apache.org/docs/2.4/ (configuring.html, mod/core.html, mod/mod_ssl.html, mod/mod_md.html).
"""

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.discovery.configuration.files import LONGEST_VALUE, Files
from services.discovery.configuration.reader import Reader, absolute, host_and_port, listened
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/usr/local/apache2/conf/httpd.conf")
_BUILT_IN = {"core", "so", "http", "unixd", "log_config", "watchdog", "version"}
"""Modules that distributions link in, so that no LoadModule names them."""
_KEPT_APART = 3
"""So many certificates of a virtual host replace those of the server; mod_ssl appends any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Directive:
    name: str
    """Lower case, as Apache does not tell cases apart."""
    arguments: tuple[str, ...]
    file: str
    line: int


@dataclass(kw_only=True)
class _Host:
    """The server itself, or a virtual host: what it sets."""

    opened: _Directive | None = None
    values: dict[str, list[_Directive]] = field(default_factory=dict)

    def all(self, name: str) -> list[_Directive]:
        return self.values.get(name, [])

    def last(self, name: str) -> tuple[str, ...]:
        found = self.all(name)
        return found[-1].arguments if found else ()


@dataclass(kw_only=True)
class _Server:
    """A configuration as far as it was read."""

    reader: Reader
    root: str
    main: _Host = field(default_factory=_Host)
    hosts: list[_Host] = field(default_factory=list)
    modules: set[str] = field(default_factory=lambda: set(_BUILT_IN))
    defined: dict[str, str] = field(default_factory=dict)
    open_sections: list[tuple[str, bool]] = field(default_factory=list)
    """Each with whether what is in it counts."""
    current: _Host | None = None


async def read(files: Files, start: str) -> Reading:
    """Read Apache's configuration from its main file on."""
    reader = Reader(files)
    server = _Server(reader=reader, root=posixpath.dirname(start))
    await _file(server, start, within=())
    encrypted = [host for host in server.hosts if _speaks_tls(host, server=server)]
    first = _first_of_each_address(server)
    uses = [use for host in encrypted for use in _uses(host, server=server, first=first)]
    if not server.hosts and _speaks_tls(server.main, server=server):
        uses = list(_uses(server.main, server=server, first={}))
    return reader.reading(uses)


async def _file(server: _Server, path: str, *, within: tuple[str, ...]) -> None:
    for directive in _directives(await server.reader.text(path, within=within) or "", file=path):
        await _take(server, directive, within=(*within, path))


def _directives(text: str, *, file: str) -> Iterator[_Directive]:
    whole, began = "", 1
    for number, raw in enumerate(text.splitlines(), start=1):
        began = began if whole else number
        if raw.endswith("\\"):
            whole += raw[:-1]
            continue
        line, whole = (whole + raw).strip(), ""
        if line and not line.startswith("#"):
            section = re.fullmatch(r"<(/?[A-Za-z]\w*)\s*(.*?)>?", line, re.DOTALL)
            name, rest = (f"<{section[1]}", section[2]) if section else [*line.split(None, 1), ""][:2]
            yield _Directive(name=name.lower(), arguments=_words(rest), file=file, line=began)


def _words(text: str) -> tuple[str, ...]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return tuple(lexer)
    except ValueError:  # quotes that do not end
        return tuple(text.split())


async def _take(server: _Server, directive: _Directive, *, within: tuple[str, ...]) -> None:
    if directive.name.startswith("<"):
        await _section(server, directive)
        return
    if not all(counts for _, counts in server.open_sections):
        return
    directive = _expanded(directive, server=server)
    words = directive.arguments
    if directive.name in ("include", "includeoptional") and words:
        await _include(server, directive, within=within)
    elif directive.name == "loadmodule" and words:
        server.modules.add(words[0].removesuffix("_module"))
    elif directive.name == "define" and words:
        value = words[1] if len(words) > 1 else ""
        server.defined[words[0]] = value if len(value) <= LONGEST_VALUE else f"${{{words[0]}}}"
    elif directive.name == "undefine" and words:
        server.defined.pop(words[0], None)
    elif directive.name == "serverroot" and words:
        server.root = words[0]
    elif directive.name == "use" and words:
        where = f"The macro {words[0]} on line {directive.line} is not followed."
        server.reader.gap(
            directive.file, where, next_step="See by a network scan which certificates are served."
        )
    else:
        host = server.current or server.main
        host.values.setdefault(directive.name, []).append(directive)


def _expanded(directive: _Directive, *, server: _Server) -> _Directive:
    def replaced(word: str) -> str:
        if len(word) > LONGEST_VALUE:
            return word
        return re.sub(r"\$\{(\w+)\}", lambda found: server.defined.get(found[1], found[0]), word)

    words = tuple(map(replaced, directive.arguments))
    return _Directive(name=directive.name, arguments=words, file=directive.file, line=directive.line)


async def _section(server: _Server, directive: _Directive) -> None:
    name = directive.name.removeprefix("<")
    if not name.startswith("/"):
        counts = all(counts for _, counts in server.open_sections)
        server.open_sections.append((name, await _counts(server, directive, name=name)))
        if name == "virtualhost" and counts:
            server.current = _Host(opened=_expanded(directive, server=server))
            server.hosts.append(server.current)
        return
    while server.open_sections:
        closed, _ = server.open_sections.pop()
        if closed == "virtualhost":
            server.current = None
        if closed == name.removeprefix("/"):
            break


async def _counts(server: _Server, directive: _Directive, *, name: str) -> bool:
    """Return whether what stands in this section holds for the server or virtual host around it."""
    said = directive.arguments[0] if directive.arguments else ""
    plain, wanted = said.removeprefix("!"), not said.startswith("!")
    if name == "ifmodule":
        module = re.sub(r"^mod_|\.c$|_module$", "", plain)
        return (module in server.modules) is wanted
    if name == "ifdefine":
        return (plain in server.defined) is wanted
    if name == "iffile":
        return bool(await server.reader.matching(absolute(plain, under=server.root))) is wanted
    # What is said of a folder, a location or a macro is not said of the whole host.
    return name in ("virtualhost", "ifversion")


async def _include(server: _Server, directive: _Directive, *, within: tuple[str, ...]) -> None:
    path = absolute(directive.arguments[0], under=server.root)
    if await server.reader.is_folder(path):
        path = f"{path}/*"
    if re.search(r"[*?\[]", path):
        paths: Sequence[str] = await server.reader.matching(path)
    else:
        is_there = directive.name == "include" or await server.reader.matching(path)
        paths = [path] if is_there else []
    for one in paths:
        if not await server.reader.is_folder(one):
            await _file(server, one, within=within)


def _speaks_tls(host: _Host, *, server: _Server) -> bool:
    said = host.last("sslengine") or server.main.last("sslengine")
    return bool(said) and said[0].lower() in ("on", "optional")


def _uses(host: _Host, *, server: _Server, first: Mapping[str, _Host]) -> Iterator[Use]:
    opened = host.opened
    engine = host.all("sslengine")
    names = tuple(_names(host))
    certificates = _paths(host, "sslcertificatefile", server=server)
    keys = _paths(host, "sslcertificatekeyfile", server=server)
    managed = _managed(names, server=server) if not certificates else None
    pairs = [(path, keys[i] if i < len(keys) else path) for i, path in enumerate(certificates)]
    for certificate, key in pairs or ([managed] if managed else []):
        yield Use(
            product="apache",
            file=(opened or engine[-1]).file,
            line=(opened or engine[-1]).line,
            listeners=tuple(_listeners(host, server=server)),
            server_names=names if opened else (),
            certificate=certificate,
            key=key,
            chain=_inherited_path(host, "sslcertificatechainfile", server=server),
            trusted_ca=_inherited_path(host, "sslcacertificatefile", server=server),
            client_verification=_verification(
                host.last("sslverifyclient") or server.main.last("sslverifyclient")
            ),
            protocols=host.last("sslprotocol") or server.main.last("sslprotocol"),
            ciphers=_ciphers(host) or _ciphers(server.main),
            is_default=opened is None or any(first[text] is host for text in opened.arguments),
        )


def _names(host: _Host) -> Iterator[str]:
    for directive in (*host.all("servername")[-1:], *host.all("serveralias")):
        words = directive.arguments[:1] if directive.name == "servername" else directive.arguments
        for word in words:
            name = re.sub(r"^https?://", "", word.lower())
            yield re.sub(r":\d+$", "", name)


def _paths(host: _Host, name: str, *, server: _Server) -> list[str]:
    own = [path for one in host.all(name) if (path := _path(one, server=server))]
    if host is server.main:
        return own
    outer = [path for one in server.main.all(name) if (path := _path(one, server=server))]
    first = own[:_KEPT_APART]
    return [*first, *outer[len(first) :], *own[_KEPT_APART:]]


def _path(directive: _Directive, *, server: _Server) -> str | None:
    text = directive.arguments[0] if directive.arguments else ""
    if not text:
        return None
    if "${" in text or text.startswith("pkcs11:"):
        kind = "by a variable" if "${" in text else "in a PKCS #11 token"
        server.reader.gap(
            directive.file,
            f"Line {directive.line} names a certificate or key {kind}.",
            next_step="See by a network scan which certificates are served.",
        )
        return None
    return absolute(text, under=server.root)


def _inherited_path(host: _Host, name: str, *, server: _Server) -> str | None:
    said = host.all(name) or server.main.all(name)
    return _path(said[-1], server=server) if said else None


def _managed(names: tuple[str, ...], *, server: _Server) -> tuple[str, str] | None:
    """Return the files of mod_md where it manages one of the names."""
    for directive in server.main.all("mdomain"):
        domains = [word.lower() for word in directive.arguments]
        if set(domains) & set(names):
            store = absolute((server.main.last("mdstoredir") or ("md",))[0], under=server.root)
            folder = f"{store}/domains/{domains[0]}"
            return f"{folder}/pubcert.pem", f"{folder}/privkey.pem"
    return None


def _listens(server: _Server) -> list[tuple[str | None, int]]:
    said = (host_and_port(one.arguments[0]) for one in server.main.all("listen") if one.arguments)
    return [socket for socket in said if socket]


def _listeners(host: _Host, *, server: _Server) -> Iterator[Listener]:
    listens = _listens(server)
    if host.opened is None:
        yield from (Listener(address=address, port=port) for address, port in listens)
        return
    for text in host.opened.arguments:
        socket = _address_of(text)
        if socket is None:  # no port: all that the server listens on
            address = None if text == "_default_" else listened(text)
            yield from (Listener(address=address or on, port=port) for on, port in listens)
            continue
        address, port = socket
        on_port = [on for on, listened in listens if listened == port]
        yield from (Listener(address=address or on, port=port) for on in on_port or [None])


def _address_of(text: str) -> tuple[str | None, int] | None:
    return host_and_port(text.replace("_default_", "*"))


def _first_of_each_address(server: _Server) -> dict[str, _Host]:
    """Return for each address, as it is written, the host that answers there where no name fits: the first."""
    first: dict[str, _Host] = {}
    for host in server.hosts:
        for text in host.opened.arguments if host.opened else ():
            first.setdefault(text, host)
    return first


def _verification(said: tuple[str, ...]) -> str | None:
    level = said[0].lower() if said else "none"
    if level == "none":
        return None
    return "required" if level == "require" else "optional"


def _ciphers(host: _Host) -> str | None:
    """Return the cipher list for TLS 1.2 and older."""
    lists = [one.arguments for one in host.all("sslciphersuite") if one.arguments[:1] != ("TLSv1.3",)]
    return lists[-1][-1] if lists and lists[-1] else None
