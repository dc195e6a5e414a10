"""Writes a bill of cryptographic materials, a page of the inventory at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain import cbom
from services.inventory.domain.cbom import Key, Protocol, Spec
from services.inventory.domain.query import parse, write
from services.inventory.store import cbom as store
from services.inventory.store.assessment_tables import PlaceTlsRow
from services.inventory.store.association_tables import AuthorityRow
from services.inventory.store.queries import condition
from services.inventory.store.tables import Certificate, PlaceRow
from services.inventory.store.visibility import Scope, visible_certificates
from shared.events.discovery import TlsFacts
from shared.ids import new_id
from shared.store import Database

PAGE = 500
T = TypeVar("T", bound=AuthorityRow | Certificate | Key | Protocol)
KeysOf = Callable[..., Awaitable[Sequence[tuple[str, str | None, int | None]]]]
CertificatesOf = Callable[..., Awaitable[Sequence[Certificate | AuthorityRow]]]
Fetch = Callable[[AsyncSession, str], Awaitable[Sequence[T]]]


class Cbom:
    """Bills of what the caller may see and asks for."""

    def __init__(self, database: Database, *, page: int = PAGE) -> None:
        self._database = database
        self._page = page

    def bill(self, *, spec: Spec, query: str | None, now: datetime, scope: Scope) -> AsyncIterator[str]:
        """Return a document in pieces. Raises `Invalid` at once where the query cannot be read."""
        asked = parse(query) if query else None
        wanted = [*visible_certificates(scope)]
        if asked is not None:
            wanted.append(condition(asked, now=now))
        return self._written(wanted, spec=spec, query=write(asked) if asked else "", now=now)

    async def _written(
        self, wanted: store.Conditions, *, spec: Spec, query: str, now: datetime
    ) -> AsyncIterator[str]:
        yield cbom.head(spec=spec, serial=new_id(), at=now, query=query)
        is_first = True
        async for parts in self._components(wanted, spec=spec, now=now):
            text = "".join(cbom.joined(parts, is_first=is_first))
            is_first = is_first and not text
            yield text
        yield cbom.next_list()
        is_first = True
        async for parts in self._dependencies(wanted):
            text = "".join(cbom.joined(parts, is_first=is_first))
            is_first = is_first and not text
            yield text
        yield cbom.end()

    async def _components(
        self, wanted: store.Conditions, *, spec: Spec, now: datetime
    ) -> AsyncIterator[Iterable[dict[str, Any]]]:
        async with self._database.read() as session:
            names = await store.signatures(session, wanted)
            kinds = await store.kinds_of_keys(session, wanted)
        yield [cbom.signature_algorithm(name, spec=spec) for name in names]
        yield [cbom.key_algorithm(kind, bits, spec=spec) for kind, bits in kinds]
        for keys_of in (store.keys, store.keys_above):
            async for keys in self._keys(keys_of, wanted):
                yield [cbom.key(each, spec=spec) for each in keys]
        for rows_of in (store.certificates, store.above):
            async for rows in self._certificates(rows_of, wanted):
                yield [cbom.certificate(row, spec=spec, at=now) for row in rows]
        async for spoken in self._protocols(wanted):
            yield chain.from_iterable(cbom.protocols(each, spec=spec) for each in spoken)

    async def _dependencies(self, wanted: store.Conditions) -> AsyncIterator[Iterable[dict[str, Any]]]:
        for keys_of in (store.keys, store.keys_above):
            async for keys in self._keys(keys_of, wanted):
                yield chain.from_iterable(map(cbom.depends, keys))
        async for rows in self._certificates(store.certificates, wanted):
            async with self._database.read() as session:
                above = await store.issuers(session, [row.fingerprint for row in rows])
            yield chain.from_iterable(
                cbom.depends(row, issuers=above.get(row.fingerprint, ())) for row in rows
            )
        async for rows in self._certificates(store.above, wanted):
            yield chain.from_iterable(map(cbom.depends, rows))
        async for spoken in self._protocols(wanted):
            yield chain.from_iterable(map(cbom.depends, spoken))

    def _keys(self, of: KeysOf, wanted: store.Conditions) -> AsyncIterator[Sequence[Key]]:
        async def fetch(session: AsyncSession, after: str) -> Sequence[Key]:
            rows = await of(session, wanted, after=after, limit=self._page)
            return [Key(fingerprint=key, kind=kind, bits=bits) for key, kind, bits in rows]

        return self._pages(fetch, key=lambda each: each.fingerprint)

    def _certificates(
        self, of: CertificatesOf, wanted: store.Conditions
    ) -> AsyncIterator[Sequence[Certificate | AuthorityRow]]:
        async def fetch(session: AsyncSession, after: str) -> Sequence[Certificate | AuthorityRow]:
            return await of(session, wanted, after=after, limit=self._page)

        return self._pages(fetch, key=lambda each: each.fingerprint)

    def _protocols(self, wanted: store.Conditions) -> AsyncIterator[Sequence[Protocol]]:
        async def fetch(session: AsyncSession, after: str) -> Sequence[Protocol]:
            rows = await store.spoken(session, wanted, after=after, limit=self._page)
            return [_protocol(*row) for row in rows]

        return self._pages(fetch, key=lambda each: each.place_id)

    async def _pages(self, fetch: Fetch[T], *, key: Callable[[T], str]) -> AsyncIterator[Sequence[T]]:
        """Yield pages; no connection is held while a slow reader takes one."""
        after = ""
        while True:
            async with self._database.read() as session:
                found = await fetch(session, after)
            if found:
                yield found
            if len(found) < self._page:
                return
            after = key(found[-1])


def _protocol(place: PlaceRow, fingerprint: str, tls: PlaceTlsRow) -> Protocol:
    facts = TlsFacts.model_validate(tls.facts) if tls.facts is not None else None
    return Protocol(
        place_id=place.id,
        address=place.address,
        port=place.port or 0,
        server_name=place.server_name,
        fingerprint=fingerprint,
        suites=cbom.suites_of(facts, version=tls.version, suite=tls.suite),
        groups=facts.groups if facts is not None else [tls.group] if tls.group else [],
    )
