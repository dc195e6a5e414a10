"""Each runs a process of its own, because logging is set up once for a whole process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SET_UP = """
import logging
import structlog
from shared.logs import configure
from shared.trace import following
configure(level="info", style={style!r})
log = structlog.get_logger("garden")
"""


def logged(script: str, *, style: str = "json") -> str:
    """Return what a process writes to stderr; it writes nothing to stdout."""
    done = subprocess.run(
        [sys.executable, "-c", SET_UP.format(style=style) + script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def lines(script: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged(script).splitlines()]


def test_every_line_is_json_with_its_event_level_time_and_trace():
    header = f"00-{TRACE}-00f067aa0ba902b7-01"
    (line,) = lines(f"with following({header!r}): log.info('tree.planted', kind='oak', count=3)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "tree.planted",
        "level": "info",
        "trace_id": TRACE,
        "kind": "oak",
        "count": 3,
    }


def test_lines_of_libraries_have_the_same_form():
    (line,) = lines("logging.getLogger('uvicorn.error').warning('port %d is %s', 80, 'taken')")
    assert (line["event"], line["level"], len(line["trace_id"])) == ("port 80 is taken", "warning", 32)


def test_lines_below_the_level_and_the_chatter_of_libraries_are_left_out():
    script = """
log.debug("small")
logging.getLogger("httpx").info("HTTP Request: GET https://example.test/?token=sesame")
logging.getLogger("httpcore").debug("headers")
log.info("shown")
"""
    assert [line["event"] for line in lines(script)] == ["shown"]


def test_an_exception_is_one_line_with_its_traceback_and_without_the_values_around_it():
    script = """
def open_gate(password):
    raise ValueError("the gate is stuck")

for logger in (log, logging.getLogger("library")):
    try:
        open_gate("sesa" + "me")
    except ValueError as error:
        logger.error("gate.failed", exc_info=error)
"""
    ours, theirs = lines(script)
    for line in (ours, theirs):
        assert line["event"] == "gate.failed"
        assert "ValueError: the gate is stuck" in line["exception"]
        assert "sesame" not in json.dumps(line)


def test_the_values_of_a_failed_statement_are_not_logged(tmp_path: Path):
    script = """
import anyio
import sqlalchemy as sa
from shared.store import Database

async def fail():
    database = Database("sqlite:///{path}/garden.db", source="garden")
    try:
        async with database.transaction() as tx:
            await tx.session.execute(sa.text("INSERT INTO gates VALUES (:password)"), {"password": "sesame"})
    finally:
        await database.close()

try:
    anyio.run(fail)
except sa.exc.SQLAlchemyError as error:
    log.error("gate.failed", exc_info=error, error=str(error))
"""
    (line,) = lines(script.replace("{path}", str(tmp_path)))
    assert "INSERT INTO gates" in line["exception"]
    assert "sesame" not in json.dumps(line)


def test_a_secret_setting_does_not_show_itself():
    script = """
from shared.settings import ServiceSettings
log.info("read", settings=repr(ServiceSettings(database_password="sesame")), key=ServiceSettings(api_key="sesame").api_key)
"""
    assert "sesame" not in logged(script)


def test_on_a_terminal_a_line_is_for_people():
    text = logged("log.info('tree.planted', kind='oak')", style="text")
    assert "tree.planted" in text
    assert "oak" in text
    assert not text.startswith("{")
