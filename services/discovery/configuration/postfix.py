"""Postfix: which certificate each SMTP service of master.cf presents.

Rules from postconf(5), master(5) and https://www.postfix.org/TLS_README.html. `smtpd_tls_chain_files` may name a key and
its certificates in one file or in two, the key first: which is which is told by the names of the files.
"""

import posixpath
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from services.discovery.configuration.files import LONGEST_VALUE, Files
from services.discovery.configuration.reader import Reader, absolute, host_and_port, listened
from services.discovery.domain.holdings import Listener, Reading, Use

STARTS = ("/etc/postfix/main.cf",)
_PORTS = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465}
_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>\w+)(?P<rest>[^{}]*)\}|\((?P<round>\w+)\))")
_MOST_PASSES = 20
_COLUMNS = 8
"""Of master.cf, the command with its arguments in the last."""
_KINDS = (("smtpd_tls_cert_file", "smtpd_tls_key_file"), ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"))


@dataclass(frozen=True, kw_only=True)
class _Service:
    """A line of master.cf, and the settings that it overrides."""

    name: str
    kind: str
    command: str
    line: int
    overrides: dict[str, str] = field(default_factory=dict)


async def read(files: Files, start: str) -> Reading:
    """Read main.cf, and master.cf beside it."""
    reader = Reader(files)
    main = dict(_settings(await reader.text(start) or ""))
    master = posixpath.join(posixpath.dirname(start), "master.cf")
    text = await reader.text(master)
    uses: list[Use] = []
    for service in _services(text or ""):
        if service.kind == "inet" and service.command == "smtpd":
            settings = {**main, **service.overrides}
            uses += _uses(service, settings, master=master)
            uses += [use async for use in _by_name(reader, service, settings, master=master)]
    return reader.reading(uses)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with those that continue them: such a line begins with white space."""
    whole, began = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0].isspace() and whole:
            whole += " " + raw.strip()
            continue
        if whole:
            yield began, whole
        whole, began = raw.strip(), number
    if whole:
        yield began, whole


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for _, line in _logical(text):
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip()


def _services(text: str) -> Iterator[_Service]:
    for number, line in _logical(text):
        words = line.split(None, _COLUMNS - 1)
        if len(words) == _COLUMNS:
            command, _, arguments = words[-1].partition(" ")
            pairs = re.findall(r"-o\s*(?:\{\s*([^}]*)\}|(\S+))", arguments)
            overrides = dict(_settings("\n".join((braced or bare).strip() for braced, bare in pairs)))
            yield _Service(name=words[0], kind=words[1], command=command, line=number, overrides=overrides)


def _value(settings: Mapping[str, str], name: str, default: str = "") -> str:
    """Return a setting with the settings that it names put in."""
    text = settings.get(name, default)
    for _ in range(_MOST_PASSES):
        if len(text) > LONGEST_VALUE:
            break
        replaced = _VARIABLE.sub(lambda found: _expanded(found, settings), text)
        if replaced == text:
            break
        text = replaced
    return text.strip()


def _expanded(found: re.Match[str], settings: Mapping[str, str]) -> str:
    name, rest = found["bare"] or found["braced"] or found["round"], found["rest"] or ""
    value = settings.get(name, "")
    if len(value) > LONGEST_VALUE:
        return found[0]
    if rest.startswith("?"):
        return rest[1:] if value else ""
    if rest.startswith(":"):
        return "" if value else rest[1:]
    return value


def _speaks_tls(settings: Mapping[str, str]) -> bool:
    level = _value(settings, "smtpd_tls_security_level")
    if level:
        return level in ("may", "encrypt")
    return "yes" in (_value(settings, "smtpd_use_tls"), _value(settings, "smtpd_enforce_tls")) or _is_wrapped(
        settings
    )


def _is_wrapped(settings: Mapping[str, str]) -> bool:
    return _value(settings, "smtpd_tls_wrappermode") == "yes"


def _uses(service: _Service, settings: Mapping[str, str], *, master: str) -> Iterator[Use]:
    for certificate, key in _pairs(settings) if _speaks_tls(settings) else ():
        yield _use(service, settings, certificate=certificate, key=key, master=master)


def _use(
    service: _Service,
    settings: Mapping[str, str],
    *,
    certificate: str,
    key: str,
    master: str,
    names: tuple[str, ...] = (),
) -> Use:
    folder = posixpath.dirname(master)
    trusted = _value(settings, "smtpd_tls_CAfile")
    asks = [name for name in ("req", "ask") if _value(settings, f"smtpd_tls_{name}_ccert") == "yes"]
    is_strict = _value(settings, "smtpd_tls_security_level") == "encrypt"
    words = re.split(r"[\s,]+", _value(settings, f"smtpd_tls_{'mandatory_' * is_strict}protocols"))
    return Use(
        product="postfix",
        file=master,
        line=service.line,
        listeners=tuple(_listeners(service, settings)),
        server_names=names,
        certificate=absolute(certificate, under=folder),
        key=absolute(key, under=folder),
        trusted_ca=absolute(trusted, under=folder) if trusted else None,
        client_verification={"req": "required", "ask": "optional"}[asks[0]] if asks else None,
        protocols=tuple(word for word in words if word),
        ciphers=_value(settings, f"smtpd_tls_{'mandatory_' * is_strict}ciphers") or None,
        is_default=not names,
    )


def _pairs(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return certificate and key of each kind; the list of chain files takes the place of all others."""
    files = [word for word in re.split(r"[\s,]+", _value(settings, "smtpd_tls_chain_files")) if word]
    if files:
        yield from _chained(files)
        return
    for certificate_name, key_name in _KINDS:
        certificate = _value(settings, certificate_name)
        if certificate and certificate != "none":
            yield certificate, _value(settings, key_name) or certificate


def _chained(files: list[str]) -> Iterator[tuple[str, str]]:
    key = None
    for file in files:
        if key is None and "key" in posixpath.basename(file).lower() and file != files[-1]:
            key = file
        else:
            yield file, key or file
            key = None


async def _by_name(
    reader: Reader, service: _Service, settings: Mapping[str, str], *, master: str
) -> AsyncIterator[Use]:
    """Yield what `tls_server_sni_maps` presents: `name key, certificates` on each line of its source file."""
    if not _speaks_tls(settings):
        return
    for table in re.split(r"[\s,]+", _value(settings, "tls_server_sni_maps")):
        kind, _, path = table.partition(":")
        if kind not in ("hash", "btree", "lmdb", "texthash", "cdb"):
            if table:
                reader.gap(table, "Tables of this type are not read.", next_step="See by a network scan.")
            continue
        for _, line in _logical(await reader.text(absolute(path, under=posixpath.dirname(master))) or ""):
            name, _, rest = line.partition(" ")
            chained = _chained([word for word in re.split(r"[\s,]+", rest) if word])
            for certificate, key in chained:
                sni = (f"*{name}" if name.startswith(".") else name).lower()
                yield _use(service, settings, certificate=certificate, key=key, master=master, names=(sni,))


def _listeners(service: _Service, settings: Mapping[str, str]) -> Iterator[Listener]:
    host, _, name = service.name.rpartition(":")
    socket = host_and_port(f"{host}:{_PORTS.get(name, name)}" if host else str(_PORTS.get(name, name)))
    if socket is None:
        return
    starttls = None if _is_wrapped(settings) else "smtp"
    addresses = (socket[0],) if host else tuple(_interfaces(_value(settings, "inet_interfaces", "all")))
    for address in addresses:
        yield Listener(address=address, port=socket[1], starttls=starttls)


def _interfaces(text: str) -> Iterator[str | None]:
    for word in re.split(r"[\s,]+", text):
        if word == "all":
            yield None
        elif word == "loopback-only":
            yield "127.0.0.1"
        elif word:
            yield listened(word)
