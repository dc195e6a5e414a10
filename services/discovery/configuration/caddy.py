"""Caddy: which site presents which certificate, whether it was given a file or obtains one by itself.

Rules from https://caddyserver.com/docs/caddyfile (concepts, options, directives/tls, directives/bind) and
/automatic-https; where certificates are stored, from CertMagic's FileStorage, which Caddy uses.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace

from services.discovery.configuration.caddyfile import Caddyfile, Line
from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, listened, port_number
from services.discovery.domain.holdings import Listener, Reading, Use
from services.discovery.domain.targets import is_address

STARTS = ("/etc/caddy/Caddyfile", "/usr/local/etc/caddy/Caddyfile")
STORAGE = "/var/lib/caddy/.local/share/caddy"
"""Where the packages' service, whose account has its home in /var/lib/caddy, keeps what it obtains."""
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]*)(?::(?P<port>[^\s/:]+))?(?:/.*)?"
)
_WITH_FILES = len(("tls", "CERTIFICATE", "KEY"))
_WITHOUT = ("off", "disable_certs")
_VERIFICATION = {
    "request": "optional",
    "verify_if_given": "optional",
    "require": "required",
    "require_and_verify": "required",
}


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What the global options say, as far as it matters here."""

    http_port: int = 80
    https_port: int = 443
    storage: str | None = STORAGE
    """None where certificates are not kept in files."""
    obtains: bool = True


@dataclass(frozen=True, kw_only=True)
class _Site:
    """One site at one port: the names that it serves there, and what its block says."""

    names: tuple[str, ...]
    port: int
    line: Line


async def read(files: Files, start: str) -> Reading:
    """Read a Caddyfile and what it imports."""
    reader = Reader(files)
    lines = await Caddyfile(reader).read(start)
    options = _options(lines[0]) if lines and not lines[0].words else _Options()
    server = _Server(reader, options=options)
    sites = [site for line in _site_lines(lines) for site in _sites(line, options=options)]
    return reader.reading([use for site in sites async for use in server.uses(site)])


def _site_lines(lines: Sequence[Line]) -> Sequence[Line]:
    """Return a line for each site; a file of one site may do without its braces."""
    named = [line for line in lines if line.words]
    if named and all(line.block is None for line in named[:1]):
        first = named[0]
        return [Line(words=first.words, file=first.file, number=first.number, block=named[1:])]
    return [line for line in named if line.block is not None]


def _options(line: Line) -> _Options:
    given = {option.words[0]: option for option in line.block or () if option.words}

    def port(name: str, default: int) -> int:
        words = given[name].words[1:2] if name in given else ()
        return port_number(words[0]) or default if words else default

    modes = given["auto_https"].words[1:] if "auto_https" in given else ()
    return _Options(
        http_port=port("http_port", 80),
        https_port=port("https_port", 443),
        storage=_storage(given["storage"]) if "storage" in given else STORAGE,
        obtains=not any(mode in _WITHOUT for mode in modes),
    )


def _storage(line: Line) -> str | None:
    if line.words[1:2] != ("file_system",):
        return None
    roots = [line.words[2:3], *(root.words[1:2] for root in line.inner("root"))]
    return next((words[0] for words in roots if words), STORAGE)


def _sites(line: Line, *, options: _Options) -> Iterator[_Site]:
    """Yield the site for each port at which its addresses speak TLS."""
    by_port: dict[int, list[str]] = {}
    for text in re.split(r"[,\s]+", " ".join(line.words)):
        found = _ADDRESS.fullmatch(text) if text else None
        if not found or found["scheme"] == "http":
            continue
        port = port_number(found["port"]) if found["port"] else options.https_port
        if port is not None and port != options.http_port:
            by_port.setdefault(port, []).append(found["host"].strip("[]").lower())
    for port, names in by_port.items():
        yield _Site(names=tuple(names), port=port, line=line)


class _Server:
    """One Caddy, with its options."""

    def __init__(self, reader: Reader, *, options: _Options) -> None:
        self._reader = reader
        self._options = options

    async def uses(self, site: _Site) -> AsyncIterator[Use]:
        """Yield what a site presents: the files that it is given, or else what Caddy obtains for its names."""
        directives = list(site.line.inner("tls"))
        tls = directives[0] if directives else None
        for directive in directives:
            async for certificate, key in self._given(directive):
                names = tuple(name for name in site.names if name and not is_address(name))
                use = self._use(site, directive, certificate=certificate, key=key, names=names)
                # Of those in a folder, Caddy chooses by the names in them.
                yield use if len(directive.words) == _WITH_FILES else replace(use, is_by_certificate=True)
        if any(map(_is_given, directives)) or not self._options.obtains:
            return
        if tls is not None and any(tls.inner("on_demand")):
            step = "See by a network scan what is served, or read the storage's folder as files."
            self._reader.gap(site.line.file, "Certificates are obtained on demand.", next_step=step)
        for name in site.names:
            obtained = await self._obtained(name, site)
            if obtained:
                names = () if is_address(name) else (name,)
                key = obtained.removesuffix(".crt") + ".key"
                yield self._use(site, tls, certificate=obtained, key=key, names=names)

    async def _given(self, tls: Line) -> AsyncIterator[tuple[str, str]]:
        """Yield the pairs of files that a `tls` line names, and those in the folders that it loads."""
        if len(tls.words) == _WITH_FILES:
            paths = (tls.words[1], tls.words[2])
            if all(self._is_plain(path, tls) for path in paths):
                yield paths
        for line in tls.inner("load"):
            for folder in line.words[1:]:
                if self._is_plain(folder, line):
                    for path in await self._reader.matching(f"{folder.rstrip('/')}/*.pem"):
                        yield path, path

    def _is_plain(self, path: str, line: Line) -> bool:
        if path.startswith("/") and "{" not in path:
            return True
        step = "Write an absolute path; what a placeholder or the working directory holds cannot be read."
        self._reader.gap(line.file, f"Line {line.number} names a file as {path[:200]!r}.", next_step=step)
        return False

    async def _obtained(self, name: str, site: _Site) -> str | None:
        """Return the path of the certificate that Caddy has obtained for a name."""
        if not name or "{" in name:
            return None
        if self._options.storage is None:
            step = "See by a network scan what is served."
            self._reader.gap(site.line.file, "Certificates are not stored in files.", next_step=step)
            return None
        stem = name.replace("*", "wildcard_").replace(":", "-")
        folder = f"{self._options.storage}/certificates"
        found = await self._reader.matching(f"{folder}/*/{stem}/{stem}.crt")
        if not found:
            # Where a login may not look into the storage, nothing tells that from an empty one.
            step = "Give the login the right to read the folder, or see whether Caddy could obtain it."
            self._reader.gap(folder, f"No certificate for {name} is seen there.", next_step=step)
        return found[0] if found else None

    def _use(
        self, site: _Site, tls: Line | None, *, certificate: str, key: str, names: tuple[str, ...]
    ) -> Use:
        client = next(tls.inner("client_auth"), None) if tls else None
        protocols = next(tls.inner("protocols"), None) if tls else None
        ciphers = next(tls.inner("ciphers"), None) if tls else None
        return Use(
            product="caddy",
            file=(tls or site.line).file,
            line=(tls or site.line).number,
            listeners=tuple(_listeners(site)),
            server_names=names,
            certificate=certificate,
            key=key,
            trusted_ca=_trusted(client),
            client_verification=_verification(client),
            protocols=protocols.words[1:] if protocols else (),
            ciphers=" ".join(ciphers.words[1:]) if ciphers else None,
            is_default=not names,
        )


def _is_given(tls: Line) -> bool:
    """Return whether it names files, so that nothing is obtained."""
    return len(tls.words) == _WITH_FILES or any(tls.inner("load"))


def _listeners(site: _Site) -> Iterator[Listener]:
    addresses = [word for line in site.line.inner("bind") for word in line.words[1:]]
    for address in addresses or [""]:
        yield Listener(address=listened(address.removeprefix("tcp/")), port=site.port)


def _trusted(client: Line | None) -> str | None:
    if client is None:
        return None
    lines = [*client.inner("trusted_ca_cert_file"), *client.inner("trust_pool")]
    words = [word for line in lines for word in line.words[1:]]
    words += [word for line in lines for inner in line.inner("pem_file") for word in inner.words[1:]]
    return next((word for word in words if word.startswith("/")), None)


def _verification(client: Line | None) -> str | None:
    if client is None:
        return None
    mode = next((line.words[1] for line in client.inner("mode") if len(line.words) > 1), None)
    # Without a mode it is the strictest that makes sense with what is trusted.
    return _VERIFICATION.get(mode or "require", "required")
