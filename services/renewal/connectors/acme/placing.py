"""Places an ACME order (RFC 8555 §7.4), on which terms (profiles), and in place of which certificate (RFC 9773 §5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from services.renewal.connectors import Request
from services.renewal.connectors.acme.jose import Json
from services.renewal.connectors.acme.problems import AcmeProblem, Identifier
from services.renewal.connectors.acme.renewal_info import certificate_id
from services.renewal.connectors.acme.session import Answer, Directory, Session
from services.renewal.connectors.acme.state import AccountDocument, Order, OrderList
from shared.errors import Refused
from shared.x509 import general_name

MOST_PAGES = 1000
LOOKED_AT = 50
"""How many of the account's orders are looked at for one that we have placed already."""
_OF_REPLACES = frozenset({"alreadyReplaced", "malformed", "unauthorized", "conflict"})
"""What an authority may have against `replaces`, which is a courtesy: no renewal fails for it."""
_AGAINST_REPLACES = (404, 409)
_NO_LIST = (404, 405, 501)
"""Some authorities name a list of orders and have none: then an order that was placed unseen expires unused."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An order at the authority; `is_found` where it was placed before."""

    url: str
    order: Order
    text: str
    is_found: bool = False


class Placing:
    """Places orders of one account."""

    def __init__(self, session: Session, *, is_profile_preferred: bool) -> None:
        """Where a profile is but preferred, an authority that does not offer it is asked without."""
        self._session = session
        self._is_profile_preferred = is_profile_preferred

    async def place(self, request: Request, *, resumed: bool) -> Placed:
        """Return the order, placed now or found. Raises `AcmeProblem`, `Refused` or `NotNow`."""
        identifiers = [_identifier(name) for name in request.names]
        directory = await self._session.directory()
        profile = self._profile(directory, request.terms.profile)
        found = await self._placed_before(identifiers, profile=profile) if resumed else None
        if found is not None:
            return found
        payload: Json = {"identifiers": [each.model_dump() for each in identifiers]}
        if profile is not None:
            payload["profile"] = profile
        answer, text = await self._replacing(directory, payload, old=request.replaces)
        if profile != request.terms.profile:
            text += f" The authority does not offer the profile {request.terms.profile}: it is left out."
        return Placed(url=answer.location, order=answer.read(Order), text=text)

    def _profile(self, directory: Directory, wanted: str | None) -> str | None:
        offered = directory.meta.profiles
        if wanted is None or wanted in offered:
            return wanted
        if self._is_profile_preferred:
            return None
        names = ", ".join(sorted(offered)[:50])
        raise Refused(
            f"The authority does not offer the profile {wanted!r}.",
            next_step=f"Choose one of its profiles: {names}."
            if names
            else "Leave it out: it has no profiles.",
        )

    async def _replacing(
        self, directory: Directory, payload: Json, *, old: bytes | None
    ) -> tuple[Answer, str]:
        old_id = certificate_id(old) if old is not None and directory.renewal_info else None
        if old_id is not None:
            try:
                answer = await self._session.post(directory.new_order, {**payload, "replaces": old_id})
            except AcmeProblem as error:
                if error.status not in _AGAINST_REPLACES and error.problem.kind not in _OF_REPLACES:
                    raise
            else:
                return answer, "The order is placed, in place of the old certificate (RFC 9773)."
        return await self._session.post(directory.new_order, payload), "The order is placed."

    async def _placed_before(
        self, identifiers: Sequence[Identifier], *, profile: str | None
    ) -> Placed | None:
        """Look for an order of ours that is still to be finalized (RFC 8555 §7.1.2.1)."""
        account = (await self._session.get(self._session.kid or "")).read(AccountDocument)
        for url in (await self._listed(account.orders))[-LOOKED_AT:][::-1]:
            order = (await self._session.get(url)).read(Order)
            is_on_terms = profile is None or order.profile == profile
            is_open = order.status in ("pending", "ready")
            if is_open and is_on_terms and _names(order.identifiers) == _names(identifiers):
                text = "The order that was placed before is gone on with."
                return Placed(url=url, order=order, text=text, is_found=True)
        return None

    async def _listed(self, page: str | None) -> list[str]:
        """Return the account's orders, all pages of them (RFC 8555 §7.1.2.1)."""
        urls: list[str] = []
        for _ in range(MOST_PAGES):
            if page is None:
                break
            try:
                answer = await self._session.get(page)
            except AcmeProblem as error:
                if error.status not in _NO_LIST:
                    raise
                break
            urls += answer.read(OrderList).orders
            page = answer.next_page
        return urls


def _identifier(name: str) -> Identifier:
    is_dns = isinstance(general_name(name), x509.DNSName)
    return Identifier(type="dns" if is_dns else "ip", value=name)


def _names(identifiers: Sequence[Identifier]) -> set[tuple[str, str]]:
    return {(each.type, each.value.lower()) for each in identifiers}
