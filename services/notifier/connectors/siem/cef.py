r"""A notice in the Common Event Format, version 0 (ArcSight's "Implementing CEF").

`CEF:0|vendor|product|version|class|name|severity|extension`: `\` and `|` are escaped in the header, `\`, `=` and line ends
in the extension. The class is the problem, which never changes its name.
"""

from collections.abc import Iterable, Iterator

from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

_SEVERITIES = {Severity.CRITICAL: 10, Severity.ERROR: 7, Severity.WARNING: 5, Severity.INFO: 2}
_MOST_VALUE = 1000


def line(notice: Notice, *, version: str) -> str:
    """Return the event."""
    severity = 1 if notice.turn is Turn.RESOLVED else _SEVERITIES[notice.severity]
    return event(version, notice.problem, notice.headline, severity=severity, extension=_extension(notice))


def event(version: str, kind: str, name: str, *, severity: int, extension: Iterable[tuple[str, str]]) -> str:
    """Return an event of ours: of this class, with this name for people, and what it says beside."""
    header = ("Everleaf", "Everleaf", version, kind, name, str(severity))
    told = " ".join(f"{key}={_value(value)}" for key, value in extension)
    return "|".join(["CEF:0", *map(_field, header), told])


def _extension(notice: Notice) -> Iterator[tuple[str, str]]:
    details = notice.details
    yield "rt", _milliseconds(notice.at.timestamp())
    yield "externalId", notice.id
    yield "act", notice.turn
    yield "cat", "certificate"
    yield "msg", notice.title
    yield from _labelled("cs1", "alert", notice.alert_id)
    yield from _labelled("cs2", "fingerprint", notice.fingerprint)
    yield from _labelled("cs3", "names", " ".join(details.names))
    yield from _labelled("cs4", "places", "; ".join(details.places))
    yield from _labelled("cs5", "owner", details.owner)
    yield from _labelled("cs6", "link", notice.link)
    yield from _labelled("cn1", "turn", str(notice.number))
    if details.not_after is not None:
        yield from _labelled("deviceCustomDate1", "notAfter", _milliseconds(details.not_after.timestamp()))
    if details.names:
        yield "dhost", details.names[0]


def _labelled(key: str, label: str, value: str | None) -> Iterator[tuple[str, str]]:
    if value:
        yield key, value
        yield f"{key}Label", label


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _field(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _value(text: str) -> str:
    return text[:_MOST_VALUE].replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "")
