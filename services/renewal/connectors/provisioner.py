"""Asks the provisioner which lineages it puts in place by itself."""

import httpx
from pydantic import BaseModel, ValidationError

from shared.errors import EverleafError, Unavailable


class _Binding(BaseModel):
    lineage_id: str


class _Bindings(BaseModel):
    items: list[_Binding]
    next_cursor: str | None = None


class Provisioner:
    """The part of the provisioner's API that renewal uses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def bound_lineages(self, *, cursor: str | None, limit: int) -> tuple[frozenset[str], str | None]:
        """Return the lineages of a page of bindings, and where the next page begins. Raises `Unavailable`."""
        asked = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        try:
            answer = await self._client.get("/v1/bindings", params=asked)
            page = _Bindings.model_validate_json(answer.content)
        except (EverleafError, httpx.HTTPError, ValidationError) as error:
            raise Unavailable(
                f"The provisioner did not say what it puts in place ({type(error).__name__}).",
                next_step="It is asked again by itself; look at the provisioner if it stays.",
            ) from error
        return frozenset(binding.lineage_id for binding in page.items), page.next_cursor
