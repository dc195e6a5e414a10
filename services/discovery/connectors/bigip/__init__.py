"""F5 BIG-IP by its API: every certificate on it, and the virtual servers that present it.

iControl REST tells of certificates, keys, SSL profiles and virtual servers; the certificates themselves come by iControl
SOAP, which has a question for them. Private keys stay on the device, and no command is run on it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Self, cast

from pydantic import BaseModel

from services.discovery.connectors import Access, Check
from services.discovery.connectors.bigip.objects import Certificate
from services.discovery.connectors.bigip.settings import BigIpCredential, BigIpSettings
from services.discovery.connectors.bigip.survey import Survey, survey
from services.discovery.connectors.web import NotPermitted, web_api
from services.discovery.domain.holdings import Gap, Holding, Key, Page, Use
from services.discovery.domain.targets import is_address
from shared import x509
from shared.appliances import icontrol_soap as soap
from shared.appliances.bigip import BigIpLogin, Session, session
from shared.errors import Invalid, NotFound, Refused

PER_PAGE = 100
PER_EXPORT = 25
LARGEST_FILE = 1024 * 1024
MOST_IN_CHAIN = 16
"""Certificates; a file of more is a list of trusted ones."""
_ALLOW_SOAP = "Let the user ask iControl SOAP, or read /config/bigip.conf with a source of kind linux-ssh."
_LOOK = "Look at it on the device, in System > Certificate Management."


class BigIp:
    """A device that we log into with its API."""

    kind: ClassVar[str] = "f5-bigip"
    summary: ClassVar[str] = (
        "Certificates, SSL profiles and virtual servers of an F5 BIG-IP, over iControl REST."
    )
    settings_type: ClassVar[type[BaseModel]] = BigIpSettings
    credential_type: ClassVar[type[BaseModel]] = BigIpCredential

    def __init__(self, opened: Session, *, settings: BigIpSettings) -> None:
        self._session = opened
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Log in."""
        settings = cast("BigIpSettings", access.settings)
        login = BigIpLogin(
            host=settings.host,
            username=settings.username,
            password=cast("BigIpCredential", access.credential).password.get_secret_value(),
            provider=settings.login_provider,
            by_token=settings.login == "token",
        )
        async with (
            web_api(access, settings.url, trusted_ca=settings.trusted_ca) as api,
            session(api, login) as opened,
        ):
            yield cls(opened, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which objects may be read, whether certificates come out, and which partitions are hidden."""
        found = await survey(self._session, settings=self._settings)
        refused = [
            Check(name=gap.scope or "certificates", ok=False, text=f"{gap.reason} {gap.next_step}")
            for gap in found.gaps
        ]
        counted = f"{len(found.certificates)} certificates, {len(found.slots)} of them on virtual servers"
        return [Check(name="login", ok=True, text=counted), *refused, *await self._check_contents(found)]

    async def _check_contents(self, found: Survey) -> Sequence[Check]:
        one = sorted(path for path, each in found.certificates.items() if not each.is_bundle)[:1]
        contents = _Contents(self._session, self._settings)
        await contents.fetch(one, known=found.certificates)
        gaps = contents.gaps
        text = " ".join(f"{gap.reason} {gap.next_step}" for gap in gaps) or "certificates can be exported"
        return [Check(name="contents", ok=not gaps, text=text)]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificates by path."""
        found = await survey(self._session, settings=self._settings)
        contents = _Contents(self._session, self._settings)
        paths = [path for path in sorted(_presentable(found)) if after is None or path > after]
        first = found.gaps
        for start in range(0, len(paths), PER_PAGE):
            chosen = paths[start : start + PER_PAGE]
            chains = [
                slot.pair.chain for path in chosen for slot in found.slots.get(path, ()) if slot.pair.chain
            ]
            await contents.fetch([*chosen, *chains], known=found.certificates)
            holdings = tuple(
                self._holding(path, found, contents) for path in chosen if contents.texts.get(path)
            )
            is_last = start + PER_PAGE >= len(paths)
            yield Page(
                holdings=holdings, gaps=(*first, *contents.told()), position=None if is_last else chosen[-1]
            )
            first = ()
        if not paths:
            yield Page(gaps=first)

    def _holding(self, path: str, found: Survey, contents: "_Contents") -> Holding:
        slots = found.slots.get(path, [])
        own = contents.texts[path]
        chain = next((slot.pair.chain for slot in slots if slot.pair.chain), None)
        more = contents.texts.get(chain, ()) if chain and chain != path else ()
        more = more if len(more) <= MOST_IN_CHAIN else ()
        uses = tuple(slot.use(names=_names(own[0]) if slot.is_chosen_by_name else ()) for slot in slots)
        return Holding(
            address=self._settings.host,
            path=path,
            chain=(*own[:MOST_IN_CHAIN], *(each for each in more if each not in own)),
            format="bigip",
            key=_key(path, uses, keys=found.keys),
            uses=uses,
            in_use=found.is_used(path),
            addresses=_addresses(uses),
        )


@dataclass
class _Contents:
    """The certificates themselves, as they are asked for; those of the last page are kept, for the chains among them."""

    session: Session
    settings: BigIpSettings
    texts: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """DER by path; empty where there is no certificate to be had."""
    gaps: list[Gap] = field(default_factory=list)
    is_closed: bool = False

    def told(self) -> tuple[Gap, ...]:
        """Return the gaps since the last time."""
        gaps, self.gaps = tuple(self.gaps), []
        return gaps

    async def fetch(self, paths: Iterable[str], *, known: dict[str, Certificate]) -> None:
        """Ask for certificates that are there, unless it is known that they are not to be had."""
        if self.settings.contents == "none" and not self.is_closed:
            self._close("iControl REST tells that certificates are there, and does not show them.", _USE_SOAP)
        wanted = [path for path in dict.fromkeys(paths) if path in known]
        self.texts = {path: self.texts[path] for path in wanted if path in self.texts}
        wanted = [path for path in wanted if path not in self.texts]
        for path in wanted:
            if (known[path].size or 0) > LARGEST_FILE:
                self._gap(path, f"It has more than {LARGEST_FILE} bytes.", _LOOK)
        wanted = [path for path in wanted if path not in self.texts]
        for start in range(0, len(wanted), PER_EXPORT):
            await self._export(wanted[start : start + PER_EXPORT], known=known)

    async def _export(self, paths: list[str], *, known: dict[str, Certificate]) -> None:
        """Export a batch; where one of it is refused, each half of it."""
        if self.is_closed or not paths:
            return
        try:
            texts = await self.session.export(paths)
        except soap.Fault as fault:
            if "AccessDenied" in str(fault):
                self._close(f"The user may not export certificates ({fault}).", _ALLOW_SOAP)
            elif len(paths) == 1:
                self._gap(paths[0], f"It cannot be exported ({fault}).", _LOOK)
            else:
                middle = len(paths) // 2
                await self._export(paths[:middle], known=known)
                await self._export(paths[middle:], known=known)
        except (Refused, NotPermitted, NotFound) as error:  # the login is right: it was tried before
            self._close(f"iControl SOAP does not answer the user ({error.detail})", _ALLOW_SOAP)
        else:
            for path, text in zip(paths, texts, strict=True):
                self._take(known[path], text)

    def _take(self, certificate: Certificate, text: str) -> None:
        path = certificate.path
        try:
            chain = tuple(x509.from_pem(text))
        except Invalid:
            self._gap(path, "It cannot be read as a certificate.", _LOOK)
            return
        if certificate.fingerprint not in (None, x509.fingerprint(chain[0])):
            self._gap(path, "It was changed while it was read.", "It is read again with the next run.")
            return
        self.texts[path] = chain

    def _gap(self, path: str, reason: str, next_step: str) -> None:
        self.texts[path] = ()
        self.gaps.append(Gap(scope=path, reason=reason, next_step=next_step))

    def _close(self, reason: str, next_step: str) -> None:
        self.is_closed = True
        self.gaps.append(Gap(scope="/", reason=reason, next_step=next_step))


_USE_SOAP = "Set `contents` to soap, or read /config/bigip.conf with a source of kind linux-ssh."


def _presentable(found: Survey) -> Iterable[str]:
    """Return all but the lists of trusted certificates, which no server presents."""
    return (path for path, each in found.certificates.items() if not each.is_bundle or path in found.slots)


def _names(leaf: bytes) -> tuple[str, ...]:
    try:
        return tuple(name for name in x509.read(leaf).names if not is_address(name))
    except Invalid:
        return ()


def _key(path: str, uses: Sequence[Use], *, keys: dict[str, Key]) -> Key | None:
    """Return the key that a profile pairs it with, else the one of the same name, as the device itself goes by."""
    paired = next((use.key for use in uses if use.key), None)
    stem = path.removesuffix(".crt")
    return next((keys[name] for name in (paired, f"{stem}.key", path) if name in keys), None)


def _addresses(uses: Sequence[Use]) -> tuple[str, ...]:
    found = (listener.address for use in uses for listener in use.listeners)
    return tuple(dict.fromkeys(address for address in found if address))
