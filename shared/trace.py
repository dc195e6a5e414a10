"""W3C trace context: one trace id from the first request to the last event it caused, and spans of what is done on the way.

The `traceparent` header (https://www.w3.org/TR/trace-context/) is read at the doors, kept in a context variable, written to
every log line and carried by every event. Spans are told to nobody until `record_with` is called (`shared.trace_export` is who
is told in production); before that one costs no more than a look at a variable. What a span says has no secret in it: it holds
names from the code, states and counts, and of an error only its type.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import partial
from typing import Protocol

# All zeros is no id (W3C Trace Context §3.2.2.3, §3.2.2.4).
_SHAPE = re.compile(r"00-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar["str | _Perhaps | None"] = ContextVar("traceparent", default=None)
_origins: ContextVar["Mapping[str, str | _Perhaps] | None"] = ContextVar("origins", default=None)
Attributes = Mapping[str, str | int | float | bool]


class Kind(Enum):
    """What a span is to the one before it, as OpenTelemetry has it."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Span(Protocol):
    """Something that is being done."""

    @property
    def traceparent(self) -> str:
        """What makes another span its child."""

    def tell(self, attributes: Attributes, *, name: str | None = None) -> None:
        """Add what came out while it was done."""

    def end(self, error: BaseException | None) -> None:
        """Let it be over, by this error where there was one."""


class Recorder(Protocol):
    """Who is told of spans."""

    def start(self, name: str, *, kind: Kind, parent: str | None, attributes: Attributes) -> Span:
        """Begin a span below the one of a traceparent, or a new trace."""


_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """Tell this recorder of all spans from now on; None stops that."""
    global _recorder  # noqa: PLW0603 - one for the process, like its log
    _recorder = recorder


def is_recorded() -> bool:
    """Return whether what is done now is told to anybody: there is a recorder, and the trace is sampled."""
    return _recorder is not None and _current.get() is not None and _is_sampled(traceparent())


def has_recorder() -> bool:
    """Return whether anything may be told to anybody."""
    return _recorder is not None


def traceparent() -> str:
    """Return the traceparent in force, starting a new trace where there is none."""
    value = _current.get()
    if value is None:
        value = _fresh()
        _current.set(value)
    return _begun(value)


def traceparent_about(subject: str) -> str:
    """Return the traceparent of what is said about a subject: of the event about it that is being dealt with, if any."""
    origin = (_origins.get() or {}).get(subject)
    return traceparent() if origin is None else _begun(origin)


def trace_id() -> str:
    """Return the 32 hexadecimal digits of the trace in force."""
    return traceparent().split("-")[1]


@contextmanager
def following(
    header: str | None, *, name: str = "", kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None
) -> Iterator[Span | None]:
    """Go on with the trace of a received header; a missing or broken one starts a new trace.

    With a name it is a span, where spans are recorded; that is what the block is given.
    """
    match = _SHAPE.fullmatch(header or "")
    if _recorder is not None and name:
        with _recorded(_recorder, name, kind, header if match else None, attributes or {}) as span:
            yield span
        return
    value = f"00-{match['trace']}-{os.urandom(8).hex()}-01" if match else _fresh()
    with _in_force(value):
        yield None


@contextmanager
def perhaps(name: str) -> Iterator[None]:
    """Begin a new trace, by a span that is only told where something comes of it: an event, a record, a line of the log."""
    if _recorder is None:
        with _in_force(_fresh()):
            yield
        return
    with _ending([beginning := _Perhaps(_recorder, name)]), _in_force(beginning):
        yield


class _Perhaps:
    """A span that begins when somebody asks for its id."""

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        *,
        kind: Kind = Kind.INTERNAL,
        parent: str | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self._start = partial(recorder.start, name, kind=kind, parent=parent, attributes=attributes or {})
        self._span: Span | None = None

    def traceparent(self) -> str:
        if self._span is None:
            self._span = self._start()
        return self._span.traceparent

    def end(self, error: BaseException | None) -> None:
        if self._span is not None:
            self._span.end(error)


def _begun(value: str | _Perhaps) -> str:
    return value.traceparent() if isinstance(value, _Perhaps) else value


@contextmanager
def _ending(spans: Sequence[_Perhaps]) -> Iterator[None]:
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        for each in spans:
            each.end(error)


@contextmanager
def span(
    name: str, *, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None
) -> Iterator[Span | None]:
    """Do something as a span of the trace in force, where that is recorded; else just do it."""
    if _recorder is None or not is_recorded():
        yield None
        return
    with _recorded(_recorder, name, kind, traceparent(), attributes or {}) as begun:
        yield begun


@contextmanager
def following_each(
    headers: Mapping[str, str | None], *, name: str, kind: Kind, attributes: Attributes | None = None
) -> Iterator[None]:
    """Go on with several traces at once, by what each is about: for what is dealt with in sets.

    Each is a span where something is said about its subject. What is said about none of these is said in the first trace.
    """
    valid = {
        subject: header if _SHAPE.fullmatch(header or "") else None for subject, header in headers.items()
    }
    origins: dict[str, str | _Perhaps] = {}
    for subject, header in valid.items():
        if _recorder is None:
            origins[subject] = header or _fresh()
        else:
            origins[subject] = _Perhaps(_recorder, name, kind=kind, parent=header, attributes=attributes)
    spans = [each for each in origins.values() if isinstance(each, _Perhaps)]
    with _ending(spans), _in_force(next(iter(origins.values()), None) or _fresh()):
        token = _origins.set(origins)
        try:
            yield
        finally:
            _origins.reset(token)


@contextmanager
def _recorded(
    recorder: Recorder, name: str, kind: Kind, parent: str | None, attributes: Attributes
) -> Iterator[Span]:
    begun = recorder.start(name, kind=kind, parent=parent, attributes=attributes)
    with _in_force(begun.traceparent):
        try:
            yield begun
        except BaseException as error:
            begun.end(error)
            raise
    begun.end(None)


@contextmanager
def _in_force(value: "str | _Perhaps") -> Iterator[None]:
    token = _current.set(value)
    without = _origins.set(None)
    try:
        yield
    finally:
        _origins.reset(without)
        _current.reset(token)


def _is_sampled(header: str) -> bool:
    return bool(int(header[-2:], 16) & 1)  # §3.2.2.5


def _fresh() -> str:
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
