"""Asks inventory what is known of a certificate."""

from datetime import datetime

import httpx
from pydantic import BaseModel, ValidationError

from shared.access import Principal
from shared.errors import EverleafError, Fault, Invalid, NotFound, Unavailable


class KnownOwner(BaseModel):
    """The team that owns a certificate."""

    id: str
    name: str


class KnownCertificate(BaseModel):
    """The part of inventory's answer that is needed."""

    fingerprint: str
    lineage_id: str
    names: list[str]
    issuer: str | None
    not_before: datetime | None
    not_after: datetime | None
    key_type: str | None
    key_bits: int | None
    finding: str | None
    is_ca: bool
    is_current: bool
    owner: KnownOwner | None = None
    groups: list[str] = []


class KnownPage(BaseModel):
    """A page of certificates."""

    items: list[KnownCertificate]
    next_cursor: str | None = None


class Inventory:
    """The part of inventory's API that renewal uses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def certificate(self, fingerprint: str, *, caller: Principal) -> KnownCertificate:
        """Return what is known of a certificate that the caller may see. Raises `NotFound` or `Unavailable`.

        Inventory is asked in our own name, so whether the caller may see it is decided here.
        """
        answer = await self._ask(f"/v1/certificates/{fingerprint}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _unknown(fingerprint)
        try:
            known = KnownCertificate.model_validate_json(answer.content)
        except ValidationError as error:
            raise _no_answer(f"it answered {answer.status_code}") from error
        if not caller.sees(known.groups):
            raise _unknown(fingerprint)
        return known

    async def current(self, lineage_id: str) -> KnownCertificate | None:
        """Return the certificate of a lineage whose expiry matters, the longest lasting one; None where there is none.

        Raises `Unavailable`. It is for our own work, not for showing to anybody.
        """
        asked = {"lineage_id": lineage_id, "current": "true", "sort": "-expires", "limit": "1"}
        found = _page(await self._ask("/v1/certificates", **asked))
        return next(iter(found.items), None)

    async def in_use(self, query: str, *, cursor: str | None, limit: int) -> KnownPage:
        """Return a page of the certificates in use that a query finds, whoever may see them.

        Raises `Invalid` where inventory does not understand the query, and `Unavailable`.
        """
        asked = {"query": query, "current": "true", "limit": str(limit)}
        answer = await self._ask("/v1/certificates", **asked, **({"cursor": cursor} if cursor else {}))
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise _not_understood(answer)
        return _page(answer)

    async def _ask(self, path: str, **asked: str) -> httpx.Response:
        try:
            return await self._client.get(path, params=asked)
        except (EverleafError, httpx.HTTPError) as error:
            raise _no_answer(str(error) or type(error).__name__) from error


def _page(answer: httpx.Response) -> KnownPage:
    try:
        return KnownPage.model_validate_json(answer.content)
    except ValidationError as error:
        raise _no_answer(f"it answered {answer.status_code}") from error


class _Problem(BaseModel):
    detail: str
    next_step: str


def _not_understood(answer: httpx.Response) -> EverleafError:
    try:
        problem = _Problem.model_validate_json(answer.content)
    except ValidationError:
        return _no_answer(f"it answered {answer.status_code}")
    fault = Fault(pointer="/body/query", message=problem.detail)
    return Invalid(problem.detail, next_step=problem.next_step, faults=[fault])


def _unknown(fingerprint: str) -> NotFound:
    return NotFound(
        f"Inventory knows no certificate {fingerprint}.",
        next_step="List what there is with GET /inventory/v1/certificates.",
    )


def _no_answer(reason: str) -> Unavailable:
    return Unavailable(f"Inventory did not say what it knows: {reason}.", next_step="Try again shortly.")
