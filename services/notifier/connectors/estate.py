"""Asks the other services what reports are made of.

They are asked in our own name. So a reader's scope is part of each question, and what comes back is looked at once more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from services.notifier.domain.reports import MOST_ROWS
from services.notifier.domain.reports.material import (
    Known,
    KnownCertificate,
    KnownDeployment,
    KnownException,
    KnownForecast,
    KnownOrder,
    KnownPolicy,
    Some,
)
from services.notifier.domain.reports.policies import GRADES
from shared.errors import EverleafError, Fault, Invalid, Unavailable

_PAGE = 1000
T = TypeVar("T", bound=Known)
Scope = frozenset[str] | None


class _Page(BaseModel):
    items: list[dict[str, object]]
    next_cursor: str | None = None


class _Count(BaseModel):
    count: int


class _Named(Known):
    id: str
    name: str


class _Problem(BaseModel):
    detail: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which certificates a report is about: those in use that a query finds and a reader may see."""

    query: str | None
    scope: Scope

    def text(self, *more: str) -> str:
        """Return the query that finds them, with more conditions."""
        groups = ", ".join(_quoted(group) for group in sorted(self.scope)) if self.scope else ""
        parts = ["current", *([f"({self.query})"] if self.query else []), *more]
        return " and ".join([*parts, *([f"group in ({groups})"] if groups else [])])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Estate:
    """The parts of the other services' APIs that reports use."""

    def __init__(
        self, *, inventory: httpx.AsyncClient, renewal: httpx.AsyncClient, provisioner: httpx.AsyncClient
    ) -> None:
        self._inventory = inventory
        self._renewal = renewal
        self._provisioner = provisioner

    async def check(self, wanted: Wanted) -> None:
        """Raise `Invalid` where inventory does not understand the query by itself.

        One that closes a bracket it has not opened would else stand beside the reader's scope, and not within it.
        """
        if wanted.query:
            await _ask(self._inventory, "/v1/certificates/count", _Count, query=wanted.query)

    async def certificates(self, wanted: Wanted, *more: str) -> Some:
        """Return the certificates, the first to end first. Raises `Unavailable`."""
        asked = {"query": wanted.text(*more), "sort": "expires"}
        found, is_cut = await _all(self._inventory, "/v1/certificates", KnownCertificate, **asked)
        seen = [each for each in found if wanted.scope is None or not wanted.scope.isdisjoint(each.groups)]
        return Some(certificates=seen, is_cut=is_cut)

    async def count(self, wanted: Wanted, *more: str) -> int:
        """Return how many there are. Raises `Unavailable`."""
        asked = wanted.text(*more)
        return (await _ask(self._inventory, "/v1/certificates/count", _Count, query=asked)).count

    async def grades(self, wanted: Wanted) -> dict[str, int]:
        """Return how many certificates are at a place of which grade. Raises `Unavailable`."""
        counts = {grade: await self.count(wanted, f"grade = {_quoted(grade)}") for grade in GRADES}
        return {grade: count for grade, count in counts.items() if count}

    async def policies(self) -> list[KnownPolicy]:
        """Return the policies that are on. Raises `Unavailable`."""
        found, _ = await _all(self._inventory, "/v1/policies", KnownPolicy)
        return [each for each in found if each.is_enabled]

    async def exceptions(self) -> list[KnownException]:
        """Return all exceptions. Raises `Unavailable`."""
        found, _ = await _all(self._inventory, "/v1/exceptions", KnownException)
        return found

    async def teams(self) -> dict[str, str]:
        """Return the names of teams by their ids. Raises `Unavailable`."""
        found, _ = await _all(self._inventory, "/v1/teams", _Named)
        return {each.id: each.name for each in found}

    async def forecast(self, wanted: Wanted, *, days: int) -> KnownForecast:
        """Return what lies ahead, by owner. Raises `Unavailable`."""
        asked = {"query": wanted.text(), "days": str(days), "by": "owner"}
        return await _ask(self._inventory, "/v1/forecast", KnownForecast, **asked)

    async def orders(self, *, since: datetime) -> list[KnownOrder]:
        """Return the orders since then, newest first. Raises `Unavailable`."""
        return await _since(self._renewal, "/v1/orders", KnownOrder, since=since)

    async def deployments(self, *, since: datetime) -> list[KnownDeployment]:
        """Return the deployments since then, newest first. Raises `Unavailable`."""
        return await _since(self._provisioner, "/v1/deployments", KnownDeployment, since=since)

    async def targets(self) -> Mapping[str, str]:
        """Return the names of targets by their ids. Raises `Unavailable`."""
        found, _ = await _all(self._provisioner, "/v1/targets", _Named)
        return {each.id: each.name for each in found}

    async def seen(self, fingerprints: Collection[str], *, scope: frozenset[str]) -> set[str]:
        """Return those of some certificates that are in a scope. Raises `Unavailable`."""
        found = set()
        for fingerprint in sorted(set(fingerprints)):
            wanted = Wanted(query=f"fingerprint = {_quoted(fingerprint)}", scope=scope)
            asked = wanted.text().removeprefix("current and ")
            answer = await _ask(self._inventory, "/v1/certificates/count", _Count, query=asked)
            found.update([fingerprint] if answer.count else [])
        return found


D = TypeVar("D", KnownOrder, KnownDeployment)


async def _since(client: httpx.AsyncClient, path: str, model: type[D], *, since: datetime) -> list[D]:
    found: list[D] = []
    cursor: str | None = None
    while len(found) < MOST_ROWS:
        page = await _ask(client, path, _Page, **_paging(cursor))
        items = [_read(model, item) for item in page.items]
        found += [item for item in items if item.created_at >= since]
        cursor = page.next_cursor
        if cursor is None or any(item.created_at < since for item in items):
            break
    return found[:MOST_ROWS]


async def _all(client: httpx.AsyncClient, path: str, model: type[T], **asked: str) -> tuple[list[T], bool]:
    """Return what a list has, and whether that was more than is taken."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        page = await _ask(client, path, _Page, **asked, **_paging(cursor))
        found += [_read(model, item) for item in page.items]
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST_ROWS:
            return found[:MOST_ROWS], cursor is not None or len(found) > MOST_ROWS


def _paging(cursor: str | None) -> dict[str, str]:
    return {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})


M = TypeVar("M", bound=BaseModel)


async def _ask(client: httpx.AsyncClient, path: str, model: type[M], **asked: str) -> M:
    try:
        answer = await client.get(path, params=asked)
    except (EverleafError, httpx.HTTPError) as error:
        raise _no_answer(str(error) or type(error).__name__) from error
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and "query" in asked:
        raise _not_understood(answer)
    if not answer.is_success:
        raise _no_answer(f"{path} answered {answer.status_code}")
    return _read(model, answer.json())


def _read(model: type[M], document: object) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _no_answer(f"{model.__name__.strip('_')} is not as it should be") from error


def _not_understood(answer: httpx.Response) -> EverleafError:
    try:
        problem = _Problem.model_validate_json(answer.content)
    except ValidationError:
        return _no_answer(f"it answered {answer.status_code}")
    fault = Fault(pointer="/query/query", message=problem.detail)
    return Invalid(problem.detail, next_step=problem.next_step, faults=[fault])


def _no_answer(reason: str) -> Unavailable:
    return Unavailable(
        f"What the report is made of could not be had: {reason}.", next_step="Try again shortly."
    )
