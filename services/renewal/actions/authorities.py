"""The verbs on authorities: make known, look at, and open one for the work on an order."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.books import Books
from services.renewal.actions.scopes import is_for, put_into, require_own
from services.renewal.connectors import (
    CertificateAuthority,
    FoundedHere,
    Identity,
    IssuesAtOnce,
    Network,
    Terms,
)
from services.renewal.connectors.registry import authority_kind
from services.renewal.domain.budgets import is_public_directory
from services.renewal.domain.policy import Trust
from shared.access import Principal
from shared.documents import read_document
from shared.errors import Conflict, NotFound
from shared.groups import listed
from shared.ids import new_id
from shared.pkcs11 import Token
from shared.sealing import Sealer
from shared.store import Database
from shared.x509 import to_pem

_SEE_README = "See the README of renewal for what this kind of authority takes."


@dataclass(frozen=True, kw_only=True)
class NewAuthority:
    """What is needed to make an authority known; options and secrets are as its kind wants them."""

    name: str
    kind: str
    options: Mapping[str, Any]
    secrets: Mapping[str, SecretStr] = field(repr=False)
    groups: Sequence[str] = ()
    trust: Trust | None = None
    """Left out: public for the ACME directories that browsers trust, else private."""


class Authorities:
    """Those who issue."""

    def __init__(
        self, database: Database, *, sealer: Sealer, network: Network, public_url: str | None = None
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._network = network
        self._books = Books(database, public_url=public_url)

    async def create(self, new: NewAuthority, *, caller: Principal, now: datetime) -> store.Authority:
        """Make an authority known; nothing is asked of it yet. Raises `Forbidden`, `Invalid` or `Conflict`."""
        groups = listed(caller.grouped(new.groups))
        kind = authority_kind(new.kind)
        plain = _plain(new.secrets)
        options = read_document(kind.options_type, new.options, at="options", next_step=_SEE_README)
        secrets = read_document(kind.secrets_type, plain, at="secrets", next_step=_SEE_README)
        async with self._database.read() as session:  # before keys are made, which in a token would stay
            await _refuse_taken(session, new.name)
        if issubclass(kind, FoundedHere):
            identity = await kind.found_here(options, name=new.name, network=self._network, now=now)
        else:
            identity = kind.found(options, secrets=secrets, name=new.name, now=now)
        authority_id = new_id()
        row = store.Authority(
            id=authority_id,
            name=new.name,
            kind=kind.kind,
            options=options.model_dump(mode="json", exclude_unset=True),
            secrets=self._seal_secrets(plain, authority_id=authority_id),
            private=b"",
            roots=[],
            trust=new.trust or _usual_trust(new),
            groups=groups,
            created_at=now,
            created_by=caller.id,
        )
        self.keep_identity(row, identity)
        async with self._database.transaction() as tx:
            await _refuse_taken(tx.session, new.name)
            tx.session.add(row)
        return row

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Authority]:
        """Return authorities that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.newest(session, store.Authority, after=after, limit=limit, scope=caller.scope)

    async def get(self, authority_id: str, *, caller: Principal) -> store.Authority:
        """Return an authority. Raises `NotFound`."""
        async with self._database.read() as session:
            return found_authority(
                await session.get(store.Authority, authority_id), authority_id, caller=caller
            )

    async def put_into(
        self, authority_id: str, groups: Sequence[str], *, caller: Principal
    ) -> store.Authority:
        """Put an authority into these groups and no others. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Authority, authority_id, with_for_update=True)
            row = found_authority(row, authority_id, caller=caller)
            put_into(row, groups, caller=caller)
        return row

    async def renew_secrets(
        self, authority_id: str, secrets: Mapping[str, SecretStr], *, caller: Principal, now: datetime
    ) -> store.Authority:
        """Put these secrets in the place of all that it had; identity and roots stay.

        Raises `NotFound`, `Forbidden`, or `Invalid` where they do not fit the kind or its options.
        """
        plain = _plain(secrets)
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Authority, authority_id, with_for_update=True)
            row = found_authority(row, authority_id, caller=caller)
            require_own(row, caller=caller)
            kind = authority_kind(row.kind)
            kind.found(
                read_document(kind.options_type, row.options, at="options", next_step=_SEE_README),
                secrets=read_document(kind.secrets_type, plain, at="secrets", next_step=_SEE_README),
                name=row.name,
                now=now,
            )
            row.secrets = self._seal_secrets(plain, authority_id=row.id)
        return row

    async def roots_pem(self, authority_id: str, *, caller: Principal) -> str:
        """Return the roots that its chains end at, in PEM. Raises `NotFound` where they are not known."""
        row = await self.get(authority_id, caller=caller)
        if not row.roots:
            raise NotFound(
                f"{row.name} has not told us its root.", next_step="Get it from the authority itself."
            )
        return to_pem(roots_of(row))

    def check_terms(self, row: store.Authority, *, terms: Terms) -> None:
        """Raise `Invalid` where the authority cannot issue on such terms."""
        kind = authority_kind(row.kind)
        kind.check_terms(
            read_document(kind.options_type, row.options, at="options", next_step=_SEE_README),
            terms=terms,
            network=self._network,
        )

    @property
    def token(self) -> Token | None:
        """The PKCS#11 token that keys may be made in, if there is one."""
        return self._network.token

    def issues_at_once(self, row: store.Authority) -> bool:
        """Return whether many orders of an authority take hardly longer than one."""
        return issubclass(authority_kind(row.kind), IssuesAtOnce)

    @asynccontextmanager
    async def open(self, row: store.Authority) -> AsyncIterator[CertificateAuthority[Any, Any]]:
        """Open an authority for the work on one order. Raises `CannotOpen` or `Invalid`."""
        kind = authority_kind(row.kind)
        secrets = json.loads(self._sealer.open(row.secrets, row=_secrets_row(row.id)))
        identity = Identity(private=self.open_private(row), roots=roots_of(row))
        async with kind.open(
            read_document(kind.options_type, row.options, at="options", next_step=_SEE_README),
            secrets=read_document(kind.secrets_type, secrets, at="secrets", next_step=_SEE_README),
            identity=identity,
            network=replace(self._network, ledger=self._books.of(row.id)),
        ) as opened:
            yield opened

    def open_private(self, row: store.Authority) -> bytes:
        """Return an authority's identity, to be changed. Raises `CannotOpen`."""
        return self._sealer.open(row.private, row=_private_row(row.id))

    def keep_identity(self, row: store.Authority, identity: Identity) -> None:
        """Put what an authority has to have into its row."""
        row.private = self.seal_private(identity.private, authority_id=row.id)
        row.roots = [base64.b64encode(der).decode() for der in identity.roots]

    def _seal_secrets(self, plain: Mapping[str, str], *, authority_id: str) -> bytes:
        return self._sealer.seal(json.dumps(plain).encode(), row=_secrets_row(authority_id))

    def seal_private(self, private: bytes, *, authority_id: str) -> bytes:
        """Return what is kept of an identity."""
        return self._sealer.seal(private, row=_private_row(authority_id))


async def _refuse_taken(session: AsyncSession, name: str) -> None:
    if await store.authority_named(session, name) is not None:
        raise Conflict(f"There is an authority named {name!r} already.", next_step="Choose another name.")


def _plain(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in secrets.items()}


def found_authority(row: store.Authority | None, authority_id: str, *, caller: Principal) -> store.Authority:
    """Return an authority that the caller sees. Raises `NotFound`."""
    if row is None or not is_for(caller, row):
        raise NotFound(
            f"There is no authority {authority_id}.", next_step="List them with GET /v1/authorities."
        )
    return row


def _usual_trust(new: NewAuthority) -> Trust:
    url = new.options.get("directory_url")
    return Trust.PUBLIC if isinstance(url, str) and is_public_directory(url) else Trust.PRIVATE


def roots_of(row: store.Authority) -> tuple[bytes, ...]:
    """Return the roots in DER."""
    return tuple(base64.b64decode(text) for text in row.roots)


def _secrets_row(authority_id: str) -> str:
    return f"renewal/authorities/{authority_id}/secrets"


def _private_row(authority_id: str) -> str:
    return f"renewal/authorities/{authority_id}/private"
