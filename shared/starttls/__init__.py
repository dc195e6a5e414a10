"""How each protocol comes to TLS on a connection that begins without: one dialogue each, without any input or output.

Drive one like this; whoever owns the socket owns the time limits:

    dialogue = PROTOCOLS["smtp"].dialogue("mail.example.org")
    to_send = next(dialogue)
    while True:
        …send to_send, unless it is b""…
        to_send = dialogue.send(…what arrived, at least a byte…)

`StopIteration` ends it well, and its value is the framing for the TLS handshake, or `None`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.starttls.conversation import Dialogue, Framing, OtherProtocol, Refused
from shared.starttls.ftp import ftp
from shared.starttls.imap import imap
from shared.starttls.irc import irc
from shared.starttls.ldap import ldap
from shared.starttls.mysql import mysql
from shared.starttls.nntp import nntp
from shared.starttls.pop3 import pop3
from shared.starttls.postgres import postgres
from shared.starttls.rdp import rdp
from shared.starttls.sieve import sieve
from shared.starttls.smtp import lmtp, smtp
from shared.starttls.tds import mssql
from shared.starttls.xmpp import xmpp, xmpp_server

__all__ = ["PROTOCOLS", "Dialogue", "Framing", "OtherProtocol", "Refused", "Starttls", "by_banner", "by_port"]


@dataclass(frozen=True)
class Starttls:
    """One protocol: its name, its usual ports, and its dialogue, which takes the server's name if there is one."""

    name: str
    ports: tuple[int, ...]
    dialogue: Callable[[str | None], Dialogue]


PROTOCOLS: Mapping[str, Starttls] = MappingProxyType(
    {
        each.name: each
        for each in (
            Starttls("smtp", (25, 587, 2525), smtp),
            Starttls("lmtp", (24,), lmtp),
            Starttls("imap", (143,), imap),
            Starttls("pop3", (110,), pop3),
            Starttls("ftp", (21,), ftp),
            Starttls("ldap", (389, 3268), ldap),
            Starttls("xmpp", (5222,), xmpp),
            Starttls("xmpp-server", (5269,), xmpp_server),
            Starttls("postgres", (5432,), postgres),
            Starttls("mysql", (3306,), mysql),
            Starttls("nntp", (119,), nntp),
            Starttls("sieve", (4190,), sieve),
            Starttls("irc", (6667,), irc),
            Starttls("mssql", (1433,), mssql),
            Starttls("rdp", (3389,), rdp),
        )
    }
)
_BY_PORT = MappingProxyType({port: each.name for each in PROTOCOLS.values() for port in each.ports})
# In this order: LMTP may name SMTP too, and a name that holds "ftp" may belong to a mail server.
_BY_BANNER: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), name)
    for pattern, name in (
        (rb"220[ -][^\n]*\bLMTP\b", "lmtp"),
        (rb"220[ -].*\bE?SMTP\b", "smtp"),
        (rb"[12]20[ -].*FTP", "ftp"),
        (rb"\+OK(?=[ \r\n])", "pop3"),
        (rb"\* (?:OK|PREAUTH|BYE)(?=[ \r\n])", "imap"),
        (rb"20[01] [^\n]*(?:NNTP|news|\bINN\b|InterNetNews)", "nntp"),
        (rb'"IMPLEMENTATION" ', "sieve"),
        (rb".{2}\x00\x00\x0a[0-9][^\x00]*\x00", "mysql"),
        (rb".{2}\x00\x00\xff.{2}(?:#.{5})?(?:Host |Too many )", "mysql"),
        (rb":[^ \r\n]+ (?:NOTICE|020) ", "irc"),
    )
)


def by_port(port: int) -> str | None:
    """Return the name of the protocol that usually begins without TLS on this port."""
    return _BY_PORT.get(port)


def by_banner(greeting: bytes) -> str | None:
    """Return the name of the protocol that a server speaks, by what it says unasked; `None` if that does not tell."""
    return next((name for pattern, name in _BY_BANNER if pattern.match(greeting[:4096])), None)
