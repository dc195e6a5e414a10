"""Structured logs: JSON in production, readable lines on a terminal; every line carries the trace id."""

import logging
import sys
from typing import Literal

import structlog

from shared.trace import trace_id

LogFormat = Literal["json", "text"]


def configure(*, level: str, style: LogFormat) -> None:
    """Set up logging for the whole process; call it once, before anything is logged."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace,
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, renderer])
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for noisy in ("aiormq", "aio_pika", "asyncssh", "httpx", "httpcore", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def add_trace(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the id of the trace in force to a line."""
    event["trace_id"] = trace_id()
    return event


def _drop_meta(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, event)
