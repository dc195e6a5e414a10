"""A notice as a syslog message (RFC 5424), and what makes any such message."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from services.notifier.connectors.snmp.mib import DOCUMENTATION
from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

MOST = 8192
"""Octets of a message: receivers over TLS take 2,048 at least and 8,192 as they should (RFC 5425 §4.3.1)."""
_SEVERITIES = {Severity.CRITICAL: 2, Severity.ERROR: 3, Severity.WARNING: 4, Severity.INFO: 6}
_NOTICE = 5
_BOM = b"\xef\xbb\xbf"
_MOST_PARAMETER = 500
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


def message(
    notice: Notice, *, host: str, facility: int, body: str | None, enterprise: int = DOCUMENTATION
) -> bytes:
    """Return the message: `body` alone where another format is carried, else structured data and a line for people."""
    priority = facility * 8 + _severity(notice)
    start = head(priority, at=notice.at, host=host, kind=f"alert.{notice.turn}")
    if body is not None:
        return f"{start} - ".encode() + body.encode()
    return telling(start, f"everleaf@{enterprise}", _parameters(notice), text=notice.headline)


def head(priority: int, *, at: datetime, host: str, kind: str) -> str:
    """Return what a message begins with (RFC 5424 §6.2)."""
    return " ".join(
        [
            f"<{priority}>1",
            f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            _UNPRINTABLE.sub("", host)[:255] or "-",
            "everleaf",
            "-",
            _UNPRINTABLE.sub("", kind)[:32],
        ]
    )


def telling(start: str, name: str, parameters: Iterable[tuple[str, str]], *, text: str) -> bytes:
    """Return a message with structured data of this name (§6.3), and a line for people."""
    data = " ".join(f'{key}="{_escaped(value[:_MOST_PARAMETER])}"' for key, value in parameters)
    return cut(f"{start} [{name} {data}] ".encode() + _BOM + text.encode())


def cut(content: bytes) -> bytes:
    """Return a message that receivers take, whole as it is or cut."""
    return content[:MOST].decode(errors="ignore").encode()


def _severity(notice: Notice) -> int:
    return _NOTICE if notice.turn is Turn.RESOLVED else _SEVERITIES[notice.severity]


def _parameters(notice: Notice) -> Iterator[tuple[str, str]]:
    details = notice.details
    values = {
        "notice": notice.id,
        "alert": notice.alert_id,
        "turn": str(notice.number),
        "problem": notice.problem,
        "severity": notice.severity,
        "lineage": notice.lineage_id,
        "fingerprint": notice.fingerprint,
        "names": " ".join(details.names),
        "notAfter": f"{details.not_after.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if details.not_after else None,
        "places": "; ".join(details.places),
        "placeCount": str(details.place_count),
        "owner": details.owner,
        "link": notice.link,
    }
    yield from ((name, value) for name, value in values.items() if value)


def _escaped(value: str) -> str:
    """Escape what ends a value (RFC 5424 §6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
