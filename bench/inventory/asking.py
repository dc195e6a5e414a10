"""Asks questions one at a time, over HTTP and as bare SQL, and says where the answers differ."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from statistics import median
from typing import Any

import asyncpg

from bench.inventory.client import Asking, Connection
from bench.inventory.questions import FAR, LIMIT, PAGE, Listing, Question
from bench.inventory.rows import Answers
from bench.measure import NotMeasured, Usage

TIMES, AT_LEAST, ENOUGH = 25, 3, 2.0
"""Each question is asked so often in a round, or as often as it goes in so many seconds."""
_STEP = 1_000
"""Items of the pages that lead far down."""


class Bout:
    """The questions of one inventory; each is asked over HTTP and as bare SQL in turn, so that a busy moment is both's."""

    def __init__(self, questions: Sequence[Question], *, everybody: Asking, few: Asking, url: str) -> None:
        """`few` sees one group only; `url` is that of the database, empty where there is no bare SQL to be asked."""
        self._questions = questions
        self._everybody = everybody
        self._few = few
        self._url = url
        self._of_sql: Answers | None = None

    def ask(self) -> Answers:
        """Ask everything, the bare SQL too."""
        ours, self._of_sql = asyncio.run(self._ask())
        return ours

    def of_sql(self) -> Answers:
        """Return what the bare SQL took meanwhile."""
        if self._of_sql is None:
            raise NotMeasured("the product was not asked")
        return self._of_sql

    async def _ask(self) -> tuple[Answers, Answers | None]:
        http = await Connection.open(self._everybody.port)
        sql = await asyncpg.connect(self._url) if self._url else None
        ours: dict[str, float] = {}
        theirs: dict[str, float] = {}
        faults: list[str] = []
        try:
            for each in self._questions:
                found = await _in_turn(each, http, self._request(each), sql)
                ours[each.name], faults = found.ours, [*faults, *found.faults]
                if found.sql is not None:
                    theirs[each.name] = found.sql
        finally:
            http.close()
            if sql is not None:
                await sql.close()
        return _answers(ours, faults), _answers(theirs, ()) if theirs else None

    def _request(self, question: Question) -> bytes:
        asker = self._few if question.is_scoped else self._everybody
        return asker.get(question.path, **question.parameters)


@dataclass(frozen=True, kw_only=True)
class _Turns:
    """What came of one question: medians in milliseconds, and what the answers differ in."""

    ours: float
    sql: float | None
    faults: Sequence[str]


async def _in_turn(question: Question, http: Connection, request: bytes, sql: Any) -> _Turns:
    ours: list[float] = []
    theirs: list[float] = []
    body, rows = b"", None
    # The first turn only warms up.
    while len(ours) <= AT_LEAST or (len(ours) <= TIMES and sum(ours) + sum(theirs) < ENOUGH):
        began = time.perf_counter()
        body = await http.ask(request)
        between = time.perf_counter()
        ours.append(between - began)
        if sql is not None:
            rows = await sql.fetch(question.sql, *question.arguments)
            theirs.append(time.perf_counter() - between)
    return _Turns(
        ours=median(ours[1:]) * 1000,
        sql=median(theirs[1:]) * 1000 if theirs else None,
        faults=_faults(question, body, rows) if question.is_list and rows is not None else (),
    )


def _faults(question: Question, body: bytes, rows: Sequence[Any]) -> Sequence[str]:
    shown = [item["fingerprint"] for item in json.loads(body)["items"]]
    if shown == [row["fingerprint"] for row in rows]:
        return ()
    return (f"{question.name}: not the certificates that the bare SQL finds",)


def _answers(medians: dict[str, float], faults: Sequence[str]) -> Answers:
    usage = Usage(wall=sum(medians.values()) / 1000, cpu=0, peak_mib=0, exit_code=0, said="")
    count = len(medians)
    return Answers(usage=usage, asked=count, found=count, faults=tuple(faults), medians=medians)


async def far_down(asker: Asking, lists: Sequence[Listing]) -> list[Question]:
    """Walk to page `PAGE` of the long lists, by pages that are longer; return the questions that ask for it."""
    connection = await Connection.open(asker.port)
    try:
        return [await _far_down(connection, asker, each) for each in lists if each.name in FAR]
    finally:
        connection.close()


async def _far_down(connection: Connection, asker: Asking, listing: Listing) -> Question:
    first = listing.first()
    left = (PAGE - 1) * LIMIT
    cursor: dict[str, str] = {}
    last: dict[str, Any] = {}
    while left:
        parameters = {**first.parameters, **cursor, "limit": min(left, _STEP)}
        page = json.loads(await connection.ask(asker.get(first.path, **parameters)))
        if page["next_cursor"] is None:
            # A small inventory ends before: the last page that is there will do.
            break
        left -= len(page["items"])
        last = page["items"][-1]
        cursor = {"cursor": page["next_cursor"]}
    return (
        listing.later(cursor["cursor"], last) if cursor else replace(first, name=f"page_1000.{listing.name}")
    )


async def differences(
    port: int, requests: Sequence[bytes], other_port: int, others: Sequence[bytes]
) -> tuple[str, ...]:
    """Say in what the answers of two servers to the same questions differ."""
    ours, theirs = await Connection.open(port), await Connection.open(other_port)
    try:
        for request, other in zip(requests, others, strict=True):
            answer, expected = json.loads(await ours.ask(request)), json.loads(await theirs.ask(other))
            for shown, wanted in zip_longest(
                *(each.get("items", [each]) for each in (answer, expected)), fillvalue={}
            ):
                wrong = sorted(name for name in wanted if _plain(shown.get(name)) != _plain(wanted[name]))
                if wrong:
                    return (f"other answers than the bare route's: {', '.join(wrong)}",)
    finally:
        ours.close()
        theirs.close()
    return ()


def _plain(value: Any) -> Any:
    """Return a value so that two ways to write an instant are one."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            return value
    return value
