"""The steps of one ACME order (RFC 8555 §7.4, §7.5): each does one thing outside and says what comes next."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from cryptography import x509

from services.renewal.connectors import Challenge, Issued, NotNow, Pending, Progress, Request
from services.renewal.connectors.acme.account import Account
from services.renewal.connectors.acme.chains import PreferredRoot, preferred_url, read_chain
from services.renewal.connectors.acme.jose import base64url
from services.renewal.connectors.acme.placing import Placing
from services.renewal.connectors.acme.problems import AcmeProblem
from services.renewal.connectors.acme.session import Answer, Session
from services.renewal.connectors.acme.showing import Showing
from services.renewal.connectors.acme.state import (
    AcmeState,
    Authorization,
    OfferedChallenge,
    Order,
    Phase,
    Shown,
)
from shared import x509 as shared_x509
from shared.errors import EverleafError, Refused
from shared.x509 import key_fingerprint

log = structlog.get_logger(__name__)

MOST_STEPS = 2000
"""An order that takes more steps than this is given up: the authority leads us in circles."""
PATIENCE = timedelta(minutes=5)
"""How long a record may take until the zone's servers give it."""
_NOT_FOUND = (404, 410)
_SHOWN_AGAIN = (Phase.SHOW, Phase.ANSWER)
"""A challenge that was not answered is set up anew when the order goes on; later ones are being looked at."""


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """What one step is given."""

    request: Request
    state: AcmeState
    resumed: bool
    now: datetime


class OrderSteps:
    """Leads one order through its phases."""

    def __init__(
        self,
        session: Session,
        *,
        account: Account,
        placing: Placing,
        showings: Mapping[Challenge, Showing],
        preferred: PreferredRoot | None,
    ) -> None:
        self._session = session
        self._account = account
        self._placing = placing
        self._showings = showings
        self._preferred = preferred

    async def advance(
        self, request: Request, *, state: AcmeState, resumed: bool, now: datetime
    ) -> Progress | None:
        """Do one step; None: the authority does not know our account. Raises `Refused` or `NotNow`."""
        try:
            progress = await self._step(_Turn(request=request, state=state, resumed=resumed, now=now))
        except EverleafError as error:
            if state.phase in _SHOWN_AGAIN or not _goes_on(error):
                await self._take_away(state)
            raise
        if progress is None:
            await self._take_away(state)
        return progress

    async def _step(self, turn: _Turn) -> Progress | None:
        state = turn.state
        state.steps += 1
        if state.steps > MOST_STEPS:
            raise NotNow("The authority came to no end with the order.", starts_over=True)
        try:
            return await self._steps[state.phase](self, turn)
        except AcmeProblem as error:
            if error.problem.kind == "accountDoesNotExist":
                return None
            raise await self._meaning(error, phase=state.phase) from error

    async def _meaning(self, error: AcmeProblem, *, phase: Phase) -> EverleafError:
        if error.status in _NOT_FOUND and phase is not Phase.PLACE:
            return NotNow("The authority does not know the order any more.", starts_over=True)
        if await self._account.is_wrong_key(error):
            return NotNow("The account has another key by now; the order goes on with it.")
        return error.error()

    async def _take_away(self, state: AcmeState) -> None:
        """Leave no challenge behind; where that fails too, it is the first error that counts."""
        if state.shown is None:
            return
        try:
            await self._clean_up(state.shown)
        except EverleafError as error:
            log.warning(
                "challenge.left_behind", name=state.shown.name, type=state.shown.type, error=str(error)
            )

    async def _place(self, turn: _Turn) -> Progress:
        placed = await self._placing.place(turn.request, resumed=turn.resumed)
        state = turn.state
        state.order_url, state.is_shared = placed.url, placed.is_found
        return _followed(state, placed.order, text=placed.text)

    async def _follow(self, turn: _Turn) -> Progress:
        state = turn.state
        answer = await self._session.get(state.order_url)
        return _followed(state, answer.read(Order), asked=answer.retry_after)

    async def _authorize(self, turn: _Turn) -> Progress:
        state = turn.state
        if state.done >= len(state.authorizations):
            return _next(state, Phase.FOLLOW)
        answer = await self._session.get(state.authorizations[state.done])
        found = answer.read(Authorization)
        if found.status == "valid":
            state.done += 1
            return _next(state, Phase.AUTHORIZE)
        if found.status != "pending":
            raise _lost(found)
        offered = _offered(found, turn.request.terms.challenge)
        state.shown = Shown(
            name=found.identifier.value,
            type=offered.type,
            url=offered.url,
            token=offered.token,
            thumbprint=self._session.key.thumbprint,
        )
        showing, _ = self._showing(state.shown)
        state.shown.place = await showing.place_of(state.shown.name)
        return _next(state, Phase.SHOW)

    async def _show(self, turn: _Turn) -> Progress:
        state, shown = turn.state, _shown(turn.state)
        shown.since = turn.now
        await self._set_up(shown)
        return _next(state, Phase.ANSWER, text=f"The {shown.type} challenge of {shown.name} is set up.")

    async def _set_up(self, shown: Shown) -> None:
        showing, authorization = self._showing(shown)
        await showing.show(shown.place, token=shown.token, authorization=authorization)

    async def _answer(self, turn: _Turn) -> Progress:
        state, shown = turn.state, _shown(turn.state)
        if turn.resumed:
            await self._set_up(shown)  # what failed here took it away
        if not await self._is_seen(shown, now=turn.now):
            return _paused(state, step=state.phase, asked=None, text=None)
        try:
            await self._session.post(shown.url, {})
        except AcmeProblem as error:
            # It may have been answered before we were interrupted; the authorization tells.
            if not (turn.resumed and error.problem.kind in ("malformed", "unauthorized")):
                raise
        return _next(state, Phase.VALIDATE)

    async def _is_seen(self, shown: Shown, *, now: datetime) -> bool:
        """Return whether the authority would see it by now. Raises `NotNow` where it should have long since."""
        showing, authorization = self._showing(shown)
        if await showing.is_seen(shown.place, authorization=authorization, since=shown.since, now=now):
            return True
        if now - shown.since > PATIENCE:
            raise NotNow(
                f"The record for {shown.name} was made {PATIENCE} ago, and its name servers do not give it.",
                next_step="Look at the zone's servers; it is tried again by itself, with a new order.",
                starts_over=True,
            )
        return False

    async def _validate(self, turn: _Turn) -> Progress:
        state, shown = turn.state, _shown(turn.state)
        answer = await self._session.get(state.authorizations[state.done])
        found = answer.read(Authorization)
        if found.status in ("pending", "processing"):
            return _wait(state, answer)
        if found.status == "valid":
            return _next(state, Phase.CLEAN, text=f"The authority has seen the challenge of {shown.name}.")
        state.failure = next((each.error for each in found.challenges if each.error), None)
        if state.failure is None:
            raise _lost(found)
        return _next(state, Phase.CLEAN, text=f"The challenge of {shown.name} failed.")

    async def _clean(self, turn: _Turn) -> Progress:
        state = turn.state
        await self._clean_up(_shown(state))
        state.shown = None
        if state.failure is not None:
            raise state.failure.lost()
        state.done += 1
        return _next(state, Phase.AUTHORIZE)

    async def _clean_up(self, shown: Shown) -> None:
        showing, authorization = self._showing(shown)
        await showing.clean(shown.place, token=shown.token, authorization=authorization)

    async def _finalize(self, turn: _Turn) -> Progress:
        state, csr = turn.state, base64url(turn.request.csr)
        try:
            answer = await self._session.post(state.finalize_url, {"csr": csr})
        except AcmeProblem as error:
            if error.problem.kind != "orderNotReady":
                raise
            # Done before we were interrupted; or by another order of the same names, for its own key.
            state.is_shared = state.is_shared or not turn.resumed
            return _next(state, Phase.FOLLOW)
        return _followed(
            state, answer.read(Order), asked=answer.retry_after, text="The request is handed in."
        )

    async def _download(self, turn: _Turn) -> Progress:
        state = turn.state
        answer = await self._session.get(state.certificate_url)
        chain = read_chain(answer)
        if state.is_shared and not _is_for(turn.request, chain[0]):
            raise NotNow("Another order of the same names took the certificate.", starts_over=True)
        if self._preferred is not None and not state.is_chain_chosen:
            state.certificate_url, text = await preferred_url(
                self._session, answer, url=state.certificate_url, root=self._preferred
            )
            state.is_chain_chosen = True
            if text is not None:
                return _next(state, Phase.DOWNLOAD, text=text)
        return Issued(chain=chain)

    def _showing(self, shown: Shown) -> tuple[Showing, str]:
        showing = self._showings.get(Challenge(shown.type))
        if showing is None:
            raise Refused(
                f"{shown.type} cannot be shown here.",
                next_step="Switch its listener on, or give the authority `dns`.",
            )
        return showing, f"{shown.token}.{shown.thumbprint or self._session.key.thumbprint}"

    _steps: Mapping[Phase, Callable[["OrderSteps", _Turn], Awaitable[Progress]]] = {
        Phase.PLACE: _place,
        Phase.FOLLOW: _follow,
        Phase.AUTHORIZE: _authorize,
        Phase.SHOW: _show,
        Phase.ANSWER: _answer,
        Phase.VALIDATE: _validate,
        Phase.CLEAN: _clean,
        Phase.FINALIZE: _finalize,
        Phase.DOWNLOAD: _download,
    }


def _goes_on(error: EverleafError) -> bool:
    """Return whether the order is gone on with after this error."""
    return isinstance(error, NotNow) and not error.starts_over


def _followed(
    state: AcmeState, order: Order, *, asked: timedelta | None = None, text: str | None = None
) -> Pending:
    """Return what an order's status means (RFC 8555 §7.1.6)."""
    state.authorizations, state.finalize_url = order.authorizations, order.finalize
    match order.status:
        case "pending" if state.done < len(order.authorizations):
            return _next(state, Phase.AUTHORIZE, text=text)
        case "ready":
            return _next(state, Phase.FINALIZE, text=text)
        case "valid" if order.certificate:
            state.certificate_url = order.certificate
            return _next(state, Phase.DOWNLOAD, text=text)
        case "pending" | "processing" | "valid":
            step, state.phase = state.phase, Phase.FOLLOW
            return _paused(state, step=step, asked=asked, text=text)
        case "invalid" if order.error is not None:
            raise order.error.lost()
        case _:
            raise NotNow(f"The authority let the order become {order.status[:50]}.", starts_over=True)


def _next(state: AcmeState, phase: Phase, *, text: str | None = None) -> Pending:
    step, state.phase, state.polls = state.phase, phase, 0
    return Pending(state=state.to_bytes(), step=step, text=text)


def _wait(state: AcmeState, answer: Answer) -> Pending:
    return _paused(state, step=state.phase, asked=answer.retry_after, text=None)


def _paused(state: AcmeState, *, step: Phase, asked: timedelta | None, text: str | None) -> Pending:
    state.polls += 1
    # A third longer each time: what has happened meanwhile is seen after at most a quarter more than it took.
    own = timedelta(seconds=min(0.2 * 1.35 ** min(state.polls, 20), 10))
    wait = max(own, min(asked, timedelta(hours=1))) if asked is not None else own
    return Pending(state=state.to_bytes(), step=step, text=text, retry_after=wait)


def _offered(found: Authorization, wanted: Challenge | None) -> OfferedChallenge:
    for each in found.challenges:
        if each.type == wanted and each.token:
            return each
    offered = ", ".join(each.type for each in found.challenges) or "nothing"
    raise Refused(
        f"The authority offers {offered} for {found.identifier.value}, not {wanted}.",
        next_step="Use a profile with a challenge that it offers; a wildcard needs dns-01.",
    )


def _lost(found: Authorization) -> NotNow:
    text = f"The authorization of {found.identifier.value} is {found.status[:50]}."
    return NotNow(text, starts_over=True)


def _shown(state: AcmeState) -> Shown:
    if state.shown is None:
        msg = f"no challenge is shown in phase {state.phase}"
        raise ValueError(msg)
    return state.shown


def _is_for(request: Request, der: bytes) -> bool:
    ours = x509.load_der_x509_csr(request.csr).public_key()
    return key_fingerprint(shared_x509.load(der).public_key()) == key_fingerprint(ours)
