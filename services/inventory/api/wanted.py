"""What the routes take to say which certificates or places are wanted, and in which order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator

from services.inventory.domain.oddities import Code
from services.inventory.domain.query import FIRST_SEEN, Asked, Order, parse, parse_order, position
from services.inventory.domain.query import cursor as cursor_parts
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.queries.sorts import place_in
from services.inventory.store.visibility import Scope
from shared.access import Principal
from shared.clock import WrittenOut
from shared.http import Paging


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Moment = Annotated[datetime, WrittenOut, AfterValidator(_in_utc)]
"""An instant; one without an offset is in UTC."""
QueryText = Annotated[
    str | None,
    Query(
        description="A question in the query language; `GET /v1/query-fields` lists its fields.",
        examples=["expires < 30d and key.type = rsa and place.port = 443"],
    ),
]


def scope_of(caller: Principal) -> Scope:
    """Return the groups that a caller is limited to."""
    return caller.groups or None


def asked(query: str | None, *, now: datetime) -> Asked | None:
    """Read a question. Raises `Invalid`."""
    return None if query is None else Asked(query=parse(query), now=now)


class Wanted:
    """Which certificates are wanted: a question in the query language, and single filters beside it."""

    def __init__(
        self,
        *,
        query: QueryText = None,
        name: Annotated[
            str | None, Query(max_length=255, description="A name, or `*.example.com` for all below it.")
        ] = None,
        lineage_id: Annotated[str | None, Query(max_length=100)] = None,
        expires_before: Moment | None = None,
        key_type: Annotated[str | None, Query(max_length=50)] = None,
        address: Annotated[str | None, Query(max_length=255, description="Of a place it is at.")] = None,
        port: Annotated[int | None, Query(ge=1, le=65535)] = None,
        current: Annotated[bool | None, Query(description="Whether its expiry matters.")] = None,
        oddity: Annotated[Code | None, Query(description="Only those of which this is odd.")] = None,
        key_fingerprint: Annotated[str | None, Query(max_length=64)] = None,
    ) -> None:
        self._query = query
        self._filters: dict[str, Any] = {
            "name": name,
            "lineage_id": lineage_id,
            "expires_before": expires_before,
            "key_type": key_type,
            "address": address,
            "port": port,
            "is_current": current,
            "oddity": oddity,
            "key_fingerprint": key_fingerprint and key_fingerprint.lower(),
        }

    def seen_by(self, caller: Principal, *, now: datetime) -> CertificateFilter:
        """Return the filter, limited to what the caller may see. Raises `Invalid` for a question that is none."""
        question = asked(self._query, now=now)
        return CertificateFilter(**self._filters, asked=question, scope=scope_of(caller))


class Sorted:
    """In which order certificates are wanted."""

    def __init__(
        self,
        sort: Annotated[
            str | None,
            Query(
                max_length=100,
                description="A field that can be sorted by; `-` before it turns the order round. What has no value "
                "comes last. By default `seen`.",
                examples=["-expires"],
            ),
        ] = None,
    ) -> None:
        self.order: Order = FIRST_SEEN if sort is None else parse_order(sort)

    def after(self, paging: Paging) -> Any:
        """Return where the page begins. Raises `Invalid` where the cursor is of another list."""
        return position(paging.after, self.order)

    def cursor(self, row: Any) -> Sequence[str]:
        """Return what the page after this row starts after."""
        return cursor_parts(self.order, place_in(row, self.order))
