"""Asks inventory which lineage a certificate belongs to."""

import httpx
from pydantic import BaseModel, ValidationError

from shared.errors import EverleafError, NotFound, Unavailable


class KnownCertificate(BaseModel):
    """The part of inventory's answer that is needed."""

    lineage_id: str


class Inventory:
    """The part of inventory's API that the provisioner uses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def lineage_of(self, fingerprint: str) -> str:
        """Return the lineage of a certificate. Raises `NotFound` or `Unavailable`."""
        try:
            answer = await self._client.get(f"/v1/certificates/{fingerprint}")
        except (EverleafError, httpx.HTTPError) as error:
            raise _no_answer(str(error) or type(error).__name__) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise not_known(fingerprint)
        try:
            return KnownCertificate.model_validate_json(answer.content).lineage_id
        except ValidationError as error:
            raise _no_answer(f"it answered {answer.status_code}") from error


def not_known(fingerprint: str) -> NotFound:
    """Return the error for a certificate that inventory has not, or has not for this caller."""
    return NotFound(
        f"Inventory does not know the certificate {fingerprint} yet.",
        next_step="Try again in a moment, or name the lineage in lineage_id.",
    )


def _no_answer(reason: str) -> Unavailable:
    return Unavailable(
        f"Inventory did not say which lineage this is: {reason}.",
        next_step="Try again shortly, or name the lineage in lineage_id.",
    )
