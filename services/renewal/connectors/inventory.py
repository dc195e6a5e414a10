"""Asks inventory what is known of a certificate."""

from datetime import datetime

import httpx
from pydantic import BaseModel, ValidationError

from shared.access import Principal
from shared.errors import EverleafError, NotFound, Unavailable


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


class Inventory:
    """The part of inventory's API that renewal uses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def certificate(self, fingerprint: str, *, caller: Principal) -> KnownCertificate:
        """Return what is known of a certificate that the caller may see. Raises `NotFound` or `Unavailable`.

        Inventory is asked in our own name, so whether the caller may see it is decided here.
        """
        try:
            answer = await self._client.get(f"/v1/certificates/{fingerprint}")
        except (EverleafError, httpx.HTTPError) as error:
            raise _no_answer(str(error) or type(error).__name__) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _unknown(fingerprint)
        try:
            known = KnownCertificate.model_validate_json(answer.content)
        except ValidationError as error:
            raise _no_answer(f"it answered {answer.status_code}") from error
        if not caller.sees(known.groups):
            raise _unknown(fingerprint)
        return known


def _unknown(fingerprint: str) -> NotFound:
    return NotFound(
        f"Inventory knows no certificate {fingerprint}.",
        next_step="List what there is with GET /inventory/v1/certificates.",
    )


def _no_answer(reason: str) -> Unavailable:
    return Unavailable(
        f"Inventory did not say what is known of the certificate: {reason}.", next_step="Try again shortly."
    )
