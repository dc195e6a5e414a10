"""The route of the keys that authorities know us by."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.renewal.actions.account_keys import AccountKeys
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Routes, View
from shared.openapi import may_fail

Writer = Annotated[Principal, requires("authorities:write")]


class ChangedKeyView(View):
    """An authority knows us by a fresh key since."""

    authority_id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    changed_at: datetime


def account_key_routes(keys: AccountKeys, *, clock: Clock) -> Routes:
    """Build the route."""
    routes = Routes(prefix="/v1/authorities")

    @routes.post(
        "/{authority_id}/key-rollover",
        summary="Change the key of our account with an authority for a fresh one",
        responses=may_fail(502),
    )
    async def change_account_key(caller: Writer, authority_id: str) -> ChangedKeyView:
        return ChangedKeyView.model_validate(await keys.change(authority_id, caller=caller, now=clock()))

    return routes
