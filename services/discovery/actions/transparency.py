"""Certificate Transparency logs as callers know them: configured, shown, changed, forgotten; and the names known."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import IntegrityError

from services.discovery import store
from services.discovery.domain.checkpoints import MOST_ENTRIES, read_log_key
from services.discovery.domain.targets import is_address, parse_server_name
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound, Stale
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database

log = structlog.get_logger(__name__)

START_NOW = "now"
START_AT_THE_BEGINNING = "beginning"


@dataclass(frozen=True, kw_only=True)
class NewLog:
    """What is asked of a log, as the caller wrote it."""

    url: str
    public_key: str | None
    suffixes: Sequence[str]
    start: int | str
    """The number of an entry, `beginning`, or `now`: only what is added from now on."""
    groups: Sequence[str] = ()


class CtLogs:
    """What callers do with logs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: NewLog, *, caller: Principal, now: datetime) -> store.CtLog:
        """Begin to read a log. Raises `Invalid` with a pointer, `Forbidden`, and `Conflict` where it is read already."""
        if new.public_key is not None:
            read_log_key(new.public_key, pointer="/body/public_key")
        row = store.CtLog(
            id=new_id(),
            url=_url(new.url),
            public_key=new.public_key,
            suffixes=_suffixes(new.suffixes),
            groups=listed(caller.grouped(new.groups)),
            state="new",
            position=_position(new.start),
            next_read_at=now,
            created_at=now,
            created_by=caller.name,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            tx.session.add(row)
            try:
                await tx.session.flush()
            except IntegrityError as error:
                raise Conflict(
                    "That log is read already.", next_step="Change its suffixes, or delete it first."
                ) from error
        return row

    async def get(self, log_id: str, *, caller: Principal) -> store.CtLog:
        """Return a log. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.CtLog, log_id), caller=caller)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.CtLog]:
        """Return up to `limit + 1` logs that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.list_logs(session, after=after, limit=limit, scope=caller.scope)

    async def change(
        self,
        log_id: str,
        *,
        suffixes: Sequence[str],
        groups: Sequence[str] | None = None,
        expected: int,
        caller: Principal,
        now: datetime,
    ) -> store.CtLog:
        """Keep names under other suffixes from here on; without `groups`, those stay.

        Raises `Invalid`, `NotFound`, `Forbidden` and `Stale`.
        """
        wanted = _suffixes(suffixes)
        async with self._database.transaction() as tx:
            row = _seen(await store.log_to_update(tx, log_id), caller=caller)
            if row.version != expected:
                raise Stale("The log was changed since you read it.", next_step="Read it again.")
            if groups is not None:
                row.groups = listed(caller.grouped(groups, before=row.groups))
            row.suffixes, row.version, row.updated_at = wanted, row.version + 1, now
            # Who reads it holds the old suffixes: let them stop, and another begin where they stood.
            row.lease = row.lease_until = None
            row.next_read_at = min(row.next_read_at, now)
        log.info("ct_log.changed", ct_log=log_id, by=caller.id)
        return row

    async def delete(self, log_id: str, *, caller: Principal) -> None:
        """Read it no more; the names it gave stay. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await tx.session.delete(_seen(await store.log_to_update(tx, log_id), caller=caller))
        log.info("ct_log.removed", ct_log=log_id, by=caller.id)

    async def names(
        self, *, under: str, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.KnownName]:
        """Return all that is known of the first `limit + 1` names under a name. Raises `Invalid`.

        A caller with groups sees what logs have told that are read for one of them; the other names are in no group.
        """
        suffix = parse_server_name(under, pointer="/query/under")
        async with self._database.read() as session:
            is_limited = caller.scope is not None
            read_for = await store.suffixes_within(session, caller.scope) if is_limited else None
            return await store.list_names(
                session, under=suffix, after=after, limit=limit, in_logs_for=read_for
            )


def _url(text: str) -> str:
    """Return the monitoring prefix without a slash at the end."""
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise _invalid("/body/url", f"not a URL: {error}") from error
    if parts.scheme not in ("https", "http") or not host or not text.isascii() or not text.isprintable():
        raise _invalid("/body/url", "write https://host/path")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _invalid("/body/url", "a monitoring prefix has no user, query or fragment")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise _invalid("/body/url", "use https; http is only for this very machine")
    if not is_address(host):
        parse_server_name(host, pointer="/body/url")
    return text.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _suffixes(texts: Sequence[str]) -> list[str]:
    found = []
    for number, text in enumerate(texts):
        pointer = f"/body/suffixes/{number}"
        name = parse_server_name(text.strip().removeprefix("*").removeprefix("."), pointer=pointer)
        if "." not in name:
            raise _invalid(pointer, f"{name!r} is a whole top-level domain; write example.com")
        found.append(name)
    return list(dict.fromkeys(found))


def _position(start: int | str) -> int | None:
    if start == START_NOW:
        return None
    position = 0 if start == START_AT_THE_BEGINNING else start
    if not isinstance(position, int) or not 0 <= position < MOST_ENTRIES:
        raise _invalid("/body/start", "write now, beginning, or the number of an entry")
    return position


def _invalid(pointer: str, message: str) -> Invalid:
    return Invalid(
        f"{message}.",
        next_step="Copy the monitoring URL of a log from a list of logs, and name domains as example.com.",
        faults=[Fault(pointer=pointer, message=message)],
    )


def _seen(row: store.CtLog | None, *, caller: Principal) -> store.CtLog:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such log.", next_step="List them at GET /v1/ct-logs.")
    return row
