"""The routes of budgets: what may be asked of an authority in a while."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.renewal.actions.budgets import LONGEST, Budgets, Standing
from services.renewal.domain.budgets import Budget, Limit
from shared.access import Principal, requires
from shared.clock import Clock, Duration
from shared.http import Body, Routes, View

Reader = Annotated[Principal, requires("authorities:read")]
Writer = Annotated[Principal, requires("authorities:write")]


class LimitBody(Body):
    """At most so many within any window of this length."""

    most: int = Field(ge=1, le=1_000_000, examples=[300])
    window: Duration = Field(
        ge=timedelta(seconds=1),
        le=LONGEST,
        description="ISO 8601: at least a second, at most 30 days.",
        examples=["PT3H"],
    )


class BudgetBody(Body):
    """What may be asked of an authority; what is left out has no limit."""

    orders: LimitBody | None = Field(None, examples=[{"most": 300, "window": "PT3H"}])
    same_names: LimitBody | None = Field(
        None, description="Orders for exactly the same set of names.", examples=[{"most": 5, "window": "P7D"}]
    )
    failures: LimitBody | None = Field(
        None,
        description="Failed attempts at one name: then nothing is tried for it for a while.",
        examples=[{"most": 5, "window": "PT1H"}],
    )
    exempts_replacements: bool = Field(
        False, description="The authority does not count orders that say what they replace (RFC 9773 §5)."
    )

    def budget(self) -> Budget:
        """Return it as the domain has it."""
        limits = {
            name: Limit(most=each.most, window=each.window)
            for name in ("orders", "same_names", "failures")
            if (each := getattr(self, name)) is not None
        }
        return Budget(**limits, exempts_replacements=self.exempts_replacements)


class LimitView(View):
    """At most so many within any window of this length."""

    most: int
    window: Duration


class BudgetView(View):
    """What may be asked of an authority, and what was."""

    authority: str
    orders: LimitView | None
    same_names: LimitView | None
    failures: LimitView | None
    exempts_replacements: bool
    is_usual: bool = Field(
        description="Nobody has set it: Let's Encrypt's limits for public ACME authorities, else none."
    )
    orders_spent: int = Field(
        description="Orders placed within the window of `orders`; without one, in a day."
    )
    waiting: int = Field(description="Orders that wait for it.")


def budget_routes(budgets: Budgets, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/authorities/{authority_id}/budget")

    @routes.get("", summary="Show what may be asked of an authority in a while, and what was")
    async def get_budget(caller: Reader, authority_id: str) -> BudgetView:
        return _shown(await budgets.get(authority_id, caller=caller, now=clock()))

    @routes.put("", summary="Let no more than this be asked of an authority")
    async def put_budget(caller: Writer, authority_id: str, body: BudgetBody) -> BudgetView:
        return _shown(await budgets.put(authority_id, body.budget(), caller=caller, now=clock()))

    return routes


def _shown(standing: Standing) -> BudgetView:
    budget = standing.budget
    limits = {
        name: LimitView.model_validate(each) if (each := getattr(budget, name)) is not None else None
        for name in ("orders", "same_names", "failures")
    }
    return BudgetView(
        **limits,
        exempts_replacements=budget.exempts_replacements,
        authority=standing.authority,
        is_usual=standing.is_usual,
        orders_spent=standing.orders_spent,
        waiting=standing.waiting,
    )
