"""Palo Alto Networks firewalls over the XML API of PAN-OS: their certificates, and what uses them.

A firewall is read as it runs alone or under Panorama: what a template has pushed shows in its own configuration. A Panorama is
read for its own certificates and for those in its templates; rules of device groups are not, so there "unused" stays open.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Self, cast
from xml.etree.ElementTree import Element  # nosec: only holds what defusedxml parsed

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.device import (
    MOST_CERTIFICATES,
    DeviceSettings,
    Survey,
    chain_of,
    parts,
    served_at,
    too_many,
    unreadable,
    word,
)
from services.discovery.connectors.pan_os.references import Reference, references
from services.discovery.connectors.web import web_api
from services.discovery.domain.holdings import Gap, Holding, Key, Listener, Page, Use
from services.discovery.domain.targets import is_address
from shared.appliances.pan_os import PanApi, make_key, quoted
from shared.errors import Invalid

MOST_SCOPES = 300
_DEVICE = "/devices/entry[@name='localhost.localdomain']"
_HTTPS = 443
_CERTIFICATES, _PROFILES = "certificate", "ssl-tls-service-profile"
_SHARED = ("ssl-decrypt", "certificate-profile", "server-profile", "authentication-profile")
_VSYS = (*_SHARED, "global-protect", "captive-portal", "rulebase/decryption")
_MANAGEMENT, _IKE = "deviceconfig/system/ssl-tls-service-profile", "network/ike/gateway"
_MANAGEMENT_ADDRESS = "deviceconfig/system/ip-address"


class PanOsSettings(DeviceSettings):
    """Where the firewall or Panorama is."""

    panorama: bool = Field(
        False, description="It is a Panorama: read its own certificates and those in its templates."
    )


class PanOsCredential(BaseModel):
    """An API key; or the name and password of an account, with which a key is made for each reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr | None = Field(None, min_length=8, max_length=2000)
    username: str | None = Field(None, min_length=1, max_length=100)
    password: SecretStr | None = Field(None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        has_account = self.username is not None and self.password is not None
        has_part = self.username is not None or self.password is not None
        if has_account == (self.api_key is not None) or has_part != has_account:
            msg = "give either api_key, or username and password"
            raise ValueError(msg)
        if self.api_key is not None and not _is_header(self.api_key.get_secret_value()):
            msg = "an API key is one line of ASCII"
            raise ValueError(msg)
        return self


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """A place that has certificates, and whose objects use its own and those of `shared`."""

    label: str
    xpath: str
    parts: tuple[str, ...]
    shared: str | None = None
    """The label of the scope whose certificates are visible in it."""


@dataclass(kw_only=True)
class _Found:
    """All certificates and what uses them; texts of certificates are kept, and nothing else of the configuration."""

    survey: Survey = field(default_factory=Survey)
    pem: dict[str, str] = field(default_factory=dict)
    with_key: set[str] = field(default_factory=set)
    profiles: dict[str, str] = field(default_factory=dict)
    """The certificate's name by `label/profile`."""
    uses: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))


class PanOs:
    """A firewall or Panorama that we ask with an API key."""

    kind: ClassVar[str] = "pan-os"
    summary: ClassVar[str] = "Certificates of a Palo Alto Networks firewall or Panorama, over the XML API."
    settings_type: ClassVar[type[BaseModel]] = PanOsSettings
    credential_type: ClassVar[type[BaseModel]] = PanOsCredential

    def __init__(self, api: PanApi, *, settings: PanOsSettings) -> None:
        self._api = api
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Take the key along, or have one made."""
        settings = cast("PanOsSettings", access.settings)
        credential = cast("PanOsCredential", access.credential)
        async with web_api(access, settings.url, trusted_ca=settings.trusted_ca) as web:
            if credential.api_key is not None:
                key = credential.api_key.get_secret_value()
            else:
                password = credential.password.get_secret_value() if credential.password else ""
                key = await make_key(web, username=credential.username or "", password=password)
            yield cls(PanApi(web, key=key), settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which parts of the configuration may be read, and which not."""
        found = await self._find()
        text = f"{len(found.pem)} certificates."
        return [Check(name="certificates", ok=True, text=text), *found.survey.checks()]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificates by where they are and their names."""
        found = await self._find()
        for part in parts(sorted(found.pem)[:MOST_CERTIFICATES], after=after):
            gaps = [*found.survey.gaps, *too_many(len(found.pem))] if part.is_first else []
            told = [self._told(path, found) for path in part.paths]
            gaps += [each for each in told if isinstance(each, Gap)]
            holdings = tuple(each for each in told if isinstance(each, Holding))
            yield Page(holdings=holdings, gaps=tuple(gaps), position=part.position)

    def _told(self, path: str, found: _Found) -> Holding | Gap:
        try:
            chain = chain_of(found.pem[path])
        except Invalid as error:
            return unreadable(path, error)
        uses = tuple(found.uses.get(path, ()))
        return Holding(
            address=self._settings.host,
            path=path,
            chain=chain,
            format="pan-os",
            key=Key(path=path) if path in found.with_key else None,
            uses=uses,
            in_use=True if uses else (None if found.survey.gaps or self._settings.panorama else False),
            addresses=tuple(dict.fromkeys((*served_at(uses), *self._settings.addresses))),
        )

    async def _find(self) -> _Found:
        found = _Found()
        scopes = await self._scopes(found.survey)
        for scope in scopes:
            await self._keep(scope, found)
        for scope in scopes:
            for part in scope.parts:
                for each in await self._refer(scope, part, found.survey):
                    _use(each, scope=scope, found=found)
        return found

    async def _scopes(self, survey: Survey) -> list[_Scope]:
        if not self._settings.panorama:
            return [each async for each in self._firewall(survey, label="", root="/config")]
        own = _Scope(
            label="panorama", xpath="/config/panorama", parts=("certificate-profile", "server-profile")
        )
        scopes = [
            own,
            _Scope(label="device", xpath=f"/config{_DEVICE}", parts=(_MANAGEMENT,), shared="panorama"),
        ]
        for name in await self._names(survey, f"/config{_DEVICE}/template", what="template"):
            root = f"/config{_DEVICE}/template/entry[@name={quoted(name)}]/config"
            label = f"template/{word(name)}/"
            scopes += [each async for each in self._firewall(survey, label=label, root=root)]
        return scopes

    async def _firewall(self, survey: Survey, *, label: str, root: str) -> AsyncIterator[_Scope]:
        """Yield the scopes of a firewall, or of a template, which is built like one."""
        shared, device = f"{label}shared", root + _DEVICE
        yield _Scope(label=shared, xpath=f"{root}/shared", parts=_SHARED)
        yield _Scope(label=f"{label}device", xpath=device, parts=(_MANAGEMENT, _IKE), shared=shared)
        for name in await self._names(survey, f"{device}/vsys", what=f"{label}vsys"):
            xpath = f"{device}/vsys/entry[@name={quoted(name)}]"
            yield _Scope(label=f"{label}vsys/{word(name)}", xpath=xpath, parts=_VSYS, shared=shared)

    async def _names(self, survey: Survey, xpath: str, *, what: str) -> list[str]:
        question = partial(self._api.configuration, f"{xpath}/entry/@name")
        listed: Element | None = await survey.ask(what, question, nothing=None)
        names = [entry.get("name", "") for entry in listed.iter("entry")] if listed is not None else []
        if len(names) > MOST_SCOPES:
            reason = f"There are {len(names)} of them; {MOST_SCOPES} are read."
            survey.gaps.append(Gap(scope=what, reason=reason, next_step="Read its firewalls one by one."))
        return list(filter(None, names))[:MOST_SCOPES]

    async def _keep(self, scope: _Scope, found: _Found) -> None:
        if scope.label.endswith("device"):
            return  # what is the device's own has no certificates
        for entry in await self._entries(scope, _CERTIFICATES, found.survey):
            path = _path(scope.label, entry.get("name", ""))
            pem = (entry.findtext("public-key") or "").strip()
            if pem:  # a signing request that waits for its answer has none
                found.pem[path] = pem
                if entry.find("private-key") is not None:
                    found.with_key.add(path)
        for entry in await self._entries(scope, _PROFILES, found.survey):
            name = f"{scope.label}/{entry.get('name', '')}"
            found.profiles[name] = (entry.findtext("certificate") or "").strip()

    async def _entries(self, scope: _Scope, part: str, survey: Survey) -> list[Element]:
        result = await self._part(scope, part, survey)
        return result.findall(f"{part}/entry") if result is not None else []

    async def _part(self, scope: _Scope, part: str, survey: Survey) -> Element | None:
        question = partial(self._api.configuration, f"{scope.xpath}/{part}")
        result: Element | None = await survey.ask(f"{scope.label}/{part}", question, nothing=None)
        return result

    async def _refer(self, scope: _Scope, part: str, survey: Survey) -> list[Reference]:
        result = await self._part(scope, part, survey)
        trees = list(result) if result is not None else []
        found = [each for tree in trees for each in references(tree, part=part)]
        if part != _MANAGEMENT or not found:
            return found
        addresses = await self._part(scope, _MANAGEMENT_ADDRESS, survey)
        address = (addresses.findtext("ip-address") or "").strip() if addresses is not None else ""
        listener = Listener(port=_HTTPS, address=address if is_address(address) else None)
        return [
            Reference(file=each.file, name=each.name, is_profile=True, listeners=(listener,))
            for each in found
        ]


def _path(label: str, name: str) -> str:
    return f"{label}/{_CERTIFICATES}/{word(name)}"


def _use(reference: Reference, *, scope: _Scope, found: _Found) -> None:
    """Keep what a reference comes to: a name is looked for where it is said, then among what is shared."""
    labels: Sequence[str] = [label for label in (scope.label, scope.shared) if label]
    name = reference.name
    if reference.is_profile:
        profiles: Mapping[str, str] = found.profiles
        name = next((profiles[at] for label in labels if (at := f"{label}/{name}") in profiles), "")
    path = next((at for label in labels if (at := _path(label, name)) in found.pem), None)
    if path is not None:
        file = f"{scope.label}/{reference.file}"
        found.uses[path].append(
            Use(product="pan-os", file=file, listeners=reference.listeners, certificate=path)
        )
