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
from typing import Annotated, Any, ClassVar, Self, cast
from urllib.parse import parse_qs, urlsplit

import anyio
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.entra import Application, entra_token, read_certificate
from services.discovery.connectors.tokens import Api, RenewingApi, Token
from services.discovery.connectors.web import Answer, NotPermitted, WebApi, trusting, web_api
from services.discovery.domain.holdings import Gap, Holding, Key, Page
from shared import x509
from shared.errors import EverleafError, Invalid, NotFound, Refused, Unavailable

API_VERSION = "7.4"
PER_PAGE = 25
"""The most that the API gives at a time."""
AT_ONCE = 4
MOST_CERTIFICATES = 20_000
MOST_VERSIONS = 100
"""Of one certificate."""
_TOKEN = re.compile(r"[!-~]{1,1900}")
"""A skip token, which is kept as the position of a run."""
_KEY = re.compile(r"/(?P<path>keys/[0-9A-Za-z-]{1,127}/[0-9A-Za-z]{1,64})")
_GUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_ID = re.compile(r"/certificates/(?P<name>[0-9A-Za-z-]{1,127})(/(?P<version>[0-9A-Za-z]{1,64}))?")
_CHALLENGED = re.compile(r'(\w+)="([^"]*)"')


class KeyVaultSettings(BaseModel):
    """Which vault, and which application asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vault: str = Field(
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?/?$",
        max_length=253,
        examples=["https://shop.vault.azure.net"],
    )
    tenant: str = Field(pattern=_GUID, description="Id of the tenant that the vault belongs to.")
    client_id: str = Field(pattern=_GUID, description="Id of the application.")
    authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https://[0-9A-Za-z][0-9A-Za-z.-]*(:[0-9]{1,5})?$",
        max_length=253,
        description="Where tokens are given; the sovereign clouds have their own.",
        examples=["https://login.microsoftonline.us"],
    )
    old_versions: bool = Field(
        False, description="Read also the versions that are not current any more: one question for each."
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )


class KeyVaultCredential(BaseModel):
    """A client secret of the application, or its certificate with the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: Annotated[SecretStr | None, Field(min_length=1, max_length=1000)] = None
    certificate: str | None = Field(None, max_length=100_000, description="PEM.")
    private_key: Annotated[SecretStr | None, Field(max_length=100_000)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            msg = "certificate and private_key belong together"
            raise ValueError(msg)
        if (self.client_secret is None) == (self.private_key is None):
            msg = "give either client_secret, or certificate with private_key"
            raise ValueError(msg)
        if self.certificate is not None and self.private_key is not None:
            try:
                read_certificate(self.certificate, self.private_key.get_secret_value())
            except Invalid as error:
                raise ValueError(str(error)) from None
        return self


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
        application = _application(settings, cast("KeyVaultCredential", access.credential))
        context = trusting(settings.trusted_ca)
        async with (
            web_api(access, settings.vault, context=context) as vault,
            web_api(access, settings.authority, context=context) as authority,
        ):
            make = partial(
                _token, vault, authority, application, host=urlsplit(settings.vault).hostname or ""
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
            raise _forbidden(path, answer)
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


def _application(settings: KeyVaultSettings, credential: KeyVaultCredential) -> Application:
    secret, key = credential.client_secret, credential.private_key
    return Application(
        authority=settings.authority,
        tenant=settings.tenant,
        client_id=settings.client_id,
        client_secret=secret.get_secret_value() if secret else None,
        certificate=credential.certificate,
        private_key=key.get_secret_value() if key else None,
    )


async def _token(vault: WebApi, authority: WebApi, application: Application, *, host: str) -> Token:
    """Ask the vault whose tokens it takes, and ask for one: only for this vault, and only in our own tenant."""
    answer = await vault.ask(
        "GET",
        "/certificates",
        params={"api-version": API_VERSION, "maxresults": "1"},
        accepted={HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN},
    )
    if answer.status == HTTPStatus.FORBIDDEN:
        raise _forbidden("/certificates", answer)
    told = dict(_CHALLENGED.findall(answer.headers.get("WWW-Authenticate", "")))
    resource = _resource(told.get("resource", ""), host=host)
    expected = f"{application.authority}/{application.tenant}".lower()
    if told.get("authorization", "").lower().rstrip("/") != expected:
        raise Refused(
            "The vault takes tokens of another tenant or authority than the settings name.",
            next_step="Correct `tenant` and `authority`: `az keyvault show` tells the vault's tenant.",
        )
    return await entra_token(authority, application, scope=f"{resource}/.default")


def _resource(resource: str, *, host: str) -> str:
    """Return what a token is asked for, where it is of the vault's own domain.

    Else a vault of somebody else would get a token that opens another service.
    """
    domain = (urlsplit(resource).hostname or "").lower()
    is_plain = resource.rstrip("/").lower() == f"https://{domain}"
    if not domain or not is_plain or not f".{host.lower()}".endswith(f".{domain}"):
        raise Refused(
            "The vault asks for a token of another service than its own.",
            next_step="Check the address of the vault: it may not be one.",
        )
    return resource.rstrip("/")


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


def _forbidden(path: str, answer: Answer) -> Refused:
    """Return why the vault says no: to this only, or to us altogether."""
    error = _error(answer)
    inner = error.get("innererror")
    code = str(inner.get("code") if isinstance(inner, dict) else error.get("code", "Forbidden"))[:60]
    said = " ".join(str(error.get("message", "")).split())[:200]
    text = f"{path}: {code} ({said})." if said.isprintable() else f"{path}: {code}."
    if code in ("ForbiddenByFirewall", "ForbiddenByConnection"):
        return Refused(
            text, next_step="Let this address through the vault's firewall, or use its private endpoint."
        )
    permission = "get" if path.count("/") > 1 else "list"
    return NotPermitted(
        text,
        next_step=f"Give the application certificates/{permission}: by the role Key Vault Reader, or an access policy.",
    )


def _error(answer: Answer) -> dict[str, Any]:
    try:
        told = answer.json()
    except Unavailable:
        return {}
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {}


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
