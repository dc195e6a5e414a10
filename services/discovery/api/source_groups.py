"""Groups of sources, and the jobs that read them, over HTTP."""

from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import Field, JsonValue

from services.discovery.actions.source_groups import Group, Job, Member, SourceGroups
from services.discovery.api.sources import AllPages, Reader, Secret, SourceRunView, Writer
from shared.clock import Clock
from shared.groups import Groups
from shared.http import Body, Page, Routes, View

GroupName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z._-]+$")]
MOST_MEMBERS = 2_000


class MemberBody(Body):
    """One source of a group."""

    name: str = Field(min_length=1, max_length=200, examples=["web-1"])
    settings: dict[str, JsonValue] = Field(
        {},
        description="What differs from the settings of the group.",
        examples=[{"host": "web-1.example.com", "host_key": "ssh-ed25519 AAAA…"}],
    )


class GroupBody(Body):
    """Sources of one kind that share a credential and most of their settings."""

    kind: str = Field(max_length=50, examples=["linux-ssh"])
    settings: dict[str, JsonValue] = Field({}, examples=[{"username": "everleaf", "sudo": True}])
    credential: Secret
    every: int | None = Field(None, ge=60, le=31_536_000, description="Seconds between runs of each.")
    sources: list[MemberBody] = Field(min_length=1, max_length=MOST_MEMBERS)
    groups: Groups | None = None


class GroupView(View):
    """What came of making a group known."""

    created: int
    changed: int


class SourceJobView(View):
    """How far the reading of a group is; the states add up to `total`."""

    id: str
    total: int
    queued: int
    running: int
    waiting: int = Field(description="Their host did not answer; they are tried again by themselves.")
    finished: int
    failed: int
    holdings: int = Field(description="Certificates seen.")


def add_source_groups(routes: Routes, groups: SourceGroups, *, clock: Clock) -> None:
    """Add the routes."""

    @routes.put(
        "/source-groups/{group}", summary="Make many sources known, or change them: repeat it as you like"
    )
    async def put_source_group(caller: Writer, group: GroupName, body: GroupBody) -> GroupView:
        wanted = Group(
            name=group,
            kind=body.kind,
            settings=body.settings,
            credential=body.credential,
            every=body.every,
            members=[Member(name=each.name, settings=each.settings) for each in body.sources],
            groups=body.groups,
        )
        return GroupView.model_validate(await groups.write(wanted, caller=caller, now=clock()))

    @routes.post("/source-groups/{group}/runs", summary="Read every source of a group now", status_code=202)
    async def run_source_group(caller: Writer, group: GroupName, response: Response) -> SourceJobView:
        job = await groups.run(group, caller=caller, now=clock())
        response.headers["Location"] = f"/discovery/v1/source-jobs/{job.id}"
        return _view(job)

    @routes.get("/source-jobs/{job_id}", summary="Show how far the reading of a group is")
    async def get_source_job(caller: Reader, job_id: str) -> SourceJobView:
        return _view(await groups.job(job_id, caller=caller))

    @routes.get("/source-jobs/{job_id}/runs", summary="List the runs of a job, newest first")
    async def list_source_job_runs(
        caller: Reader,
        job_id: str,
        paging: AllPages,
        state: Annotated[Literal["queued", "running", "finished", "failed"] | None, Query()] = None,
    ) -> Page[SourceRunView]:
        after = paging.after[0] if paging.after else None
        rows = await groups.job_runs(job_id, state=state, after=after, limit=paging.limit, caller=caller)
        return paging.page([SourceRunView.model_validate(row) for row in rows], key=lambda view: [view.id])


def _view(job: Job) -> SourceJobView:
    return SourceJobView(id=job.id, **vars(job.counts))
