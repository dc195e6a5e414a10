"""The steps of one ACME order (RFC 8555 §7.4, §7.5): each does one thing outside and says what comes next."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import structlog
from cryptography import x509

from services.renewal.connectors import Challenge, Issued, NotNow, Pending, Progress, Request
from services.renewal.connectors.acme_session import AcmeProblem, Answer, Session
from services.renewal.connectors.acme_state import (
    AccountDocument,
    AcmeState,
    Authorization,
    Identifier,
    OfferedChallenge,
    Order,
    OrderList,
    Phase,
    Shown,
)
from services.renewal.connectors.challenges import Showing
from services.renewal.connectors.jose import base64url
from shared import x509 as shared_x509
from shared.errors import EverleafError, Invalid, Refused
from shared.x509 import general_name, key_fingerprint

log = structlog.get_logger(__name__)

MOST_STEPS = 2000
"""An order that takes more steps than this is given up: the authority leads us in circles."""
MOST_PAGES = 1000
LOOKED_AT = 50
"""How many of the account's orders are looked at for one that we have placed already."""
_NOT_FOUND = (404, 410)
_SHOWN_AGAIN = (Phase.SHOW, Phase.ANSWER)
"""A challenge that was not answered is set up anew when the order goes on; later ones are being looked at."""


class OrderSteps:
    """Leads one order through its phases."""

    def __init__(self, session: Session, *, showings: Mapping[Challenge, Showing]) -> None:
        self._session = session
        self._showings = showings

    async def advance(self, request: Request, *, state: AcmeState, resumed: bool) -> Progress | None:
        """Do one step; None: the authority does not know our account. Raises `Refused` or `NotNow`."""
        try:
            progress = await self._step(request, state, resumed=resumed)
        except EverleafError as error:
            if state.phase in _SHOWN_AGAIN or not _goes_on(error):
                await self._take_away(state)
            raise
        if progress is None:
            await self._take_away(state)
        return progress

    async def _step(self, request: Request, state: AcmeState, *, resumed: bool) -> Progress | None:
        state.steps += 1
        if state.steps > MOST_STEPS:
            raise NotNow("The authority came to no end with the order.", starts_over=True)
        try:
            return await self._steps[state.phase](self, request, state, resumed)
        except AcmeProblem as error:
            if error.problem.kind == "accountDoesNotExist":
                return None
            is_lost = error.status in _NOT_FOUND and state.phase is not Phase.PLACE
            if is_lost:
                raise NotNow("The authority does not know the order any more.", starts_over=True) from error
            raise error.problem.error(retry_after=error.retry_after) from error

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

    async def _place(self, request: Request, state: AcmeState, resumed: bool) -> Progress:  # noqa: FBT001 - one shape for all steps
        identifiers = [_identifier(name) for name in request.names]
        if resumed:
            url, order = await self._placed_before(identifiers)
            if order is not None:
                state.order_url, state.is_shared = url, True
                return _followed(state, order, text="The order that was placed before is gone on with.")
        payload = {"identifiers": [each.model_dump() for each in identifiers]}
        answer = await self._session.post((await self._session.directory()).new_order, payload)
        state.order_url = answer.location
        return _followed(state, answer.read(Order), text="The order is placed.")

    async def _placed_before(self, identifiers: Sequence[Identifier]) -> tuple[str, Order | None]:
        """Look for an order of ours that is still to be finalized (RFC 8555 §7.1.2.1)."""
        account = (await self._session.get(self._session.kid or "")).read(AccountDocument)
        for url in (await self._listed(account.orders))[-LOOKED_AT:][::-1]:
            order = (await self._session.get(url)).read(Order)
            if order.status in ("pending", "ready") and _names(order.identifiers) == _names(identifiers):
                return url, order
        return "", None

    async def _listed(self, page: str | None) -> list[str]:
        """Return the account's orders, all pages of them (RFC 8555 §7.1.2.1)."""
        urls: list[str] = []
        for _ in range(MOST_PAGES):
            if page is None:
                break
            answer = await self._session.get(page)
            urls += answer.read(OrderList).orders
            page = answer.next_page
        return urls

    async def _follow(self, _request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        answer = await self._session.get(state.order_url)
        return _followed(state, answer.read(Order), asked=answer.retry_after)

    async def _authorize(self, request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        if state.done >= len(state.authorizations):
            return _next(state, Phase.FOLLOW)
        answer = await self._session.get(state.authorizations[state.done])
        found = answer.read(Authorization)
        if found.status == "valid":
            state.done += 1
            return _next(state, Phase.AUTHORIZE)
        if found.status != "pending":
            raise _lost(found)
        offered = _offered(found, request.terms.challenge)
        state.shown = Shown(
            name=found.identifier.value, type=offered.type, url=offered.url, token=offered.token
        )
        return _next(state, Phase.SHOW)

    async def _show(self, _request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        shown = _shown(state)
        await self._set_up(shown)
        return _next(state, Phase.ANSWER, text=f"The {shown.type} challenge of {shown.name} is set up.")

    async def _set_up(self, shown: Shown) -> None:
        showing, authorization = self._showing(shown)
        await showing.show(shown.name, token=shown.token, authorization=authorization)

    async def _answer(self, _request: Request, state: AcmeState, resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        if resumed:
            await self._set_up(_shown(state))  # what failed here took it away
        try:
            await self._session.post(_shown(state).url, {})
        except AcmeProblem as error:
            # It may have been answered before we were interrupted; the authorization tells.
            if not (resumed and error.problem.kind in ("malformed", "unauthorized")):
                raise
        return _next(state, Phase.VALIDATE)

    async def _validate(self, _request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        shown = _shown(state)
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

    async def _clean(self, _request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        await self._clean_up(_shown(state))
        state.shown = None
        if state.failure is not None:
            raise state.failure.lost()
        state.done += 1
        return _next(state, Phase.AUTHORIZE)

    async def _clean_up(self, shown: Shown) -> None:
        showing, authorization = self._showing(shown)
        await showing.clean(shown.name, token=shown.token, authorization=authorization)

    async def _finalize(self, request: Request, state: AcmeState, resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        try:
            answer = await self._session.post(state.finalize_url, {"csr": base64url(request.csr)})
        except AcmeProblem as error:
            if error.problem.kind != "orderNotReady":
                raise
            # Done before we were interrupted; or by another order of the same names, for its own key.
            state.is_shared = state.is_shared or not resumed
            return _next(state, Phase.FOLLOW)
        return _followed(
            state, answer.read(Order), asked=answer.retry_after, text="The request is handed in."
        )

    async def _download(self, request: Request, state: AcmeState, _resumed: bool) -> Progress:  # noqa: FBT001 - called by table, all alike
        answer = await self._session.get(state.certificate_url)
        try:
            chain = shared_x509.from_pem(answer.content.decode("ascii"))
        except (Invalid, UnicodeDecodeError) as error:
            raise Refused(
                "What the authority issued is not a PEM chain (RFC 8555 §9.1).",
                next_step="Look at the authority; then try the order again.",
            ) from error
        if state.is_shared and not _is_for(request, chain[0]):
            raise NotNow("Another order of the same names took the certificate.", starts_over=True)
        return Issued(chain=tuple(chain))

    def _showing(self, shown: Shown) -> tuple[Showing, str]:
        showing = self._showings.get(Challenge(shown.type))
        if showing is None:
            raise Refused(
                f"{shown.type} cannot be shown here.",
                next_step="Set EVERLEAF_RENEWAL_HTTP01_LISTEN, or give the authority `dns`.",
            )
        return showing, f"{shown.token}.{self._session.key.thumbprint}"

    _steps: Mapping[Phase, Callable[["OrderSteps", Request, AcmeState, bool], Awaitable[Progress]]] = {
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
    own = timedelta(seconds=min(0.1 * 2 ** min(state.polls, 10), 10))
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


def _identifier(name: str) -> Identifier:
    is_dns = isinstance(general_name(name), x509.DNSName)
    return Identifier(type="dns" if is_dns else "ip", value=name)


def _names(identifiers: Sequence[Identifier]) -> set[tuple[str, str]]:
    return {(each.type, each.value.lower()) for each in identifiers}


def _is_for(request: Request, der: bytes) -> bool:
    ours = x509.load_der_x509_csr(request.csr).public_key()
    return key_fingerprint(shared_x509.load(der).public_key()) == key_fingerprint(ours)
