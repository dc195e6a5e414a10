"""Alembic's entry: runs on the connection that `shared.store.migrate` hands over."""

from typing import Any

from alembic import context

after_each = context.config.attributes.get("after_each")


def applied(*, ctx: Any, step: Any, **_more: object) -> None:
    """Tell who wants to know that a migration is done."""
    after_each(ctx.connection, step.up_revision_id)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    compare_type=True,
    render_as_batch=True,
    on_version_apply=applied if after_each is not None else None,
)
with context.begin_transaction():
    context.run_migrations()
