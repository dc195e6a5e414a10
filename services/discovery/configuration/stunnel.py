"""stunnel: which service presents which certificate, and for which names.

Rules from https://www.stunnel.org/static/stunnel.html.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, host_and_port
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/stunnel/*.conf",)
_LINE = re.compile(r"\s*(?P<name>[A-Za-z0-9]+)\s*=\s*(?P<value>.*?)\s*")
_SECTION = re.compile(r"\s*\[(?P<name>[^\]]*)\]\s*")
_STARTTLS = {"smtp": "smtp", "imap": "imap", "pop3": "pop3", "pgsql": "postgres"}
"""The protocols that it speaks as a server before TLS, in the words of `domain.targets`."""
_TLS_AT_ONCE = {"", "proxy", "socks"}
"""Nothing is said before TLS: what these add is said to the server behind, or within TLS."""
_DEMANDING = ("requirecert", "verifychain", "verifypeer")
_VERSIONS = ("sslversion", "sslversionmin", "sslversionmax")


@dataclass(kw_only=True)
class _Service:
    """A section, with what stands before the first of all sections as its defaults."""

    name: str
    file: str
    line: int
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_server(self) -> bool:
        return not _is_on(self.options, "client")


async def read(files: Files, start: str) -> Reading:
    """Read a file and the folders that it includes."""
    reader = Reader(files)
    parts = _Parts(reader)
    await parts.take(start, within=())
    return reader.reading([use for service in parts.services for use in parts.uses(service)])


class _Parts:
    """The services of a configuration, in the order in which its files are read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._defaults: dict[str, str] = {}
        self.services: list[_Service] = []

    async def take(self, path: str, *, within: tuple[str, ...]) -> None:
        """Read a file; an include ends no section, as stunnel reads on where it stands."""
        text = await self._reader.text(path, within=within) or ""
        for number, line in enumerate(text.splitlines(), start=1):
            section = _SECTION.fullmatch(line)
            if section:
                options = dict(self._defaults)
                self.services.append(_Service(name=section["name"], file=path, line=number, options=options))
                continue
            found = _LINE.fullmatch(line)  # which no comment is: they begin with a semicolon
            if found and found["name"].lower() == "include":
                for one in await self._reader.matching(f"{found['value'].rstrip('/')}/*"):
                    await self.take(one, within=(*within, path))
            elif found:
                options = self.services[-1].options if self.services else self._defaults
                options[found["name"].lower()] = found["value"]

    def uses(self, service: _Service) -> Iterator[Use]:
        """Yield what a service presents, if it is one that presents anything."""
        options = service.options
        certificate = options.get("cert", "")
        listeners, names = self._where(service)
        if not certificate or not service.is_server or not listeners:
            return
        if not certificate.startswith("/"):
            self._reader.gap(
                service.file,
                f"[{service.name}] names its certificate as {certificate[:200]!r}, which is no absolute path.",
                next_step="Write an absolute path; what a token or the working directory holds cannot be read.",
            )
            return
        yield Use(
            product="stunnel",
            file=service.file,
            line=service.line,
            listeners=listeners,
            server_names=names,
            certificate=certificate,
            key=options.get("key") or certificate,
            trusted_ca=options.get("cafile") or options.get("capath"),
            client_verification=_verification(options),
            protocols=tuple(f"{name} {options[name]}" for name in _VERSIONS if name in options),
            ciphers=options.get("ciphers"),
            is_default=not names,
        )

    def _where(self, service: _Service) -> tuple[tuple[Listener, ...], tuple[str, ...]]:
        """Return where a service listens; one with `sni = OTHER:NAME` does so where that other one does."""
        other, _, name = service.options.get("sni", "").partition(":")
        if not name:
            return tuple(_listeners(service.options)), ()
        hosts = [one for one in self.services if one.name == other and one.is_server]
        return tuple(at for host in hosts[:1] for at in _listeners(host.options)), (name.lower(),)


def _listeners(options: Mapping[str, str]) -> Iterator[Listener]:
    # `:::443` is how every address of IPv6 is written here.
    found = host_and_port(re.sub(r"^::(?=:[0-9]+$)", "[::]", options.get("accept", "")))
    protocol = options.get("protocol", "").lower()
    if found is not None and protocol in _TLS_AT_ONCE | _STARTTLS.keys():
        address, port = found
        yield Listener(address=address, port=port, starttls=_STARTTLS.get(protocol))


def _verification(options: Mapping[str, str]) -> str | None:
    level = options.get("verify", "")  # the old way of saying it
    if level in ("2", "3", "4") or any(_is_on(options, name) for name in _DEMANDING):
        return "required"
    return "optional" if level in ("0", "1") or _is_on(options, "requestcert") else None


def _is_on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "no").lower() == "yes"
