"""What is spoken where it is not TLS, by how it begins."""

import re

from shared.starttls import by_banner

_BEGINNINGS = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"HTTP/\d|<!DOCTYPE|<html", "http"),
        (rb"SSH-\d", "ssh"),
        (rb"RFB \d", "vnc"),
        (rb"AMQP", "amqp"),
        (rb"-ERR |-NOAUTH|-DENIED", "redis"),
        (rb"\xff[\xfb-\xfe]", "telnet"),
        (rb"ERROR :|NOTICE ", "irc"),
        (rb"RTSP/\d", "rtsp"),
        (rb"SIP/\d", "sip"),
        (rb"@RSYNCD", "rsync"),
        (rb"\x03\x00\x00.\x0b|\x03\x00\x00\x13", "rdp"),
        (rb"<\?xml|<stream:", "xmpp"),
        (rb"E[\x00SF]", "postgres"),
        (rb"220[ -]", "smtp or ftp"),
    )
)


def protocol_of(said: bytes) -> str | None:
    """Return what is spoken by who begins like this, None where it cannot be told."""
    return by_banner(said) or next((name for pattern, name in _BEGINNINGS if pattern.match(said)), None)
