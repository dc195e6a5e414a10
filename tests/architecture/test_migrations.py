"""What a service's migrations make is what its code expects; they keep what is there, and let the version before serve on."""

import ast
import re
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.program import service_module
from shared.store import Database
from tests.architecture.tree import ROOT, SERVICES
from tests.servers.stores import Stores

ROWS = 2
"""Of each table, made by the version that has made the table: one with all columns, one with what it must have."""
BEFORE_THE_FIRST_RELEASE = {
    "discovery/0008_tell_holdings_apart_by_address.py",
    "inventory/0009_scope_and_sign_in.py",
    "notifier/0005_follow_rules.py",
    "provisioner/0006_let_targets_be_apis.py",
}
"""Nobody has had to serve beside these. Nothing is added here any more."""
TAKES_AWAY = {
    "drop_table": "drops a table",
    "drop_column": "drops a column",
    "rename_table": "renames a table",
    "create_unique_constraint": "forbids rows that the version before may write",
    "create_check_constraint": "forbids rows that the version before may write",
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of each kind."""
    opened = Database(stores.empty(request.param, tmp_path), source="migrated")
    yield opened
    await opened.close()


def value(column: sa.Column[Any], number: int) -> Any:
    """Return something that fits a column; texts that mean something are as our versions have always written them."""
    kind = column.type
    text = f"{column.table.name}.{column.name} {number}"
    fitting: list[tuple[Any, Any]] = [
        (sa.Boolean, False),
        (sa.Integer, number + 1),
        ((sa.Float, sa.Numeric), float(number)),
        (
            sa.DateTime,
            datetime(2026, 1, 1 + number, tzinfo=UTC if getattr(kind, "timezone", False) else None),
        ),
        (sa.LargeBinary, text.encode()),
        (sa.JSON, []),
    ]
    for kinds, made in fitting:
        if isinstance(kind, kinds):
            return made
    length = getattr(kind, "length", None)
    return sha256(text.encode()).hexdigest() if length == 64 else text[:length]


def row(connection: sa.Connection, table: sa.Table, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for column in table.columns:
        is_needed = not column.nullable and column.server_default is None
        is_counted = column.primary_key and (column.server_default is not None or column.identity is not None)
        if column.computed is not None or is_counted or not (is_needed or number == 0):
            continue
        made[column.name] = value(column, number)
        for key in column.foreign_keys:
            if key.column.table is not table:
                there = sa.select(key.column).order_by(key.column).offset(number).limit(1)
                made[column.name] = connection.scalar(there)
            elif column.nullable:
                del made[column.name]
    return made


class Store:
    """A store that every version in turn writes rows to, in the tables that it has made."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def after_each(self, connection: sa.Connection, revision: str) -> None:
        """Look that all rows are still there, and make some in every new table."""
        there = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        now = _counts(connection, there)
        lost = {table: count for table, count in self.counts.items() if now.get(table, 0) < count}
        assert not lost, f"{revision} loses rows of {lost}"
        new = [table for table in there if table not in self.counts and not now[table]]
        reflected = sa.MetaData()
        reflected.reflect(connection, only=new)
        for table in reflected.sorted_tables:
            if table.name in new:
                for number in range(ROWS):
                    connection.execute(table.insert(), row(connection, table, number))
        self.counts = _counts(connection, there)


def _counts(connection: sa.Connection, tables: Collection[str]) -> dict[str, int]:
    counts = [
        sa.select(
            sa.literal(table), sa.select(sa.func.count()).select_from(sa.table(table)).scalar_subquery()
        )
        for table in tables
    ]
    return {each[0]: each[1] for each in connection.execute(sa.union_all(*counts))}


@pytest.mark.parametrize("name", SERVICES)
async def test_rows_of_every_version_are_kept_by_all_later_ones_which_the_code_then_reads(
    name: str, database: Database
) -> None:
    schema = service_module(name).SCHEMA
    store = Store()
    await schema.upgrade(database, after_each=store.after_each)
    assert await schema.differences(database) == []
    async with database.read() as session:
        for table in (table for metadata in schema.metadata for table in metadata.sorted_tables):
            assert len((await session.execute(sa.select(table))).all()) >= 1, table.name


def migrations() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.glob("services/*/migrations/[0-9]*.py")):
        yield f"{path.parent.parent.name}/{path.name}", ast.parse(path.read_text())


def taken_away(module: ast.Module) -> Iterator[str]:
    """Yield what a migration does on the way up that the version before does not survive."""
    for function in module.body:
        if not isinstance(function, ast.FunctionDef) or function.name == "downgrade":
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                yield from _faults(call, call.func.attr)


def _faults(call: ast.Call, named: str) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if named in TAKES_AWAY:
        yield f"line {call.lineno} {TAKES_AWAY[named]}"
    if named == "alter_column" and {"new_column_name", "nullable", "type_"} & given.keys():
        yield f"line {call.lineno} renames or changes a column"
    columns = [each for each in call.args if isinstance(each, ast.Call)] if named == "add_column" else []
    for column in columns:
        options = {keyword.arg: keyword.value for keyword in column.keywords}
        is_needed = isinstance(nullable := options.get("nullable"), ast.Constant) and nullable.value is False
        if is_needed and "server_default" not in options:
            yield f"line {call.lineno} adds a column that the version before does not fill"
    texts = [
        each.value
        for each in ast.walk(call)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    if named == "execute" and any(
        re.search(r"\b(DROP TABLE|DROP COLUMN|RENAME (TO|COLUMN))\b", text) for text in texts
    ):
        yield f"line {call.lineno} drops or renames by SQL"


def contracted_since(module: ast.Module) -> str | None:
    """Return the release that a migration says was the first without what it takes away: `contracts = "0.3.0"`."""
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            [target] = statement.targets
            if isinstance(target, ast.Name) and target.id == "contracts":
                return str(statement.value.value)
    return None


def test_a_migration_takes_nothing_away_that_the_release_before_still_uses() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    present = tuple(map(int, version[1].split(".")))
    for name, module in migrations():
        faults, since = list(taken_away(module)), contracted_since(module)
        if not faults or name in BEFORE_THE_FIRST_RELEASE:
            continue
        hint = 'expand first; take it away in a later release, with `contracts = "the release that stopped using it"`'
        assert since is not None, f"{name}: {'; '.join(faults)}: {hint}"
        assert tuple(map(int, since.split("."))) < present, f"{name}: {since} is not released yet: {hint}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_names_of_migrations_begin_with_their_numbers_which_have_no_gap(service: str) -> None:
    """So that a process need not read them to know which is the newest (`shared.store.migrate`)."""
    files = sorted((ROOT / "services" / service / "migrations").glob("*.py"))
    said = [re.findall(r'^revision = "(.*)"$', each.read_text(), re.MULTILINE) for each in files]
    numbers = [f"{number:04}" for number in range(1, len(files) + 1)]
    assert said == [[number] for number in numbers]
    assert [each.name.partition("_")[0] for each in files] == numbers


def test_those_from_before_the_first_release_are_all_there_is() -> None:
    faulty = {
        name for name, module in migrations() if list(taken_away(module)) and contracted_since(module) is None
    }
    assert faulty == BEFORE_THE_FIRST_RELEASE


@pytest.mark.parametrize(
    ("up", "fault"),
    [
        ('op.drop_column("orders", "names")', "drops a column"),
        ('op.rename_table("orders", "requests")', "renames a table"),
        ('op.alter_column("orders", "names", new_column_name="hosts")', "renames or changes a column"),
        ('op.add_column("orders", sa.Column("a", sa.Integer(), nullable=False))', "does not fill"),
        ('op.execute("ALTER TABLE orders RENAME COLUMN a TO b")', "by SQL"),
        ('op.add_column("orders", sa.Column("a", sa.Integer(), nullable=True))', ""),
        ('op.add_column("o", sa.Column("a", sa.Integer(), nullable=False, server_default="0"))', ""),
    ],
)
def test_what_takes_away_is_told_apart_from_what_adds(up: str, fault: str) -> None:
    module = ast.parse(f"def upgrade():\n    {up}\n\n\ndef downgrade():\n    op.drop_table('x')\n")
    found = list(taken_away(module))
    assert (fault in found[0]) if fault else not found
