"""Routes for what cannot be reached from here: it asks what waits for its binding, with a token for that alone."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Response, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field

from services.provisioner.actions.pulls import Pulls
from shared.access import Principal, requires
from shared.clock import Clock
from shared.http import Body, Routes, View, public
from shared.openapi import Problem

Writer = Annotated[Principal, requires("bindings:write")]
LONGEST_WAIT = 60
_BY_TOKEN = "the token of the binding is asked for"  # noqa: S105 - why the route is public
_Answers = dict[int | str, dict[str, Any]]
_REFUSED: _Answers = {401: {"model": Problem, "description": "The token does not open this binding."}}
_CONFLICT: _Answers = {
    **_REFUSED,
    409: {"model": Problem, "description": "The offer is another one, or not of that kind."},
}
_bearer = HTTPBearer(auto_error=False, description="A token of POST /v1/bindings/{binding_id}/pull-tokens.")
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class PullTokenView(View):
    """A token for one binding: shown once."""

    binding_id: str
    token: str = Field(description="Send it as `Authorization: Bearer …`; one from before is void.")


class OfferView(View):
    """What is to be done, without the private key."""

    id: str
    action: Literal["deploy", "restore"] = Field(
        description="deploy: put it in place, and keep what was there; restore: put back what was there before."
    )
    fingerprint: str = Field(description="SHA-256 of the certificate that is meant, in hexadecimal.")
    chain: str = Field(description="PEM, the leaf first.")
    offered_at: datetime
    is_settled: bool = Field(
        description="Whether it is in place and was seen there: nothing is left to be done."
    )


class KeyBody(Body):
    """Which key, and to whom."""

    offer_id: str = Field(min_length=1, max_length=36)
    sealing_key: str | None = Field(
        None,
        max_length=64,
        description="A raw X25519 public key in base64: the private key is sealed to it (HPKE), and may be asked for again.",
    )


class KeyView(View):
    """The private key, as PKCS#8 in PEM or sealed."""

    private_key: str | None
    sealed_private_key: str | None = Field(description="HPKE, with `purpose` as its info, in base64.")
    purpose: str | None


class ReportBody(Body):
    """What has become of an offer."""

    offer_id: str = Field(min_length=1, max_length=36)
    outcome: Literal["bound", "restored", "failed"]
    reason: str | None = Field(None, max_length=1000)


def pull_routes(pulls: Pulls, *, clock: Clock) -> Routes:
    """Build the routes."""
    routes = Routes(prefix="/v1")

    @routes.post(
        "/bindings/{binding_id}/pull-tokens",
        summary="Make the token that fetches for a binding",
        status_code=201,
    )
    async def create_pull_token(caller: Writer, binding_id: str) -> PullTokenView:
        token = await pulls.new_token(binding_id, caller=caller, now=clock())
        return PullTokenView(binding_id=binding_id, token=token)

    @routes.get(
        "/pull/{binding_id}",
        summary="Show what waits for a binding",
        response_model=OfferView,
        openapi_extra=public(_BY_TOKEN),
        responses={
            **_REFUSED,
            204: {"description": "Nothing waits."},
            304: {"description": "It is the one whose `ETag` was sent."},
        },
    )
    async def get_offer(
        binding_id: str,
        token: Token,
        response: Response,
        if_none_match: Annotated[str | None, Header(description="The `ETag` of the last answer.")] = None,
        wait: Annotated[
            str,
            Query(
                pattern=r"^[0-9]{1,2}s$", description=f"How long to wait for news, at most {LONGEST_WAIT}s."
            ),
        ] = "0s",
    ) -> OfferView | Response:
        seconds = min(int(wait.removesuffix("s")), LONGEST_WAIT)
        known = (if_none_match or "").strip().strip('"') or None
        found = await pulls.offer(
            binding_id, token=_text(token), known=known, wait=timedelta(seconds=seconds)
        )
        if found is None:
            code = status.HTTP_304_NOT_MODIFIED if known else status.HTTP_204_NO_CONTENT
            return Response(status_code=code, headers={"ETag": f'"{known}"'} if known else None)
        response.headers["ETag"] = f'"{found.id}"'
        response.headers["Cache-Control"] = "no-store"
        return OfferView(
            id=found.id,
            action="restore" if found.action == "restore" else "deploy",
            fingerprint=found.fingerprint,
            chain=found.chain,
            offered_at=found.offered_at,
            is_settled=found.private_key is None and found.action == "deploy",
        )

    @routes.post(
        "/pull/{binding_id}/key",
        summary="Fetch the private key of an offer, once",
        openapi_extra=public(_BY_TOKEN),
        responses=_CONFLICT,
    )
    async def release_pulled_key(binding_id: str, token: Token, body: KeyBody, response: Response) -> KeyView:
        released = await pulls.release_key(
            binding_id, token=_text(token), offer_id=body.offer_id, sealing_key=body.sealing_key
        )
        response.headers["Cache-Control"] = "no-store"
        return KeyView.model_validate(released)

    @routes.post(
        "/pull/{binding_id}/reports",
        summary="Say what has become of an offer",
        status_code=204,
        openapi_extra=public(_BY_TOKEN),
        responses=_CONFLICT,
    )
    async def report_offer(binding_id: str, token: Token, body: ReportBody) -> None:
        await pulls.report(
            binding_id,
            token=_text(token),
            offer_id=body.offer_id,
            outcome=body.outcome,
            reason=body.reason,
        )

    return routes


def _text(token: HTTPAuthorizationCredentials | None) -> str | None:
    return token.credentials if token is not None else None
