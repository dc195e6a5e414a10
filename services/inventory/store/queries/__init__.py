"""From a query to a condition that the database checks, over certificates or over places."""

from services.inventory.store.queries.conditions import condition, place_condition

__all__ = ["condition", "place_condition"]
