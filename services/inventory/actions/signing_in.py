"""Signs people in through the OpenID provider, and gives their browsers tokens.

The browser holds no token of the provider and none of ours for long: it has a cookie that scripts
cannot read, and exchanges it for a short token when the portal asks something.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.inventory.actions.access import Access, Granted
from services.inventory.actions.principals import NewPrincipal, Principals, principal_row
from services.inventory.connectors.openid import OpenIdProvider
from services.inventory.domain import sign_in
from services.inventory.domain.credentials import Kind
from services.inventory.domain.sign_in import Person, RightsRule
from services.inventory.store import access, sessions
from services.inventory.store.locks import hold
from services.inventory.store.tables import PrincipalRow, SessionRow, SignInRow
from shared.access import Principal
from shared.acting import also
from shared.errors import Conflict, NotFound, Unauthenticated
from shared.sealing import Sealer
from shared.store import Database, Transaction

PATIENCE = timedelta(minutes=10)
"""How long somebody may take at the provider."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The provider, and what its word lets people do here."""

    openid: OpenIdProvider
    claim: str
    rules: Sequence[RightsRule]


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Where to send a browser, and the cookie that shows that it is the same one when it comes back."""

    address: str
    cookie: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """The cookie of a new session, how long it lasts, and where to go."""

    cookie: str = field(repr=False)
    lifetime: timedelta
    return_to: str


class SigningIn:
    """The way to a session and back, and what a session is good for."""

    def __init__(
        self,
        database: Database,
        provider: Provider | None,
        *,
        access: Access,
        principals: Principals,
        sealer: Sealer,
        session_lifetime: timedelta,
        token_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._provider = provider
        self._access = access
        self._principals = principals
        self._sealer = sealer
        self._session_lifetime = session_lifetime
        self._token_lifetime = token_lifetime

    async def begin(self, *, return_to: str, now: datetime) -> Begun:
        """Return where the provider asks people who they are. Raises `Invalid`, `NotFound` or `Unavailable`."""
        return_to = sign_in.checked_return(return_to)
        state, nonce, verifier, cookie = (secrets.token_urlsafe(sign_in.RANDOM_BYTES) for _ in range(4))
        address = await self._known().openid.address(state=state, nonce=nonce, verifier=verifier)
        row = SignInRow(
            state=sign_in.digest(state),
            browser=sign_in.digest(cookie),
            nonce=nonce,
            verifier=self._sealer.seal(verifier.encode(), row=_sealed_row(sign_in.digest(state))),
            return_to=return_to,
            expires_at=now + PATIENCE,
        )
        async with self._database.transaction() as tx:
            tx.session.add(row)
        return Begun(address=address, cookie=cookie)

    async def finish(self, answer: Mapping[str, str], *, cookie: str | None, now: datetime) -> SignedIn:
        """Take what the provider has sent back. Raises `Unauthenticated`, `Forbidden` or `Unavailable`."""
        provider = self._known()
        async with self._database.transaction() as tx:
            begun = await sessions.take(tx, sign_in.digest(answer.get("state", "")), now=now)
        if begun is None:
            raise sign_in.refused("nothing was begun with its state, or that was used or is too long ago")
        if not sign_in.same(sign_in.digest(cookie or ""), begun.browser):
            raise sign_in.refused("it was begun in another browser")
        code = sign_in.check_answer(
            answer, issuer=provider.openid.us.issuer, names_issuer=await provider.openid.names_issuer()
        )
        verifier = self._sealer.open(begun.verifier, row=_sealed_row(begun.state)).decode()
        claims = await provider.openid.redeem(code, verifier=verifier)
        sign_in.check_claims(claims, client_id=provider.openid.us.client_id, nonce=begun.nonce)
        person = sign_in.person_of(claims, claim=provider.claim)
        session = await self._session(person, provider, now=now)
        return SignedIn(cookie=session, lifetime=self._session_lifetime, return_to=begun.return_to)

    async def _session(self, person: Person, provider: Provider, *, now: datetime) -> str:
        rights = sign_in.rights_of(person, provider.rules)
        async with self._database.transaction() as tx:
            await hold(tx, "principals")
            row = await _principal(tx, person, now=now)
            if row.disabled_at is not None:
                raise sign_in.refused(f"{row.name} was disabled here")
            also(id=row.id, name=row.name)
            await self._principals.give(tx, row, rights, changed_by=row.id, now=now)
            return _begin(tx, row.id, now=now, ends=now + self._session_lifetime)

    async def open(self, principal: Principal, *, until: datetime | None, now: datetime) -> SignedIn:
        """Begin a session for whom a credential has spoken, at most until that ends. Raises `Unauthenticated`."""
        ends = min(now + self._session_lifetime, until or datetime.max.replace(tzinfo=UTC))
        async with self._database.transaction() as tx:
            row = await access.principal(tx.session, principal.id, lock="read")
            if row is None or row.disabled_at is not None:
                raise Unauthenticated(
                    f"{principal.name} may not sign in here.", next_step="Ask an administrator."
                )
            also(id=row.id, name=row.name)
            cookie = _begin(tx, row.id, now=now, ends=ends)
        return SignedIn(cookie=cookie, lifetime=ends - now, return_to="/")

    async def token(self, cookie: str | None, *, now: datetime) -> Granted:
        """Give a token for a session. Raises `Unauthenticated` where there is none."""
        async with self._database.transaction() as tx:
            row = await self._signed_in(tx, cookie, now=now)
            return await self._access.grant(tx, row, sealing_key=None, lifetime=self._token_lifetime, now=now)

    async def _signed_in(self, tx: Transaction, cookie: str | None, *, now: datetime) -> PrincipalRow:
        session = await sessions.session(tx.session, sign_in.digest(cookie or ""), now=now)
        row = await access.principal(tx.session, session.principal_id, lock="read") if session else None
        if row is None or row.disabled_at is not None:
            raise Unauthenticated("Nobody is signed in.", next_step="Sign in at /inventory/v1/login.")
        return row

    async def end(self, cookie: str | None, *, now: datetime) -> None:
        """Sign out: the session ends, and with it all tokens of whose it was, where the provider says who they are.

        Who signed in with a credential keeps that: a browser that is left must not stop what else uses it.
        """
        digest = sign_in.digest(cookie or "")
        async with self._database.read() as reading:
            session = await sessions.session(reading, digest, now=now)
        if session is not None:
            await self._principals.sign_out(session.principal_id, digest, now=now)

    async def forget(self, *, now: datetime) -> None:
        """Forget sign-ins and sessions that have ended."""
        async with self._database.transaction() as tx:
            await sessions.forget(tx, before=now)

    def _known(self) -> Provider:
        if self._provider is None:
            raise NotFound(
                "People cannot sign in here: no OpenID provider is set.",
                next_step="Set EVERLEAF_INVENTORY_OIDC_ISSUER and its fellows; see docs/how-to/sign-people-in.md.",
            )
        return self._provider


def _begin(tx: Transaction, principal_id: str, *, now: datetime, ends: datetime) -> str:
    """Keep a new session, and return its cookie."""
    cookie = secrets.token_urlsafe(sign_in.RANDOM_BYTES)
    digest = sign_in.digest(cookie)
    tx.session.add(SessionRow(digest=digest, principal_id=principal_id, created_at=now, expires_at=ends))
    return cookie


async def _principal(tx: Transaction, person: Person, *, now: datetime) -> PrincipalRow:
    """Return whom somebody is here, made where they come for the first time."""
    row = await sessions.of_identity(tx, person.identity)
    if row is not None:
        return row
    for name in person.names():
        # Their own name for themselves never makes them somebody who is here already.
        new = principal_row(NewPrincipal(name=name, kind=Kind.PERSON), created_by="openid", now=now)
        new.identity = person.identity
        if await access.add_principal(tx, new):
            found = await sessions.of_identity(tx, person.identity)
            if found is not None:
                tx.record_row(found, "created")
                return found
    raise Conflict(f"The name {person.name!r} is taken.", next_step="Have it changed at the provider.")


def _sealed_row(state: str) -> str:
    return f"inventory/sign_ins/{state}/verifier"
