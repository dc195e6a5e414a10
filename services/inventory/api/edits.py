"""The routes that change how certificates are organised: one, or many at once."""

from datetime import datetime
from typing import Annotated

from fastapi import Header, Path, Request, Response
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from services.inventory.actions.edits import Edits
from services.inventory.actions.outcomes import Trial, Which
from services.inventory.actions.wanted import Wanted
from services.inventory.api.certificates import CertificateView, shown
from services.inventory.store.organised import EditRow
from shared.access import Principal, requires
from shared.clock import Clock
from shared.errors import Invalid, Stale
from shared.http import Body, Page, Paging, Routes, View, etag, number_in, of_query
from shared.idempotency import IdempotencyKey, Once

Reader = Annotated[Principal, requires("certificates:read")]
Writer = Annotated[Principal, requires("certificates:write")]
AllPages = Annotated[Paging, of_query(Paging)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The `ETag` you have read.")]
Fingerprint = Annotated[str, Path(min_length=64, max_length=64, pattern=r"^[0-9A-Fa-f]{64}$")]
Named = Annotated[str, Field(min_length=1, max_length=100)]
RawValue = StrictBool | StrictInt | StrictFloat | StrictStr | None
MOST_LISTED = 10_000


class ChangesBody(Body):
    """What is to be changed; what is left out stays."""

    owner: Named | None = Field(None, description="A team's id; null: nobody.", examples=["payments"])
    add_tags: list[Named] = Field([], max_length=100, examples=[["env:prod"]])
    remove_tags: list[Named] = Field([], max_length=100)
    set_fields: dict[Named, RawValue] = Field(
        {}, max_length=100, description="Null takes the value away.", examples=[{"cost-centre": "4711"}]
    )
    add_to_groups: list[Named] = Field([], max_length=100, description="Groups by hand.", examples=[["web"]])
    remove_from_groups: list[Named] = Field([], max_length=100)


class BulkBody(ChangesBody):
    """Which certificates, and what is to be changed of them."""

    query: str | None = Field(None, min_length=1, max_length=4000, examples=["name under shop.example.com"])
    fingerprints: list[Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]] | None = Field(
        None, min_length=1, max_length=MOST_LISTED, examples=[None]
    )
    dry_run: bool = Field(False, description="Change nothing, and say what would be.", examples=[True])

    @model_validator(mode="after")
    def _is_one(self) -> "BulkBody":
        if (self.query is None) == (self.fingerprints is None):
            msg = "name either a query or fingerprints"
            raise ValueError(msg)
        return self


class EditView(View):
    """An edit of many certificates: matched = changed + unchanged + refused, of those it has come to."""

    id: str | None = Field(description="Empty for a dry run.")
    state: str = Field(description="`running`, `done`, or `dry-run`.", examples=["done"])
    total: int | None = Field(
        None, description="Of a dry run: all that match; the counts are of the first 10000."
    )
    matched: int
    changed: int
    unchanged: int
    refused: int
    reasons: dict[str, int] = Field(description="Why some were refused, and how many.")
    created_at: datetime | None
    created_by: str | None
    ended_at: datetime | None


def edit_routes(edits: Edits, *, once: Once, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.patch(
        "/certificates/{fingerprint}",
        summary="Say who owns a certificate, its tags, fields and groups by hand",
    )
    async def change_certificate(
        caller: Writer,
        fingerprint: Fingerprint,
        body: ChangesBody,
        response: Response,
        if_match: IfMatch = None,
    ) -> CertificateView:
        row, labels = await edits.one(
            fingerprint.lower(), _wanted(body), version=_version(if_match), caller=caller, now=clock()
        )
        response.headers["ETag"] = etag(labels.version)
        return shown(row, labels)

    @routes.post("/certificates/bulk", summary="Change many certificates at once, or say what that would do")
    async def change_certificates(
        caller: Writer, body: BulkBody, request: Request, key: IdempotencyKey = None
    ) -> EditView:
        prints = [each.lower() for each in body.fingerprints] if body.fingerprints is not None else None
        which = Which(query=body.query, fingerprints=prints)

        async def create() -> EditView:
            if body.dry_run:
                return tried(await edits.try_out(which, _wanted(body), caller=caller, now=clock()))
            row = await edits.start(which, _wanted(body), caller=caller, now=clock())
            return EditView.model_validate(row)

        return await once.run(request, key=key, caller=caller, body=body, view=EditView, create=create)

    @routes.get("/edits", summary="List edits of many certificates, newest first")
    async def list_edits(caller: Reader, paging: AllPages) -> Page[EditView]:
        after = next(iter(paging.after or ()), None)
        rows: list[EditRow] = list(await edits.page(after=after, limit=paging.limit, caller=caller))
        return paging.page([EditView.model_validate(row) for row in rows], key=lambda view: [view.id or ""])

    @routes.get("/edits/{edit_id}", summary="Show how far an edit of many certificates has come")
    async def get_edit(caller: Reader, edit_id: str) -> EditView:
        return EditView.model_validate(await edits.get(edit_id, caller=caller))

    return routes


def tried(trial: Trial) -> EditView:
    """Show what an edit would do."""
    counts = trial.counts
    return EditView(
        id=None,
        state="dry-run",
        total=trial.total,
        matched=counts.matched,
        changed=counts.changed,
        unchanged=counts.unchanged,
        refused=counts.refused,
        reasons=dict(counts.reasons),
        created_at=None,
        created_by=None,
        ended_at=None,
    )


def _wanted(body: ChangesBody) -> Wanted:
    return Wanted(
        sets_owner="owner" in body.model_fields_set,
        owner=body.owner,
        add_tags=body.add_tags,
        remove_tags=body.remove_tags,
        set_fields=body.set_fields,
        add_to_groups=body.add_to_groups,
        remove_from_groups=body.remove_from_groups,
    )


def _version(if_match: str | None) -> int | None:
    """Return the version that `If-Match` names; none where it names any. Raises `Stale` for what is no `ETag` of ours."""
    text = (if_match or "*").strip()
    if text == "*":
        return None
    try:
        return number_in(text.strip('"'))
    except Invalid:
        raise Stale(
            "It was changed since you read it.", next_step="Read it again, and repeat the change on that."
        ) from None
