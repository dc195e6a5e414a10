"""The rules that authorities break: kept with each of them as one value, and asked for as if they were rows."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col

from services.inventory.store.association_tables import AuthorityRow


class _Members(FunctionElement[Any]):
    """The members of a list that is kept as JSON."""

    inherit_cache = True
    name = "members"


@compiles(_Members, "postgresql")
def _members_postgresql(element: _Members, compiler: SQLCompiler, **given: Any) -> str:
    return f"jsonb_array_elements({compiler.process(element.clauses, **given)})"


@compiles(_Members, "sqlite")
def _members_sqlite(element: _Members, compiler: SQLCompiler, **given: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **given)})"


FOUND = _Members(col(AuthorityRow.findings)).table_valued("value", name="found", joins_implicitly=True)
"""What was found of an authority, row by row; to be asked together with `AuthorityRow`."""


def _of_finding(name: str) -> sa.ColumnElement[str]:
    return FOUND.c.value.op("->>", return_type=sa.Text())(sa.literal_column(f"'{name}'"))


RULE, SEVERITY = _of_finding("rule"), _of_finding("severity")


def is_breaking(*, rule: str | None, severity: str | None) -> sa.ColumnElement[bool]:
    """Say that an authority breaks this rule, or any; and one of this severity, or of any."""
    wanted = [of == value for of, value in ((RULE, rule), (SEVERITY, severity)) if value is not None]
    return sa.select(sa.literal(1)).select_from(FOUND).where(*wanted).correlate(AuthorityRow).exists()


def with_finding(what: sa.ColumnElement[bool]) -> sa.Select[str]:
    """Return the fingerprints of the authorities of which something was found that is so."""
    return sa.select(col(AuthorityRow.fingerprint)).join(FOUND, sa.true()).where(what).correlate(None)
