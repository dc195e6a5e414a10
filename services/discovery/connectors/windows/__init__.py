"""Windows hosts over SSH: the certificate stores of the machine, their keys, and what uses them.

Only certificates leave the host. Of a private key it says its container, who may read that, and whether it is the certificate's.
"""

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from pydantic import BaseModel, Field

from services.discovery.connectors import Access, Check
from services.discovery.connectors.powershell import WindowsCredential, WindowsSettings, powershell
from services.discovery.connectors.windows.keys import key_of
from services.discovery.connectors.windows.scripts import CERTIFICATES, USES, WHO
from services.discovery.connectors.windows.uses import central_store, store_path, uses_of
from services.discovery.domain.holdings import Gap, Holding, Page, Use
from services.discovery.domain.targets import is_address
from shared import x509
from shared.appliances.powershell import PowerShell, objects, texts
from shared.errors import Invalid

PER_PAGE = 100
MOST_PAGES = 100
MOST_ADDRESSES = 100
STORES = ("My", "Remote Desktop", "WebHosting")
_LONGEST_CHAIN = 6
_BACKUP_CONTROLLER = 4
"""From this role on a host is a domain controller, whose directory service picks a certificate by itself."""
_Store = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._-]+$", max_length=100)]


class WindowsHostSettings(WindowsSettings):
    """Where the host is, and which of its stores to read."""

    stores: list[_Store] = Field(
        list(STORES),
        min_length=1,
        max_length=20,
        description="Stores of the machine, as in Cert:\\LocalMachine.",
    )


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What is asked once, before the certificates."""

    uses: Mapping[str, Sequence[Use]]
    intermediates: Sequence[bytes]
    addresses: tuple[str, ...]
    gaps: tuple[Gap, ...]
    knows_all_uses: bool


class WindowsHost:
    """A Windows host that we log into with SSH."""

    kind: ClassVar[str] = "windows-ssh"
    summary: ClassVar[str] = (
        "Certificate stores of a Windows host and what uses them, over SSH and PowerShell."
    )
    settings_type: ClassVar[type[BaseModel]] = WindowsHostSettings
    credential_type: ClassVar[type[BaseModel]] = WindowsCredential

    def __init__(self, shell: PowerShell, *, settings: WindowsHostSettings) -> None:
        self._shell = shell
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Connect and log in."""
        async with powershell(access) as shell:
            yield cls(shell, settings=cast("WindowsHostSettings", access.settings))

    async def check(self) -> Sequence[Check]:
        """Say who we are there, and what may be read."""
        who = await self._shell.ask(WHO, answers="Name")
        facts = await self._facts()
        stores = sorted(set(self._settings.stores))
        told = await self._shell.ask(CERTIFICATES, answers="Certificates", stores=stores, after="", count=1)
        gaps = [*facts.gaps, *_gaps(told, below="LocalMachine/")]
        rights = "an administrator" if who.get("IsAdministrator") is True else "no administrator"
        login = Check(name="login", ok=True, text=f"{who.get('Name')} on {who.get('Computer')}, {rights}.")
        return [
            login,
            *(Check(name=gap.scope, ok=False, text=f"{gap.reason} {gap.next_step}") for gap in gaps),
        ]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield the certificates of one store after the other, by thumbprint."""
        facts = await self._facts()
        gaps: tuple[Gap, ...] = facts.gaps
        stores = sorted(set(self._settings.stores))
        store, thumbprint = _position(after)
        for number in range(MOST_PAGES):
            stores = [each for each in stores if each >= store]
            told = await self._shell.ask(
                CERTIFICATES,
                answers="Certificates",
                stores=stores,
                after=thumbprint if stores and stores[0] == store else "",
                count=PER_PAGE,
            )
            listed = objects(told.get("Certificates"))
            page = self._page(listed, facts)
            is_last = told.get("IsFull") is not True or not listed
            if not is_last:
                store, thumbprint = str(listed[-1].get("Store")), str(listed[-1].get("Thumbprint"))
            beyond = (_beyond(),) if number == MOST_PAGES - 1 and not is_last else ()
            is_last = is_last or bool(beyond)
            yield Page(
                holdings=page.holdings,
                gaps=(*gaps, *_gaps(told, below="LocalMachine/"), *page.gaps, *beyond),
                position=None if is_last else f"{store}/{thumbprint}",
            )
            if is_last:
                return
            gaps = ()

    async def _facts(self) -> _Facts:
        told = await self._shell.ask(USES, answers="Http")
        gaps = (*_gaps(told, below=""), *central_store(told))
        role = told.get("Role")
        addresses = [self._shell.address, *texts(told.get("Addresses"))[:MOST_ADDRESSES]]
        return _Facts(
            uses=uses_of(told),
            intermediates=[der for text in texts(told.get("Intermediates")) if (der := _decoded(text))],
            addresses=tuple(
                dict.fromkeys(each for each in addresses if is_address(each) and "%" not in each)
            ),
            gaps=gaps,
            knows_all_uses=not gaps and isinstance(role, int) and role < _BACKUP_CONTROLLER,
        )

    def _page(self, listed: Sequence[Mapping[str, Any]], facts: _Facts) -> Page:
        holdings, gaps = [], []
        for each in listed:
            path = store_path(each.get("Store"), each.get("Thumbprint"))
            leaf = _decoded(str(each.get("Raw")))
            if path is None:
                continue
            try:
                x509.read(leaf)
            except Invalid as error:
                gaps.append(Gap(scope=path, reason=error.detail, next_step="Look at it with certlm.msc."))
                continue
            holdings.append(self._holding(path, leaf, key=each.get("Key"), facts=facts))
        return Page(holdings=tuple(holdings), gaps=tuple(gaps))

    def _holding(self, path: str, leaf: bytes, *, key: Any, facts: _Facts) -> Holding:
        uses = tuple(facts.uses.get(path, ()))
        return Holding(
            address=self._settings.host,
            path=path,
            chain=chain_from(leaf, facts.intermediates),
            format="windows-store",
            key=key_of(key, path=path, leaf=leaf),
            uses=uses,
            in_use=True if uses else (False if facts.knows_all_uses else None),
            addresses=facts.addresses,
        )


def chain_from(leaf: bytes, intermediates: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a certificate with those above it that the host's store of intermediate ones has, as it would serve them."""
    chain = [leaf]
    while len(chain) < _LONGEST_CHAIN:
        above = next(
            (each for each in intermediates if each not in chain and _has_issued(each, chain[-1])), None
        )
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _has_issued(above: bytes, below: bytes) -> bool:
    try:
        issuer, issued = x509.load(above), x509.load(below)
        if issuer.subject != issued.issuer or issued.subject == issued.issuer:
            return False
        issued.verify_directly_issued_by(issuer)
    except (Invalid, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _position(after: str | None) -> tuple[str, str]:
    store, _, thumbprint = (after or "").rpartition("/")
    return store, thumbprint


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _gaps(told: Mapping[str, Any], *, below: str) -> list[Gap]:
    step = "Let the account be an administrator of the host, or see what it lacks there."
    return [
        Gap(scope=f"{below}{each.get('Scope')}", reason=_sentence(str(each.get("Text"))), next_step=step)
        for each in objects(told.get("Gaps"))
    ]


def _sentence(text: str) -> str:
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return plain[:300].rstrip(".") + "."


def _beyond() -> Gap:
    reason = f"There are more than {MOST_PAGES * PER_PAGE} certificates."
    return Gap(scope="", reason=reason, next_step="Name fewer stores.")
