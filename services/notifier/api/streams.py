"""Routes on streams of the audit trail."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from services.notifier.actions.streams import NewStream, Streams
from services.notifier.actions.subscriptions import Made
from services.notifier.api.subscriptions import WebhookBody
from services.notifier.connectors.siem import Format
from services.notifier.domain.subscriptions import State, Way
from services.notifier.store.subscriptions import Subscription
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Page, Paging, Routes, View, of_query

Reader = Annotated[Principal, requires("audit-trail:audit", everything=True)]
Admin = Annotated[Principal, requires("audit-trail:admin", everything=True)]


class SyslogBody(Body):
    """A receiver of syslog over TLS (RFC 5425)."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", examples=["siem.example.test"])
    port: int = Field(6514, ge=1, le=65535)
    format: Format = Format.SYSLOG
    facility: int = Field(13, ge=0, le=23, description="RFC 5424 §6.2.1; 13 is `log audit`.")
    ca_pem: str | None = Field(None, max_length=100_000, description="Trust only these authorities (PEM).")


class StreamBody(Body):
    """Where the trail is to go."""

    name: str = Field(min_length=1, max_length=200, examples=["SIEM"])
    way: Literal["syslog", "webhook"] = Field(examples=["syslog"])
    from_beginning: bool = Field(False, description="What is there already goes first.")
    syslog: SyslogBody | None = Field(None, examples=[{"host": "siem.example.test"}])
    webhook: WebhookBody | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.syslog is None, self.webhook is None) != (self.way != "syslog", self.way != "webhook"):
            msg = "say `syslog` or `webhook`, the one that `way` names"
            raise ValueError(msg)
        return self


class StreamView(View):
    """A stream, without its secrets."""

    id: str
    name: str
    way: Way
    options: dict[str, Any]
    state: State
    position: int = Field(description="The number of the last entry that was handed over.")
    failures: int
    last_error: str | None
    created_at: datetime
    created_by: str


class MadeStreamView(StreamView):
    """A stream, and what its receiver checks messages with."""

    credential: dict[str, str] = Field(description="Shown this once.")

    @classmethod
    def of(cls, made: Made) -> "MadeStreamView":
        """Show it."""
        return cls(**_view(made.row).model_dump(), credential=dict(made.credential))


def _view(row: Subscription) -> StreamView:
    return StreamView.model_validate(row)


def stream_routes(streams: Streams, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1/audit-streams")

    @routes.post("", status_code=201, summary="Send the audit trail to a SIEM, as it grows")
    async def create_audit_stream(caller: Admin, body: StreamBody) -> MadeStreamView:
        chosen = body.syslog or body.webhook
        new = NewStream(
            name=body.name,
            way=Way(body.way),
            options=chosen.model_dump(mode="json") if chosen is not None else {},
            from_beginning=body.from_beginning,
        )
        return MadeStreamView.of(await streams.create(new, caller=caller, now=clock()))

    @routes.get("", summary="List streams of the audit trail, newest first")
    async def list_audit_streams(
        _caller: Reader, paging: Annotated[Paging, of_query(Paging)]
    ) -> Page[StreamView]:
        after = next(iter(paging.after or ()), None)
        rows = await streams.page(after=after, limit=paging.limit)
        return paging.page([_view(row) for row in rows], key=lambda view: [view.id])

    @routes.delete("/{stream_id}", status_code=204, summary="Send the audit trail there no more")
    async def delete_audit_stream(caller: Admin, stream_id: str) -> None:
        await streams.delete(stream_id, caller=caller)

    return routes
