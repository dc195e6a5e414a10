"""Strict-Transport-Security (RFC 6797), asked for with one request over a finished handshake."""

import re
import ssl
from collections.abc import Iterator

from services.discovery.domain.sightings import Header, Hsts
from services.discovery.domain.targets import Asked
from services.discovery.scanner.handshakes import Secured
from services.discovery.scanner.parts import Part
from services.discovery.scanner.questions import Question
from services.discovery.scanner.talk import Conversation, Talk

_MOST_HEAD = 8192
"""Bytes of a response that are read: its headers come first."""
_MOST_AGE = 2**31 - 1
_END = b"\r\n\r\n"
_NO_HTTP = {465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 3269, 5061, 5223, 6514, 6697, 8883}
"""Ports that IANA has given to other protocols over TLS: nobody there wants a request of HTTP."""
_DIRECTIVE = re.compile(r'\s*(?:([!#$%&\'*+\-.^_`|~\w]+)\s*(?:=\s*("[^"]*"|[^\s;"]+))?)?\s*(?:;|$)', re.ASCII)


def ask_for_hsts(asked: Asked, *, wants_client_certificate: bool) -> Part[Hsts | None]:
    """Ask once; return None where STARTTLS comes first."""
    if asked.starttls is not None:
        return None
    if asked.port in _NO_HTTP:
        return Hsts(Header.NOT_HTTP, f"port {asked.port} is of another protocol")
    talk = Talk(_talk(asked))
    (answer,) = yield [Question(talk.hello, talk)]
    if talk.result is None:
        ending = answer.reason or answer.ending.name.lower().replace("_", " ")
        return Hsts(Header.UNCHECKED, f"no answer to a request of HTTP: {ending}")
    found = talk.result
    if found.header is Header.ABSENT and wants_client_certificate:
        return Hsts(Header.UNCHECKED, "it may send it to who has a client certificate")
    if found.header is Header.ABSENT and asked.server_name is None:
        return Hsts(Header.UNCHECKED, "it is sent for names (RFC 6797 §8.1.1), and none was asked for")
    return found


def _talk(asked: Asked) -> Conversation[Hsts]:
    secured = Secured(asked.server_name)
    host = asked.server_name or (f"[{asked.address}]" if ":" in asked.address else asked.address)
    where = host if asked.port == 443 else f"{host}:{asked.port}"  # noqa: PLR2004 - the port that goes without saying
    request = (
        f"GET / HTTP/1.1\r\nHost: {where}\r\nUser-Agent: Everleaf\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        yield from secured.handshake()
        head = yield from secured.ask(request.encode("ascii"), until=_END, most=_MOST_HEAD)
    except ssl.SSLError as error:
        return Hsts(Header.UNCHECKED, f"the handshake was not finished: {error.reason or 'it was closed'}")
    return hsts_of(head)


def hsts_of(head: bytes) -> Hsts:
    """Return what the head of a response says."""
    status, *lines = head.partition(_END)[0].decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/"):
        return Hsts(Header.NOT_HTTP, "the answer to a request of HTTP is not HTTP")
    if _END not in head:
        return Hsts(Header.UNCHECKED, f"its headers do not end within {_MOST_HEAD} bytes")
    for line in lines:
        name, _, said = line.partition(":")
        if name.lower() == "strict-transport-security":
            return _read(said)  # whatever comes after the first does not count (RFC 6797 §8.1)
    return Hsts(Header.ABSENT)


def _read(said: str) -> Hsts:
    """Read the header's value; who breaks the rules of RFC 6797 §6.1 is ignored by browsers, and here."""
    directives = list(_directives(said))
    names = [name for name, _ in directives]
    age = dict(directives).get("max-age", "")
    if len(set(names)) < len(names) or not re.fullmatch(r"[0-9]{1,20}", age):
        return Hsts(Header.ABSENT, "it is sent, but makes no sense: browsers ignore it (RFC 6797 §6.1)")
    return Hsts(
        Header.SENT, max_age=min(int(age), _MOST_AGE), include_subdomains="includesubdomains" in names
    )


def _directives(said: str) -> Iterator[tuple[str, str]]:
    """Yield names, in lower case, and values; of a value that cannot be read, a name that nobody knows twice."""
    at = 0
    while at < len(said):
        match = _DIRECTIVE.match(said, at)
        if match is None:
            yield from (("", ""), ("", ""))
            return
        if match[1]:
            yield match[1].lower(), (match[2] or "").strip('"')
        at = match.end()
