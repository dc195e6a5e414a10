"""Azure Key Vault: the certificates of a vault, by its REST API.

Only the certificates are read, which needs the permissions certificates/list and certificates/get: never secrets or
keys. So the chain above a certificate is not known here (it is in the secret, beside the key), nor is who uses it.
"""

import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import ClassVar, Self, cast
from urllib.parse import parse_qs, urlsplit

import anyio
from pydantic import BaseModel, Field, ValidationError

from services.discovery.connectors import Access, Check
from services.discovery.connectors.azure.options import KeyVaultSettings
from services.discovery.connectors.web import Answer, NotPermitted, trusting, web_api
from services.discovery.domain.holdings import Gap, Holding, Key, Page
from shared import x509
from shared.clouds.key_vault import API_VERSION, KeyVaultCredential, application_of, forbidden, token_of
from shared.errors import EverleafError, Invalid, NotFound, Unavailable
from shared.tokens import Api, RenewingApi

PER_PAGE = 25
"""The most that the API gives at a time."""
AT_ONCE = 4
MOST_CERTIFICATES = 20_000
MOST_VERSIONS = 100
"""Of one certificate."""
_TOKEN = re.compile(r"[!-~]{1,1900}")
"""A skip token, which is kept as the position of a run."""
_KEY = re.compile(r"/(?P<path>keys/[0-9A-Za-z-]{1,127}/[0-9A-Za-z]{1,64})")
_ID = re.compile(r"/certificates/(?P<name>[0-9A-Za-z-]{1,127})(/(?P<version>[0-9A-Za-z]{1,64}))?")


class _Attributes(BaseModel):
    enabled: bool = True


class _Item(BaseModel):
    """A line of a list."""

    id: str = Field(max_length=2000)
    attributes: _Attributes = Field(default_factory=_Attributes)


class _Listed(BaseModel):
    """A page of a list."""

    value: list[_Item] = Field(max_length=1000)
    next_link: str | None = Field(None, alias="nextLink", max_length=8000)


class _Bundle(_Item):
    """One version of a certificate."""

    kid: str | None = Field(None, max_length=2000)
    cer: str


class AzureKeyVault:
    """A vault whose certificates we list."""

    kind: ClassVar[str] = "azure-key-vault"
    summary: ClassVar[str] = "Certificates of an Azure Key Vault."
    settings_type: ClassVar[type[BaseModel]] = KeyVaultSettings
    credential_type: ClassVar[type[BaseModel]] = KeyVaultCredential

    def __init__(self, api: Api, *, settings: KeyVaultSettings) -> None:
        self._api = api
        self._host = urlsplit(settings.vault).hostname or ""
        self._address = f"azure-key-vault:{self._host.split('.', maxsplit=1)[0]}"
        self._old_versions = settings.old_versions

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Open the vault and the place that gives tokens for it; a token is asked for when it is needed."""
        settings = cast("KeyVaultSettings", access.settings)
        application = application_of(settings, cast("KeyVaultCredential", access.credential))
        context = trusting(settings.trusted_ca)
        async with (
            web_api(access, settings.vault, context=context) as vault,
            web_api(access, settings.authority, context=context) as authority,
        ):
            make = partial(
                token_of, vault, authority, application, host=urlsplit(settings.vault).hostname or ""
            )
            yield cls(RenewingApi(vault, make=make), settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say whether certificates may be listed, and the first ones read."""
        try:
            listed = await self._list("/certificates", token=None)
        except NotPermitted as error:
            return [Check(name="certificates/list", ok=False, text=str(error))]
        found = await self._bundles([each.id for each in listed.value])
        gaps = [each for each in found if isinstance(each, Gap)]
        text = "; ".join(gap.reason for gap in gaps[:3]) or f"{len(found)} of the first page may be read."
        return [
            Check(name="certificates/list", ok=True, text="Certificates may be listed."),
            Check(name="certificates/get", ok=not gaps, text=text),
        ]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield the vault's certificates as it lists them."""
        token, count = after, 0
        while True:
            try:
                listed = await self._list("/certificates", token=token)
            except NotPermitted as error:
                yield Page(gaps=(_denied("certificates", error),))
                return
            page = _page(await self._bundles([each async for each in self._ids(listed.value)]))
            token = _skip_token(listed.next_link, host=self._host, path="/certificates")
            count += len(listed.value)
            if token is not None and count >= MOST_CERTIFICATES:
                yield Page(holdings=page.holdings, gaps=(*page.gaps, _too_many()))
                return
            yield Page(holdings=page.holdings, gaps=page.gaps, position=token)
            if token is None:
                return

    async def _ids(self, items: Sequence[_Item]) -> AsyncGenerator[str]:
        """Yield what is to be read: each certificate, and its older versions where they are wanted."""
        for item in items:
            yield item.id
            found = _ID.fullmatch(urlsplit(item.id).path)
            if found and self._old_versions:
                for version in await self._versions(found["name"]):
                    yield version.id

    async def _versions(self, name: str) -> list[_Item]:
        path, token, found = f"/certificates/{name}/versions", None, list[_Item]()
        while len(found) < MOST_VERSIONS:
            try:
                listed = await self._list(path, token=token)
            except (NotPermitted, NotFound):
                return []  # reading the certificate itself tells of it
            found += listed.value
            token = _skip_token(listed.next_link, host=self._host, path=path)
            if token is None:
                break
        return found[:MOST_VERSIONS]

    async def _list(self, path: str, *, token: str | None) -> _Listed:
        """Return a page of a list. Raises `NotPermitted`."""
        params = {"maxresults": str(PER_PAGE)} | ({"$skiptoken": token} if token else {})
        answer = await self._ask(path, **params)
        try:
            return _Listed.model_validate_json(answer.body)
        except ValidationError as error:
            raise Unavailable(
                f"{path}: the answer is no list.", next_step="Check that the address is a vault's."
            ) from error

    async def _ask(self, path: str, **params: str) -> Answer:
        answer = await self._api.ask(
            "GET", path, params={"api-version": API_VERSION, **params}, accepted={HTTPStatus.FORBIDDEN}
        )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise forbidden(path, answer)
        return answer

    async def _bundles(self, ids: Sequence[str]) -> list[Holding | Gap]:
        """Read so many versions, a few at a time, in their order."""
        found: dict[str, Holding | Gap | EverleafError | None] = {}
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(identifier: str) -> None:
            async with limiter:
                try:
                    found[identifier] = await self._bundle(identifier)
                except EverleafError as error:
                    found[identifier] = error

        async with anyio.create_task_group() as tasks:
            for identifier in dict.fromkeys(ids):
                tasks.start_soon(one, identifier)
        return list(_known(found[identifier] for identifier in dict.fromkeys(ids)))

    async def _bundle(self, identifier: str) -> Holding | Gap | None:
        """Return what one version holds; None where it was deleted meanwhile."""
        parts = _ID.fullmatch(urlsplit(identifier).path)
        if parts is None:
            return Gap(
                scope="certificates",
                reason="The vault lists something that is no certificate.",
                next_step="Check that the address is a vault's.",
            )
        path = parts[0].removeprefix("/")
        try:
            answer = await self._ask(f"/{path}")
        except NotPermitted as error:
            return _denied(path, error)
        except NotFound:
            return None
        try:
            return self._holding(_Bundle.model_validate_json(answer.body), path)
        except (ValidationError, Invalid, binascii.Error, ValueError):
            return Gap(
                scope=path,
                reason="Its certificate cannot be read.",
                next_step="Look at it with `az keyvault certificate show`.",
            )

    def _holding(self, bundle: _Bundle, path: str) -> Holding:
        der = base64.b64decode(bundle.cer, validate=True)
        facts = x509.read(der)
        key = _KEY.fullmatch(urlsplit(bundle.kid or "").path)
        return Holding(
            address=self._address,
            path=path,
            chain=(der,),
            format=self.kind,
            # A vault takes no certificate that does not fit the key it made for it.
            key=Key(path=key["path"], spki_sha256=facts.key_fingerprint, is_match=True) if key else None,
            # Nobody can use a disabled version.
            in_use=None if bundle.attributes.enabled else False,
        )


def _skip_token(link: str | None, *, host: str, path: str) -> str | None:
    """Return what the next page of a list is asked for with. Raises `Unavailable` where it is elsewhere."""
    if not link:
        return None
    parts = urlsplit(link)
    token = parse_qs(parts.query).get("$skiptoken", [""])[0]
    is_here = (parts.scheme, parts.hostname, parts.path.rstrip("/")) == ("https", host.lower(), path)
    if not is_here or not _TOKEN.fullmatch(token):
        raise Unavailable(
            "The vault names a next page that is not its own.",
            next_step="Check that the address is a vault's.",
        )
    return token


def _known(found: Iterator[Holding | Gap | EverleafError | None]) -> Iterator[Holding | Gap]:
    for each in found:
        if isinstance(each, EverleafError):
            raise each
        if each is not None:
            yield each


def _page(found: Sequence[Holding | Gap]) -> Page:
    holdings = [each for each in found if isinstance(each, Holding)]
    # The list of versions has the current one too: a key has the version of its certificate.
    current = {
        f"certificates{each.key.path.removeprefix('keys')}"
        for each in holdings
        if each.key is not None and each.path.count("/") == 1
    }
    return Page(
        holdings=tuple(each for each in holdings if each.path not in current),
        gaps=tuple(each for each in found if isinstance(each, Gap)),
    )


def _denied(scope: str, error: NotPermitted) -> Gap:
    return Gap(scope=scope, reason=error.detail, next_step=error.next_step)


def _too_many() -> Gap:
    return Gap(
        scope="certificates",
        reason=f"There are more than {MOST_CERTIFICATES} certificates.",
        next_step="Split the vault.",
    )
