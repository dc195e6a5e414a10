"""A receiver of traces by OTLP over HTTP (`POST /v1/traces`, protobuf): none is packaged for Debian.

Written from https://opentelemetry.io/docs/specs/otlp/ and decoded by the messages of `opentelemetry-proto`.
"""

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, kw_only=True)
class Received:
    """A span, as a collector understands it."""

    trace: str
    id: str
    parent: str
    process: str
    name: str
    kind: int
    began: int
    """Nanoseconds."""
    ended: int
    attributes: dict[str, str]
    is_error: bool


class Collector:
    """Receives until `stop`."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                asked = ExportTraceServiceRequest()
                asked.ParseFromString(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.spans += spans_of(asked)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler

    def tree(self, trace: str) -> list[str]:
        """Return a trace as lines: what was done, by whom, when after the beginning and for how long."""
        spans = sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)
        ids = {span.id for span in spans}
        below: dict[str, list[Received]] = defaultdict(list)
        for span in spans:
            below[span.parent if span.parent in ids else ""].append(span)
        return list(_lines(below, "", indent="", began=spans[0].began)) if spans else []

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def spans_of(asked: ExportTraceServiceRequest) -> Iterator[Received]:
    for of_process in asked.resource_spans:
        process = {each.key: each.value.string_value for each in of_process.resource.attributes}
        for scope in of_process.scope_spans:
            for span in scope.spans:
                yield Received(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    process=process["service.name"],
                    name=span.name,
                    kind=span.kind,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes={
                        each.key: each.value.string_value or str(each.value.int_value)
                        for each in span.attributes
                    },
                    is_error=span.status.code == 2,
                )


def _lines(below: dict[str, list[Received]], parent: str, *, indent: str, began: int) -> Iterator[str]:
    spans: Sequence[Received] = below[parent]
    for span in spans:
        at, took = (span.began - began) / 1e6, (span.ended - span.began) / 1e6
        where = span.attributes.get("everleaf.service", "")
        yield f"{at:9.1f} ms {took:8.1f} ms  {indent}{span.name}{' · ' + where if where else ''}"
        yield from _lines(below, span.id, indent=indent + "  ", began=began)
