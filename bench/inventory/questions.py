"""What is asked of the inventory, each question beside the bare SQL of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.inventory.sql import ROWS

LIMIT = 50
"""Items of a page."""
PAGE = 1_000
"""The page far down a list."""
GROUP = "group-7"
"""What a caller is limited to who sees only a part."""
_SORTS = {"": ("c.id",), "expires": ("c.not_after", "c.id"), "-expires": ("c.not_after DESC", "c.id DESC")}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, and the statement by hand that has the same answer."""

    name: str
    path: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    sql: str
    arguments: Sequence[Any] = ()
    is_list: bool = False
    """Whether the rows of the statement are the items of the answer."""
    is_scoped: bool = False
    """Asked by a caller who sees one group only."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of certificates that meet a condition, in an order."""

    name: str
    where: str = "true"
    arguments: Sequence[Any] = ()
    query: str = ""
    sort: str = ""
    is_scoped: bool = False

    def first(self) -> Question:
        """Return its first page."""
        return self._page(f"first_page.{self.name}", "", (), {})

    def later(self, cursor: str, last: Mapping[str, Any]) -> Question:
        """Return a page after the row that was `last`."""
        beyond = "<" if self.sort.startswith("-") else ">"
        number = len(self.arguments) + 1
        if not self.sort:
            return self._page(
                f"page_1000.{self.name}", f" AND c.id > ${number}", (last["id"],), {"cursor": cursor}
            )
        after = f" AND (c.not_after, c.id) {beyond} (${number}, ${number + 1})"
        at = datetime.fromisoformat(last["not_after"])
        return self._page(f"page_1000.{self.name}", after, (at, last["id"]), {"cursor": cursor})

    def _page(self, name: str, after: str, more: Sequence[Any], extra: Mapping[str, str]) -> Question:
        known = " AND c.not_after IS NOT NULL" if self.sort else ""
        order = ", ".join(_SORTS[self.sort])
        asked = {"query": self.query} if self.query else {}
        sorted_by = {"sort": self.sort} if self.sort else {}
        return Question(
            name=name,
            path="/inventory/v1/certificates",
            parameters={**asked, **sorted_by, **extra, "limit": LIMIT},
            sql=f"SELECT {ROWS} FROM certificates c WHERE {self.where}{known}{after} ORDER BY {order} LIMIT {LIMIT}",
            arguments=(*self.arguments, *more),
            is_list=True,
            is_scoped=self.is_scoped,
        )


_AT_PORT = """c.fingerprint IN (SELECT n.fingerprint FROM sightings n JOIN places p ON p.id = n.place_id
 WHERE p.port = $1)"""
_OF_GROUP = "EXISTS (SELECT FROM group_members g WHERE g.fingerprint = c.fingerprint AND g.group_id = $1)"
_UNDER = "c.fingerprint IN (SELECT n.fingerprint FROM certificate_names n WHERE n.backwards >= $1 AND n.backwards < $2)"


def listings(*, issuer: str, now: datetime) -> list[Listing]:
    """Return the lists, one for each kind of index."""
    soon = now + timedelta(days=30)
    return [
        Listing(name="seen"),
        Listing(name="expires", sort="expires"),
        Listing(
            name="expiring",
            where="c.not_after < $1",
            arguments=(soon,),
            query="expires < 30d",
            sort="expires",
        ),
        Listing(
            name="issuer",
            where="c.issuer_start = substr($1::text, 1, 100) AND c.issuer = $1",
            arguments=(issuer,),
            query=f'issuer = "{issuer}"',
        ),
        Listing(
            name="key_type",
            where="c.key_type = $1",
            arguments=("rsa",),
            query="key.type = rsa",
            sort="-expires",
        ),
        Listing(name="key_size", where="c.key_bits = $1", arguments=(4096,), query="key.size = 4096"),
        Listing(
            name="name",
            where=_UNDER,
            arguments=("elpmaxe.proc.7maet.", "elpmaxe.proc.7maet/"),
            query="name under team7.corp.example",
        ),
        Listing(name="owner", where="c.owner_id = $1", arguments=("team-7",), query="owner = team-7"),
        Listing(name="group", where=_OF_GROUP, arguments=(GROUP,), query=f"group = {GROUP}"),
        Listing(
            name="tag",
            where="EXISTS (SELECT FROM certificate_tags t WHERE t.fingerprint = c.fingerprint AND t.tag = $1)",
            arguments=("tag-7",),
            query="tag = tag-7",
        ),
        Listing(name="port", where=_AT_PORT, arguments=(993,), query="place.port = 993"),
        Listing(name="port_443", where=_AT_PORT, arguments=(443,), query="place.port = 443", sort="-expires"),
        Listing(name="scoped", where=_OF_GROUP, arguments=(GROUP,), sort="expires", is_scoped=True),
    ]


FAR = ("seen", "expires", "expiring", "key_type", "port_443")
"""The lists that are long enough for a page far down, at full size."""
_BY = {
    "key.type": "key_type",
    "issuer": "issuer",
    "owner": "owner_id",
    "current": "is_current",
    "urgency": "urgency",
}


def _facets(where: str) -> str:
    parts = [
        f"(SELECT '{column}', c.{column}::text, count(*) FROM certificates c WHERE {where} GROUP BY c.{column}"
        " ORDER BY count(*) DESC LIMIT 20)"
        for column in _BY.values()
    ]
    return " UNION ALL ".join(parts)


_SUMMARY = """SELECT (SELECT count(*) FROM certificates), (SELECT count(*) FROM certificates WHERE is_current),
 (SELECT count(*) FROM certificates WHERE finding IS NOT NULL), (SELECT count(*) FROM places),
 (SELECT count(*) FROM sightings WHERE fingerprint IS NULL),
 (SELECT json_object_agg(u, n) FROM (SELECT urgency u, count(*) n FROM certificates WHERE urgency IS NOT NULL GROUP BY 1) x),
 (SELECT json_object_agg(s, n) FROM (SELECT state s, count(*) n FROM replacements GROUP BY 1) x),
 (SELECT count(*) FROM certificates WHERE owner_id IS NULL AND is_current)"""


def counts(*, issuer: str) -> list[Question]:
    """Return what counts: all, by what they differ, and the dashboard."""
    root = "/inventory/v1/certificates"
    by = ",".join(_BY)
    every = [
        Question(name="count", path=f"{root}/count", sql="SELECT count(*) FROM certificates"),
        Question(name="facets", path=f"{root}/facets", parameters={"by": by}, sql=_facets("true")),
        Question(
            name="facets_places",
            path=f"{root}/facets",
            parameters={"by": "place.port,place.kind"},
            sql="SELECT p.port::text, count(*) FROM sightings n JOIN places p ON p.id = n.place_id WHERE n.fingerprint IS NOT NULL"
            " GROUP BY 1 UNION ALL SELECT p.kind, count(*) FROM sightings n JOIN places p ON p.id = n.place_id"
            " WHERE n.fingerprint IS NOT NULL GROUP BY 1",
        ),
        Question(
            name="facets_issuer",
            path=f"{root}/facets",
            parameters={"by": by, "query": f'issuer = "{issuer}"'},
            sql=_facets("c.issuer_start = substr($1::text, 1, 100) AND c.issuer = $1"),
            arguments=(issuer,),
        ),
        Question(name="dashboard", path="/inventory/v1/summary", sql=_SUMMARY),
    ]
    of_group = "EXISTS (SELECT FROM group_members g WHERE g.fingerprint = c.fingerprint AND g.group_id = $1)"
    scoped = [
        Question(
            name="scoped.count",
            path=f"{root}/count",
            sql=f"SELECT count(*) FROM certificates c WHERE {of_group}",
            arguments=(GROUP,),
            is_scoped=True,
        ),
        Question(
            name="scoped.facets",
            path=f"{root}/facets",
            parameters={"by": by},
            sql=_facets(of_group),
            arguments=(GROUP,),
            is_scoped=True,
        ),
    ]
    return [*every, *scoped, replace(every[-1], name="scoped.dashboard", is_scoped=True)]


def names() -> list[str]:
    """Return the names of all questions, in order; nothing is started to know them."""
    lists = listings(issuer="", now=datetime.now(UTC))
    return [
        *(f"first_page.{each.name}" for each in lists),
        *(f"page_1000.{name}" for name in FAR),
        *(each.name for each in counts(issuer="")),
    ]
