"""Citrix ADC (NetScaler) by its NITRO API: every certificate-key pair, and the virtual servers that present it.

The certificates are read from the files that the pairs name. A file that holds a private key too is not asked for: keys
stay on the appliance.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, cast

from pydantic import BaseModel

from services.discovery.connectors import Access, Check
from services.discovery.connectors.citrix.settings import CitrixAdcCredential, CitrixAdcSettings
from services.discovery.connectors.citrix.survey import PAIRS, Binding, Pair, Survey, survey
from services.discovery.connectors.web import NotPermitted, web_api
from services.discovery.domain.holdings import Gap, Holding, Page, Use
from services.discovery.domain.targets import is_address
from shared import x509
from shared.appliances.nitro import POLICY, NitroLogin, Session, session
from shared.errors import Invalid, NotFound

PER_PAGE = 100
_MOST_REFUSED = 3
"""Files in a row, when none was readable: then no other one is tried."""
_KEY_BEGINS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_APART = "Keep the certificate in a file of its own, and name it in the certificate-key pair."
_ALLOW_FILES = f"{POLICY} (show system file)"
_LOOK = "Look at the file on the appliance."


class CitrixAdc:
    """An appliance that we log into with its API."""

    kind: ClassVar[str] = "citrix-adc"
    summary: ClassVar[str] = (
        "Certificate-key pairs and virtual servers of a Citrix ADC (NetScaler), over NITRO."
    )
    settings_type: ClassVar[type[BaseModel]] = CitrixAdcSettings
    credential_type: ClassVar[type[BaseModel]] = CitrixAdcCredential

    def __init__(self, opened: Session, *, settings: CitrixAdcSettings) -> None:
        self._session = opened
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Log in."""
        settings = cast("CitrixAdcSettings", access.settings)
        login = NitroLogin(
            host=settings.host,
            username=settings.username,
            password=cast("CitrixAdcCredential", access.credential).password.get_secret_value(),
        )
        async with (
            web_api(access, settings.url, trusted_ca=settings.trusted_ca) as api,
            session(api, login) as opened,
        ):
            yield cls(opened, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which resources may be read, and whether the files of certificates may."""
        found = await survey(self._session)
        contents = _Contents(self._session)
        await contents.fetch([pair for _, pair in sorted(found.pairs.items()) if _is_without_key(pair)][:1])
        gaps = [*found.gaps, *contents.told()]
        counted = f"{len(found.pairs)} certificate-key pairs, {len(found.bindings)} of them bound"
        return [
            Check(name="login", ok=True, text=counted),
            *(Check(name=gap.scope, ok=False, text=f"{gap.reason} {gap.next_step}") for gap in gaps),
        ]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificate-key pairs by name."""
        found = await survey(self._session)
        contents = _Contents(self._session)
        pairs = [pair for _, pair in sorted(found.pairs.items()) if after is None or pair.path > after]
        first = found.gaps
        for start in range(0, len(pairs), PER_PAGE):
            chosen = pairs[start : start + PER_PAGE]
            links = [link for pair in chosen for link in found.links(pair)]
            await contents.fetch([*chosen, *links])
            holdings = tuple(self._holding(pair, found, contents) for pair in chosen if contents.leaf(pair))
            is_last = start + PER_PAGE >= len(pairs)
            yield Page(
                holdings=holdings,
                gaps=(*first, *contents.told()),
                position=None if is_last else chosen[-1].path,
            )
            first = ()
        if not pairs:
            yield Page(gaps=first)

    def _holding(self, pair: Pair, found: Survey, contents: "_Contents") -> Holding:
        chain = [der for each in (pair, *found.links(pair)) if (der := contents.leaf(each))]
        uses = tuple(_use(binding, chain[0]) for binding in found.bindings.get(pair.name, ()))
        addresses = (listener.address for use in uses for listener in use.listeners)
        return Holding(
            address=self._settings.host,
            path=pair.path,
            chain=tuple(dict.fromkeys(chain)),
            format="citrix-adc",
            key=pair.key,
            uses=uses,
            in_use=found.is_used(pair),
            addresses=tuple(dict.fromkeys(address for address in addresses if address)),
        )


@dataclass
class _Contents:
    """The certificates themselves, a file at a time; those of the last page are kept, for the chains among them."""

    session: Session
    leaves: dict[str, bytes | None] = field(default_factory=dict)
    """DER by the name of the pair; None where there is none to be had."""
    gaps: list[Gap] = field(default_factory=list)
    refused: int = 0
    """Files in a row that may not be read; -1 as soon as one was readable."""

    def told(self) -> tuple[Gap, ...]:
        """Return the gaps since the last time."""
        gaps, self.gaps = tuple(self.gaps), []
        return gaps

    def leaf(self, pair: Pair) -> bytes | None:
        """Return the certificate of a pair, in DER."""
        return self.leaves.get(pair.name)

    async def fetch(self, pairs: Sequence[Pair]) -> None:
        """Read the files of these pairs, and forget those of others."""
        self.leaves = {pair.name: self.leaves[pair.name] for pair in pairs if pair.name in self.leaves}
        for pair in pairs:
            if pair.name not in self.leaves:
                self.leaves[pair.name] = await self._leaf(pair)

    async def _leaf(self, pair: Pair) -> bytes | None:
        if self.refused >= _MOST_REFUSED:
            return None
        try:
            return _certificate(await self._content(pair))
        except NotPermitted as error:
            self.refused += self.refused >= 0
            scope = PAIRS if self.refused >= _MOST_REFUSED else pair.path
            self.gaps.append(Gap(scope=scope, reason=error.detail, next_step=_ALLOW_FILES))
        except NotFound as error:
            self.gaps.append(Gap(scope=pair.path, reason=error.detail, next_step=error.next_step))
        except _WithKey:
            reason = f"{pair.file} holds the private key too, which stays there."
            self.gaps.append(Gap(scope=pair.path, reason=reason, next_step=_APART))
        except Invalid:
            reason = f"{pair.file} cannot be read as a certificate."
            self.gaps.append(Gap(scope=pair.path, reason=reason, next_step=_LOOK))
        return None

    async def _content(self, pair: Pair) -> bytes:
        if not _is_without_key(pair):
            raise _WithKey
        content = await self.session.file(pair.file)
        self.refused = -1
        return content


class _WithKey(Exception):
    """A file holds a private key."""


def _is_without_key(pair: Pair) -> bool:
    """Return whether the file of a pair may be asked for, as far as is known without looking into it."""
    return pair.form != "PFX" and (pair.key is None or pair.key.path != pair.file)


def _certificate(content: bytes) -> bytes:
    """Return the first certificate of a file, which is the one that is used. Raises `Invalid` and `_WithKey`."""
    if _KEY_BEGINS.search(content):
        raise _WithKey
    if b"-----BEGIN" in content:
        return x509.from_pem(content.decode("latin-1"))[0]
    x509.load(content)
    return content


def _use(binding: Binding, leaf: bytes) -> Use:
    """Return a use with the names that its certificate is chosen by, where it is."""
    if not binding.is_chosen_by_name:
        return binding.use
    try:
        names = tuple(name for name in x509.read(leaf).names if not is_address(name))
        return replace(binding.use, server_names=names)
    except Invalid:
        return binding.use
