"""Dovecot 2.3 and 2.4: which certificate each listener presents, and to which names.

Rules from https://doc.dovecot.org/ (SSL configuration, service listeners): `ssl_cert = </path` until 2.3,
`ssl_server_cert_file = /path` from 2.4 on.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader, absolute, listened, port_number
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/dovecot/dovecot.conf", "/usr/local/etc/dovecot/dovecot.conf")
_USUAL = {
    "imap": (("imap-login", "imap", 143, False), ("imap-login", "imaps", 993, True)),
    "pop3": (("pop3-login", "pop3", 110, False), ("pop3-login", "pop3s", 995, True)),
    "submission": (
        ("submission-login", "submission", 587, False),
        ("submission-login", "submissions", 465, True),
    ),
    "sieve": (("managesieve-login", "sieve", 4190, False),),
    "lmtp": (),
}
_SPOKEN = {
    "imap-login": "imap",
    "pop3-login": "pop3",
    "submission-login": "smtp",
    "managesieve-login": "sieve",
    "lmtp": "lmtp",
}
_PROTOCOL_OF = {"managesieve-login": "sieve", "lmtp": "lmtp"}


@dataclass(kw_only=True, slots=True)
class _Block:
    """A block: what kind it is, its name, the settings in it, and the blocks in it."""

    kind: str = ""
    name: str = ""
    values: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    blocks: list["_Block"] = field(default_factory=list)

    def value(self, *names: str) -> str | None:
        return next((self.values[name][0] for name in names if name in self.values), None)

    def of(self, kind: str) -> Iterator["_Block"]:
        return (block for block in self.blocks if block.kind == kind)


async def read(files: Files, start: str) -> Reading:
    """Read the configuration from its main file on."""
    reader = Reader(files)
    top = _Block()
    await _file(reader, start, open_blocks=[top], within=())
    return reader.reading(list(_uses(top)))


async def _file(reader: Reader, path: str, *, open_blocks: list[_Block], within: tuple[str, ...]) -> None:
    for number, raw in enumerate((await reader.text(path, within=within) or "").splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        included = re.match(r"!(include|include_try)\s+(\S+)", line)
        if included:
            target = absolute(included[2], under=posixpath.dirname(path))
            is_plain = included[1] == "include" and not re.search(r"[*?\[]", target)
            for one in [target] if is_plain else await reader.matching(target):
                await _file(reader, one, open_blocks=open_blocks, within=(*within, path))
        else:
            _take(line, open_blocks, said_at=(path, number))


def _take(line: str, open_blocks: list[_Block], *, said_at: tuple[str, int]) -> None:
    opened = re.fullmatch(r"(?P<kind>\w+)(?:\s+\"?(?P<name>[^\s{\"]+)\"?)?\s*\{", line)
    setting = re.fullmatch(r"(?P<name>[\w/.-]+)\s*=\s*(?P<value>.*)", line)
    if opened:
        block = _Block(kind=opened["kind"], name=opened["name"] or "")
        open_blocks[-1].blocks.append(block)
        open_blocks.append(block)
    elif line == "}" and len(open_blocks) > 1:
        open_blocks.pop()
    elif setting:
        open_blocks[-1].values[setting["name"]] = (setting["value"].strip().strip("\"'"), *said_at)


def _uses(top: _Block) -> Iterator[Use]:
    if top.value("ssl") == "no":
        return
    listeners = tuple(dict.fromkeys(_listeners(top)))
    for block in (top, *top.of("local_name")):
        use = _use(block, top=top, listeners=listeners)
        if use and listeners:
            yield use


def _use(block: _Block, *, top: _Block, listeners: tuple[Listener, ...]) -> Use | None:
    name = next((one for one in ("ssl_server_cert_file", "ssl_cert") if one in block.values), None)
    certificate = _path(block.value("ssl_server_cert_file", "ssl_cert"))
    if name is None or certificate is None:
        return None
    _, file, line = block.values[name]
    both = [block, top]
    verifies = _first(both, "ssl_server_request_client_cert", "ssl_verify_client_cert") == "yes"
    requires = _first(both, "auth_ssl_require_client_cert") == "yes"
    least = _first(both, "ssl_min_protocol")
    return Use(
        product="dovecot",
        file=file,
        line=line,
        listeners=listeners,
        server_names=tuple(block.name.lower().split()) if block.kind else (),
        certificate=certificate,
        key=_path(_first(both, "ssl_server_key_file", "ssl_key")),
        trusted_ca=_path(_first(both, "ssl_server_ca_file", "ssl_ca")),
        client_verification=("required" if requires else "optional") if verifies else None,
        protocols=(f"ssl_min_protocol {least}",) if least else (),
        ciphers=_first(both, "ssl_cipher_list"),
        is_default=not block.kind,
    )


def _first(blocks: list[_Block], *names: str) -> str | None:
    return next((value for block in blocks if (value := block.value(*names))), None)


def _path(text: str | None) -> str | None:
    """Return the file of `</path` or `/path`; None for a certificate written out."""
    path = text.removeprefix("<").strip() if text else ""
    return path if path.startswith("/") else None


def _listeners(top: _Block) -> Iterator[Listener]:
    protocols = (top.value("protocols") or "imap pop3 lmtp").split()
    said = {
        (service.name, listener.name): listener
        for service in top.of("service")
        for listener in service.of("inet_listener")
    }
    usual = {
        (service, name): (port, is_wrapped)
        for protocol in protocols
        for service, name, port, is_wrapped in _USUAL.get(protocol, ())
    }
    for service, name in {**usual, **said}:
        spoken = _SPOKEN.get(service)
        if spoken is None or _PROTOCOL_OF.get(service, service.removesuffix("-login")) not in protocols:
            continue
        port, is_wrapped = usual.get((service, name), (0, False))
        listener = said.get((service, name), _Block())
        # Port 0 switches a listener off.
        said_port = listener.value("port")
        number = port if said_port is None else port_number(said_port) or 0
        is_wrapped = listener.value("ssl") == "yes" if "ssl" in listener.values else is_wrapped
        addresses = listener.value("address", "listen") or top.value("listen") or "*"
        for address in dict.fromkeys(re.split(r"[\s,]+", addresses)) if number else ():
            starttls = None if is_wrapped else spoken
            yield Listener(address=listened(address), port=number, starttls=starttls)
