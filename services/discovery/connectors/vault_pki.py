"""What the PKI engines of a Vault or an OpenBao have issued.

Serials are listed, and each certificate that may be current is read by its serial. OpenBao lists by pages and with
dates, so that nothing is asked of what has expired; Vault lists all serials in one answer, and has no dates.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self, cast

import anyio
from pydantic import BaseModel, Field

from services.discovery.connectors import Access, Check
from services.discovery.connectors.issued import (
    PER_PAGE,
    Issued,
    Issuers,
    holdings_of,
    read_pem,
    serial_of,
    unreadable,
)
from services.discovery.connectors.vault import (
    NAME,
    Vault,
    VaultCredential,
    VaultSettings,
    policy_line,
    vault,
)
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Page
from shared.clock import utc_now
from shared.errors import EverleafError, Unavailable

AT_ONCE = 8
"""Certificates that are read at a time."""
MOST_ISSUED = 200_000
"""Serials of one mount that are taken up."""
MOST_ISSUERS = 100
_END = "~"
"""Sorts after every serial: the position of a mount that is done."""
_Mount = Annotated[str, Field(pattern=NAME, max_length=200)]


class VaultPkiSettings(VaultSettings):
    """Which PKI engines are read."""

    mounts: list[_Mount] = Field(
        ["pki"],
        min_length=1,
        max_length=100,
        description="Where PKI engines are mounted.",
        examples=[["pki_int"]],
    )


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Serials of one mount as Vault keeps them, with hyphens, in their order."""

    position: str = _END
    serials: Sequence[str] = ()
    expired: frozenset[str] = frozenset()
    gaps: tuple[Gap, ...] = ()


class VaultPki:
    """PKI engines that we may list."""

    kind: ClassVar[str] = "vault-pki"
    summary: ClassVar[str] = "Certificates that a PKI engine of HashiCorp Vault or OpenBao has issued."
    settings_type: ClassVar[type[BaseModel]] = VaultPkiSettings
    credential_type: ClassVar[type[BaseModel]] = VaultCredential

    def __init__(self, vault: Vault, *, settings: VaultPkiSettings) -> None:
        self._vault = vault
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Log in."""
        settings = cast("VaultPkiSettings", access.settings)
        async with vault(access, settings, cast("VaultCredential", access.credential)) as opened:
            yield cls(opened, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which mounts may be listed and read."""
        told = await self._vault.whoami()
        policies = ", ".join(map(str, told.get("policies") or ()))[:500]
        checks = [Check(name="token", ok=True, text=f"It has the policies {policies}.")]
        for mount in self._mounts:
            checks += [await self._check_list(mount), await self._check_read(mount)]
        return checks

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield what each mount has issued, by mount and serial."""
        begun, _, last = (after or "").partition("|")
        for mount in self._mounts:
            if mount < begun:
                continue
            try:
                issuers = await self._issuers(mount)
                async for batch in self._batches(mount, after=last if mount == begun else ""):
                    yield await self._page(mount, batch, issuers=issuers)
            except NotPermitted as error:
                await self._vault.whoami()  # Vault says the same where a token has expired meanwhile
                yield Page(gaps=(self._denied(mount, error),), position=f"{mount}|{_END}")
        yield Page()

    @property
    def _mounts(self) -> Sequence[str]:
        return sorted(set(self._settings.mounts))

    def _path(self, mount: str, serial: str = "") -> str:
        """Return the path of a holding, or the scope of all of a mount."""
        parts = (self._settings.namespace, mount, "issued", serial_of(serial) if serial else None)
        return "/".join(part for part in parts if part)

    async def _check_list(self, mount: str) -> Check:
        name = f"list {mount}/certs"
        try:
            listed = await self._vault.list(f"{mount}/certs", limit=1)
        except NotPermitted:
            return Check(
                name=name, ok=False, text=f"Add to its policy: {policy_line(f'{mount}/certs', 'list')}"
            )
        if listed is None:
            return Check(name=name, ok=False, text=f"{mount} is no PKI engine.")
        return Check(name=name, ok=True, text="It may be listed.")

    async def _check_read(self, mount: str) -> Check:
        name = f"read {mount}/cert"
        try:
            await self._vault.read(f"{mount}/cert/ca_chain")
        except NotPermitted:
            return Check(
                name=name, ok=False, text=f"Add to its policy: {policy_line(f'{mount}/cert/*', 'read')}"
            )
        return Check(name=name, ok=True, text="Certificates may be read.")

    async def _issuers(self, mount: str) -> Issuers:
        """Return the CA certificates of a mount: of all its issuers, or of a Vault before 1.11 its one chain."""
        texts: list[object] = []
        try:
            listed = await self._vault.list(f"{mount}/issuers")
            for name in _keys(listed)[:MOST_ISSUERS]:
                told = await self._vault.read(f"{mount}/issuer/{name}/json") or {}
                chain = told.get("ca_chain")
                texts += [told.get("certificate"), *(chain if isinstance(chain, list) else ())]
            if not texts:
                told = await self._vault.read(f"{mount}/cert/ca_chain") or {}
                texts = [told.get("certificate")]
        except NotPermitted:
            pass  # the certificates are told without those above them
        return Issuers(read_pem(texts))

    async def _batches(self, mount: str, *, after: str) -> AsyncGenerator[_Batch]:
        """Yield the serials after this one. Raises `NotPermitted` where they may not be listed."""
        left, has_pages = MOST_ISSUED, True
        while True:
            listed = await self._detailed(mount, after=after) if has_pages else None
            if listed is None:
                listed, has_pages = await self._vault.list(f"{mount}/certs"), False
            if listed is None:
                yield _Batch(gaps=(self._gap(mount, "It is no PKI engine.", step="Correct `mounts`."),))
                return
            keys = _keys(listed)
            serials = sorted({key.replace(":", "-") for key in keys if serial_of(key)})
            if len(serials) < len(set(keys)):
                step = "Check that the address is that of Vault."
                gap = self._gap(mount, "It lists what are no serial numbers.", step=step)
                yield _Batch(position=after, gaps=(gap,))
            if serials and serials[-1] <= after:
                if not has_pages:
                    return
                has_pages = False  # it does not go on after a serial, as OpenBao does: list all
                continue
            serials = [serial for serial in serials if serial > after]
            for batch in _batched(serials[:left]):
                yield _Batch(position=batch[-1], serials=batch, expired=_expired(listed, now=utc_now()))
            left -= len(serials)
            if left < 0:
                reason = f"It has issued more than {MOST_ISSUED}; those with higher serials are not read."
                yield _Batch(gaps=(self._gap(mount, reason, step="Let the engine tidy its store."),))
            if left <= 0 or not serials or not has_pages or len(keys) != PER_PAGE:
                return
            after = serials[-1]

    async def _detailed(self, mount: str, *, after: str) -> Mapping[str, Any] | None:
        """Return a page of serials with dates; None where that is not offered, or not to us."""
        try:
            return await self._vault.list(f"{mount}/certs/detailed", after=after, limit=PER_PAGE)
        except NotPermitted:
            return None

    async def _page(self, mount: str, batch: _Batch, *, issuers: Issuers) -> Page:
        told: dict[str, Issued | Gap | None] = {}
        errors: list[EverleafError] = []
        limiter = anyio.Semaphore(AT_ONCE)

        async def read_one(serial: str) -> None:
            async with limiter:
                try:
                    told[serial] = await self._certificate(mount, serial)
                except EverleafError as error:
                    errors.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for serial in batch.serials:
                if serial not in batch.expired:
                    group.start_soon(read_one, serial)
        if errors:
            raise errors[0]
        found = [told[serial] for serial in batch.serials if serial in told]
        holdings, gaps = holdings_of(
            [each for each in found if isinstance(each, Issued)],
            address=self._settings.host,
            issuers=issuers,
            now=utc_now(),
        )
        gaps += [each for each in found if isinstance(each, Gap)]
        position = f"{mount}|{batch.position}"
        return Page(holdings=tuple(holdings), gaps=(*batch.gaps, *gaps), position=position)

    async def _certificate(self, mount: str, serial: str) -> Issued | Gap | None:
        """Read one; None where it was revoked, or tidied away a moment ago."""
        told = await self._vault.read(f"{mount}/cert/{serial}")
        if told is None or told.get("revocation_time"):
            return None
        path = self._path(mount, serial)
        chain = read_pem([told.get("certificate")])
        return Issued(path=path, der=chain[0]) if chain else unreadable(path, "It is no PEM certificate.")

    def _denied(self, mount: str, error: EverleafError) -> Gap:
        lines = (policy_line(f"{mount}/certs", "list"), policy_line(f"{mount}/cert/*", "read"))
        return self._gap(mount, error.detail, step=f"Add to the policy of the login: {' '.join(lines)}")

    def _gap(self, mount: str, reason: str, *, step: str) -> Gap:
        return Gap(scope=self._path(mount), reason=f"{mount}: {reason}", next_step=step)


def _keys(listed: Mapping[str, Any] | None) -> list[str]:
    keys = (listed or {}).get("keys", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Unavailable(
            "The list is not one of Vault.", next_step="Check that the address is that of Vault."
        )
    return keys


def _batched(serials: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(serials), PER_PAGE):
        yield serials[start : start + PER_PAGE]


def _expired(listed: Mapping[str, Any], *, now: datetime) -> frozenset[str]:
    """Return the serials that the list itself says have expired."""
    info = listed.get("key_info")
    if not isinstance(info, dict):
        return frozenset()
    return frozenset(
        serial.replace(":", "-")
        for serial, facts in info.items()
        if isinstance(facts, dict) and _is_past(facts.get("not_after"), now=now)
    )


def _is_past(text: object, *, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else now
    except ValueError:
        return False  # the certificate itself will say
    return moment.replace(tzinfo=moment.tzinfo or UTC) < now
