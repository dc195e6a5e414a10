"""Answers how many certificates a question finds, by what they differ, and gives all of them out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.inventory.domain.query import Field, Order
from services.inventory.store import certificates
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.facets import Facet, counted, facet
from services.inventory.store.patience import given_up, longest
from services.inventory.store.queries.sorts import place_in
from shared.store import Database
from shared.store.reader import Found, Reader

EXPORT_ROWS = 1000
"""So many are in memory at a time, and so short is each transaction."""


class Searching:
    """Questions to all certificates at once; each holds to what the filter says that may be seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, wanted: CertificateFilter) -> int:
        """Return how many certificates there are."""
        if wanted.is_everything:
            async with self._database.read() as session:
                return await certificates.count(session, wanted)
        async with self._asking(wanted) as reader:
            return await certificates.counted(reader, wanted)

    async def facets(
        self, wanted: CertificateFilter, *, fields: Sequence[Field], limit: int
    ) -> Sequence[Facet]:
        """Return for each field its commonest values, at most `limit`."""
        if wanted.is_everything:
            async with self._database.read() as session:
                return [await facet(session, field.name, wanted, limit=limit) for field in fields]
        async with self._asking(wanted) as reader:
            return [await counted(reader, field.name, wanted, limit=limit) for field in fields]

    @asynccontextmanager
    async def _asking(self, wanted: CertificateFilter) -> AsyncIterator[Reader]:
        with given_up():
            async with self._database.reader(longest=longest(wanted.asked)) as reader:
                yield reader

    async def export(self, wanted: CertificateFilter, *, order: Order) -> AsyncIterator[Sequence[Found]]:
        """Return all certificates, in batches; each is read in a transaction of its own.

        What changes meanwhile may be missed or be there as it is now; nothing is there twice, unless what
        it is ordered by has changed.
        """
        after = None
        while True:
            async with self._database.reader() as reader:
                found = await certificates.page(reader, wanted, order=order, after=after, limit=EXPORT_ROWS)
            yield found[:EXPORT_ROWS]
            if len(found) <= EXPORT_ROWS:
                return
            after = place_in(found[EXPORT_ROWS - 1], order)
