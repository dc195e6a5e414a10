"""Reading by the driver itself, for what is asked most: SQLAlchemy writes the statement, asyncpg or aiosqlite runs it.

To execute a statement through SQLAlchemy's session costs ten times what the driver takes for it, and a list of fifty
rows twice. The rows are as a session would give them: columns are attributes, with the types that they have in the table.
"""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Protocol

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Found = SimpleNamespace
"""A row; its columns are attributes, and `vars` makes a dictionary of it."""
_DOUBLE = 701
"""PostgreSQL's number for the one type of numbers with a fraction that our tables have; for other types it is not asked."""
RESTS_SINCE = "rests_since"
"""What the pool notes of a connection: the instant of the monotonic clock at which somebody was through with it."""
_Converters = Mapping[str, Callable[[Any], Any]]
_Columns = Mapping[str, Callable[[Any], Any] | None]
"""The names of what a statement returns, in order, each with what its values are to be read by, where that is something."""
_FORMS = 500
"""Of statements that are kept; the one that was asked for longest ago goes first."""


class TookTooLong(Exception):
    """A statement was given up after the time that it might take."""


class Reader(Protocol):
    """Asks the database."""

    async def rows(self, statement: "Fixed", **values: Any) -> list[Found]:
        """Return the rows of a statement; `values` are those of its parameters.

        Raises `DBAPIError`, and `TookTooLong` where the reader was opened with a limit.
        """

    async def values(self, statement: "Fixed", **values: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement whose columns are texts and numbers, each row as values in their order.

        That is a fifth of what rows cost: for what is read many at a time. Raises what `rows` does.
        """

    async def found(self, query: sa.Select[Any]) -> list[Found]:
        """Return what a query finds. Raises what `rows` does."""

    async def listed(self, query: sa.Select[Any], columns: "Columns") -> list[Found]:
        """Return what a query finds that was made of `columns.selected`. Raises what `rows` does."""


class Fixed:
    """A statement of which nothing changes but the values of its parameters: it is compiled once."""

    def __init__(self, statement: "sa.SelectBase | sa.UpdateBase") -> None:
        """What changes rows and returns some (RETURNING) is for `Database.single`."""
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def compiled(self, dialect: sa.Dialect) -> "_Compiled":
        """Return it as the driver takes it."""
        if dialect.name not in self._compiled:
            columns = _columns(self.statement, dialect)
            self._compiled[dialect.name], _ = _compile(self.statement, dialect, columns)
        return self._compiled[dialect.name]


class Columns:
    """What a list shows of a table: it is written out once, which is half the work of writing a statement."""

    def __init__(self, table: Any, *columns: Any) -> None:
        self.selected: sa.Select[Any] = sa.select(*columns)
        """What a query begins with; its conditions and its order come after."""
        self._table = table
        self._columns = columns
        self._written: dict[str, tuple[Any, _Columns]] = {}
        self._forms = _Forms()

    def compiled(self, query: sa.Select[Any], dialect: sa.Dialect) -> "_Ready":
        """Return a query that was made of `selected` as the driver takes it, and the values of its parameters."""
        if dialect.name not in self._written:
            text = ", ".join(str(column.compile(dialect=dialect)) for column in self._columns)
            self._written[dialect.name] = sa.literal_column(text), _columns(self.selected, dialect)
        written, columns = self._written[dialect.name]
        whole = query.with_only_columns(written).select_from(self._table)
        return self._forms.compiled(whole, dialect, columns=columns)


class _Forms:
    """Statements as the driver takes them, one for each form: what differs between two questions of one form are values."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, _Form] = OrderedDict()

    def compiled(
        self, query: sa.Select[Any], dialect: sa.Dialect, *, columns: "_Columns | None" = None
    ) -> "_Ready":
        # What SQLAlchemy's own cache of statements is asked with: two are equal where they differ in values alone.
        key = query._generate_cache_key()  # noqa: SLF001 - it has no other name
        form = None if key is None else self._kept.get((dialect.name, key.key))
        if key is not None and form is not None:
            self._kept.move_to_end((dialect.name, key.key))
            return form.compiled, form.values(key.bindparams)
        compiled, names = _compile(query, dialect, _columns(query, dialect) if columns is None else columns)
        placed = [] if key is None or names is None else [names.get(each) for each in key.bindparams]
        # Where one is not found again, a value would stay that of the first who asked.
        if key is not None and names is not None and set(compiled.names) == set(filter(None, placed)):
            self._kept[dialect.name, key.key] = _Form(compiled, placed)
            if len(self._kept) > _FORMS:
                self._kept.popitem(last=False)
        return compiled, compiled.values


@dataclass(frozen=True)
class _Form:
    """A compiled statement, and which name the parameters have in it, in the order in which a statement of that form has them."""

    compiled: "_Compiled"
    names: Sequence[str | None]

    def values(self, parameters: Sequence[sa.BindParameter[Any]]) -> Mapping[str, Any]:
        """Return the values of another statement of the same form, by the names that they have in this one."""
        named = zip(self.names, parameters, strict=True)
        return {name: parameter.effective_value for name, parameter in named if name is not None}


_Ready = tuple["_Compiled", Mapping[str, Any]]
_QUERIES = _Forms()


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    text: str
    names: Sequence[str]
    """Of the parameters, in order."""
    values: Mapping[str, Any]
    """Of those that the statement brings along."""
    taken: _Converters
    given: _Converters
    """How values are written for the driver, and what of its rows is to be read otherwise."""
    columns: Sequence[str]
    """Of its rows, in order."""

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        every = {**self.values, **values}
        return [self.taken[name](every[name]) if name in self.taken else every[name] for name in self.names]

    def row(self, record: Mapping[str, Any]) -> Found:
        found = Found(**record)
        for name, convert in self.given.items():
            setattr(found, name, convert(getattr(found, name)))
        return found


def _columns(statement: Any, dialect: sa.Dialect) -> _Columns:
    return {
        column.key: column.type.dialect_impl(dialect).result_processor(dialect, _DOUBLE)
        for column in statement.exported_columns
    }


def _compile(
    statement: Any, dialect: sa.Dialect, columns: _Columns
) -> tuple[_Compiled, Mapping[Any, str] | None]:
    """Return a statement as the driver takes it, and the names of its parameters; None where its text depends on their values."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    is_fixed = not any(bind.expanding or bind.literal_execute for bind in compiled.binds.values())
    taken = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
    }
    ready = _Compiled(
        text=str(compiled),
        names=compiled.positiontup or (),
        values=compiled.params,
        taken={name: convert for name, convert in taken.items() if convert is not None},
        given={name: convert for name, convert in columns.items() if convert is not None},
        columns=list(columns),
    )
    return ready, compiled.bind_names if is_fixed else None


class _Driver:
    """Reads on a connection of asyncpg."""

    def __init__(self, connection: Any, dialect: sa.Dialect, longest: timedelta | None) -> None:
        self._connection = connection
        self._dialect = dialect
        self._longest = longest

    async def rows(self, statement: Fixed, **values: Any) -> list[Found]:
        return await self._found(statement.compiled(self._dialect), values)

    async def values(self, statement: Fixed, **values: Any) -> Sequence[Sequence[Any]]:
        return await self._records(statement.compiled(self._dialect), values)

    async def found(self, query: sa.Select[Any]) -> list[Found]:
        return await self._found(*_QUERIES.compiled(query, self._dialect))

    async def listed(self, query: sa.Select[Any], columns: Columns) -> list[Found]:
        return await self._found(*columns.compiled(query, self._dialect))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Have what is run inside done all together; where it raises, end the connection, and with it what was done."""
        try:
            await self._tell("BEGIN")
            yield
            await self._tell("COMMIT")
        except BaseException:
            # To say ROLLBACK would have to be waited for, which who is cancelled cannot do.
            self._connection.terminate()
            raise

    async def _tell(self, word: str) -> None:
        with self._named(word):
            await self._connection.execute(word)

    async def _found(self, ready: _Compiled, values: Mapping[str, Any]) -> list[Found]:
        return [ready.row(record) for record in await self._records(ready, values)]

    async def _records(self, ready: _Compiled, values: Mapping[str, Any]) -> Sequence[Any]:
        seconds = None if self._longest is None else self._longest.total_seconds()
        with self._named(ready.text):
            try:
                found: Sequence[Any] = await self._connection.fetch(
                    ready.text, *ready.arguments(values), timeout=seconds
                )
            except TimeoutError as error:
                raise TookTooLong from error
        return found

    @contextmanager
    def _named(self, text: str) -> Iterator[None]:
        """Tell of what the driver raises in the same words as a session."""
        try:
            yield
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # The last is what a connection says that the server is just ending.
            is_lost = self._connection.is_closed() or isinstance(error, asyncpg.InternalClientError)
            raise sa.exc.DBAPIError(
                text, None, error, hide_parameters=True, connection_invalidated=is_lost
            ) from error


class _Session:
    """Reads in a session, with what that has written already."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def rows(self, statement: Fixed, **values: Any) -> list[Found]:
        return await self._found(statement.statement, values)

    async def values(self, statement: Fixed, **values: Any) -> Sequence[Sequence[Any]]:
        query: Any = statement.statement
        found: Sequence[Sequence[Any]] = (await self._session.execute(query, values)).all()
        return found

    async def found(self, query: sa.Select[Any]) -> list[Found]:
        return await self._found(query, {})

    async def listed(self, query: sa.Select[Any], columns: Columns) -> list[Found]:  # noqa: ARG002 - they are in it
        return await self._found(query, {})

    async def _found(self, query: Any, values: Mapping[str, Any]) -> list[Found]:
        return [Found(**row) for row in (await self._session.execute(query, values)).mappings()]


class _File(_Driver):
    """Reads on a connection of aiosqlite: its thread is asked once for each statement, by a session four times."""

    async def _found(self, ready: _Compiled, values: Mapping[str, Any]) -> list[Found]:
        records = await self._records(ready, values)
        return [ready.row(dict(zip(ready.columns, record, strict=True))) for record in records]

    async def _records(self, ready: _Compiled, values: Mapping[str, Any]) -> Sequence[Any]:
        try:
            found = await self._connection.execute_fetchall(ready.text, ready.arguments(values))
        except sqlite3.Error as error:
            raise sa.exc.DBAPIError.instance(
                ready.text, None, error, sqlite3.Error, hide_parameters=True, dialect=self._dialect
            ) from error
        return list(found)


class AtHand:
    """Connections that stay borrowed between two questions: SQLAlchemy's pool takes longer to give one out than the driver to ask.

    At most so many, and none while all of the pool are in use: somebody may be waiting for one.
    """

    def __init__(self, engine: AsyncEngine, *, most: int, fresh: float) -> None:
        """`fresh` is for how many seconds of rest a connection is taken to be alive; after that the pool has a look at it."""
        self._engine = engine
        self._most = most
        self._fresh = fresh
        self._resting: list[PoolProxiedConnection] = []

    @asynccontextmanager
    async def reader(self, *, longest: timedelta | None = None) -> AsyncIterator[Reader]:
        """Open a reader on PostgreSQL; a statement that takes longer raises `TookTooLong`."""
        async with self._lent() as borrowed:
            yield _Driver(borrowed.driver_connection, self._engine.dialect, longest)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Reader]:
        """Open a transaction on PostgreSQL: it commits when the block ends, and is undone where that raises."""
        async with self._lent() as borrowed:
            driver = _Driver(borrowed.driver_connection, self._engine.dialect, None)
            async with driver.transaction():
                yield driver

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[PoolProxiedConnection]:
        borrowed = self._rested() or await _borrowed(self._engine)
        try:
            yield borrowed
        except BaseException:
            borrowed.close()
            raise
        self._put_down(borrowed)

    def close(self) -> None:
        """Give all back to the pool, those in use too once they are not any more."""
        self._most = 0
        while self._resting:
            self._resting.pop().close()

    def _rested(self) -> PoolProxiedConnection | None:
        while self._resting:
            borrowed = self._resting.pop()
            rest = time.monotonic() - borrowed.record_info[RESTS_SINCE]  # type: ignore[index] # it is in the pool's charge
            if rest < self._fresh and not borrowed.driver_connection.is_closed():  # type: ignore[union-attr] # while it is borrowed there is one
                return borrowed
            borrowed.close()
        return None

    def _put_down(self, borrowed: PoolProxiedConnection) -> None:
        pool: Any = self._engine.sync_engine.pool  # a QueuePool; what all pools have does not count
        if len(self._resting) >= self._most or pool.checkedout() >= pool.size():
            borrowed.close()
            return
        borrowed.record_info[RESTS_SINCE] = time.monotonic()  # type: ignore[index] # it is in the pool's charge
        self._resting.append(borrowed)


async def _borrowed(engine: AsyncEngine) -> PoolProxiedConnection:
    """Take a connection; one that cannot be opened is told of in the same words as to a session."""
    base: Any = engine.dialect.loaded_dbapi.Error
    try:
        return await engine.raw_connection()
    except base as error:
        raise sa.exc.DBAPIError.instance(
            None, None, error, base, hide_parameters=True, dialect=engine.dialect
        ) from error


@asynccontextmanager
async def reader_of_file(engine: AsyncEngine) -> AsyncIterator[Reader]:
    """Open a reader on SQLite; each statement is a transaction of its own."""
    async with engine.connect() as connection:
        borrowed = await connection.get_raw_connection()
        yield _File(borrowed.driver_connection, engine.dialect, None)


def reader_in(session: AsyncSession) -> Reader:
    """Return a reader in a session."""
    return _Session(session)


class Texts(sa.TypeDecorator[Sequence[str]]):
    """Many texts as one value: an array on PostgreSQL, JSON on SQLite."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Choose the form that the database can go through."""
        array: sa.types.TypeEngine[Any] = postgresql.ARRAY(sa.String())
        return dialect.type_descriptor(array if dialect.name == "postgresql" else sa.JSON())


class among(FunctionElement[bool]):  # noqa: N801 - it is called as a function
    """The condition that a column has one of the texts that the parameter of this name will hold."""

    inherit_cache = True
    type = sa.Boolean()
    name = "among"

    def __init__(self, column: Any, parameter: str) -> None:
        super().__init__(column, sa.bindparam(parameter, type_=Texts()))


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **given: Any) -> str:
    column, texts = (compiler.process(each, **given) for each in element.clauses)
    return f"{column} = ANY ({texts})"


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **given: Any) -> str:
    column, texts = (compiler.process(each, **given) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - both are compiled
