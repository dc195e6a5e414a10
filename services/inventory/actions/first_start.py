"""Makes what must be there before anybody can ask: the signing key, the administrator, the services' API keys."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import jwt

from services.inventory.actions.access import Access
from services.inventory.actions.principals import NewPrincipal, add_api_key, keep_api_key, principal_row
from services.inventory.connectors.credential_files import CredentialFiles
from services.inventory.domain.credentials import (
    LONGEST,
    SERVICES,
    Kind,
    ServicePrincipal,
    digest,
    is_api_key,
)
from services.inventory.store import access
from services.inventory.store.locks import hold
from services.inventory.store.tables import PrincipalRow
from shared.access import AUDIENCE
from shared.acting import Acting, acting_as
from shared.errors import Invalid
from shared.store import Database, Transaction

ADMIN = NewPrincipal(name="admin", kind=Kind.PERSON, roles=("admin",))
OURSELVES = "inventory"
TOKEN_LIFETIME = timedelta(days=365)
RENEWED_BEFORE_END = timedelta(days=30)


class FirstStart:
    """Looks at every start whether all of it is there and still good; any number of replicas may."""

    def __init__(
        self,
        database: Database,
        granting: Access,
        files: CredentialFiles,
        *,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """`given` are API keys of services that the settings hold: those are kept, and none is made or written."""
        self._given = given or {}
        self._database = database
        self._granting = granting
        self._files = files

    async def prepare(self, now: datetime) -> None:
        """Make what is missing, and make anew what is about to end."""
        with acting_as(Acting(name=OURSELVES)):
            await self._prepare(now)

    async def _prepare(self, now: datetime) -> None:
        async with self._database.transaction() as tx:
            await hold(tx, "first start")
            if not await access.signing_keys(tx.session):
                await self._granting.add_signing_key(tx, now=now)
                await tx.session.flush()
            await self._prepare_token(tx, now=now)
            for service in SERVICES:
                await self._prepare_api_key(tx, service, now=now)

    async def _prepare_token(self, tx: Transaction, *, now: datetime) -> None:
        admin = await _principal(tx, ADMIN, now=now)
        if admin.disabled_at is not None:
            return
        written = self._files.admin_token()
        if written is None or not await self._is_good(tx, written, admin, now=now):
            granted = await self._granting.grant(
                tx, admin, sealing_key=None, lifetime=TOKEN_LIFETIME, now=now
            )
            self._files.write_admin_token(granted.token)

    async def _is_good(self, tx: Transaction, token: str, admin: PrincipalRow, *, now: datetime) -> bool:
        key = await self._granting.signing_key(tx)
        try:
            claims = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._granting.issuer,
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError:
            return False
        is_void = admin.void_until is not None and claims["iat"] <= admin.void_until.timestamp()
        lasts = claims["exp"] > (now + RENEWED_BEFORE_END).timestamp()
        return bool(claims["sub"] == admin.id and lasts and not is_void)

    async def _prepare_api_key(self, tx: Transaction, service: ServicePrincipal, *, now: datetime) -> None:
        new = NewPrincipal(name=service.name, kind=Kind.SERVICE, permissions=service.permissions)
        principal = await _principal(tx, new, now=now)
        # A later version may ask for more than the one that made it.
        principal.permissions = list(service.permissions)
        given = self._given.get(service.name)
        if given is not None:
            await self._keep(tx, service.name, principal.id, given, now=now)
            return
        written = self._files.api_key(service.name)
        known = await access.api_key(tx.session, digest(written)) if written else None
        ends = known.expires_at if known is not None and known.revoked_at is None else now
        if ends <= now + RENEWED_BEFORE_END:
            made = add_api_key(tx, principal.id, created_by=OURSELVES, now=now, expires_at=now + LONGEST)
            self._files.write_api_key(service.name, made.key)

    async def _keep(self, tx: Transaction, name: str, principal_id: str, key: str, *, now: datetime) -> None:
        if not is_api_key(key):
            raise Invalid(
                f"EVERLEAF_{name.upper()}_API_KEY is not an API key.",
                next_step="Make one with `everleaf api-key`, and give the same to inventory and to the service.",
            )
        known = await access.api_key(tx.session, digest(key))
        if known is None:
            keep_api_key(tx, principal_id, key, created_by=OURSELVES, now=now, expires_at=now + LONGEST)
        elif known.expires_at <= now + RENEWED_BEFORE_END:
            # It holds as long as the settings say so; one that was revoked stays that.
            known.expires_at = now + LONGEST


async def _principal(tx: Transaction, new: NewPrincipal, *, now: datetime) -> PrincipalRow:
    made = principal_row(new, created_by=OURSELVES, now=now)
    if await access.add_principal(tx, made):
        tx.record_row(made, "created")
    row = await access.principal_named(tx.session, new.name)
    if row is None:  # it was there a moment ago, and nobody deletes principals
        raise AssertionError(new.name)
    return row
