"""FortiGate firewalls over the REST API of FortiOS: the certificates of each VDOM and those of all, and what uses them.

Lists name no private keys: fields are asked for by name. FortiOS counts the references to each certificate, so that one
whose slot is not known here is still told from one that nothing uses.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr

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
from services.discovery.connectors.fortigate.tables import TABLES, uses_in
from services.discovery.connectors.web import NotPermitted, web_api
from services.discovery.domain.holdings import Gap, Holding, Key, Page, Use
from shared.appliances.fortios import CMDB, GLOBAL, LOCAL, MONITOR, FortiOs, Row, Scope
from shared.errors import Invalid, NotFound

MOST_VDOMS = 500
_BUILT_IN = "factory"


class FortiGateSettings(DeviceSettings):
    """Where the FortiGate is, and which of its VDOMs to read."""

    vdoms: list[str] = Field(
        [],
        max_length=MOST_VDOMS,
        description="Only these virtual domains; left out, all. The certificates of all VDOMs are read in any case.",
        examples=[["root"]],
    )


class FortiGateCredential(BaseModel):
    """The token of a REST API administrator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(min_length=8, max_length=500)


def _path(scope: Scope) -> str:
    return GLOBAL if scope.vdom is None else f"vdom/{word(scope.vdom)}"


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A certificate as FortiOS lists it; `pem` is empty where the list does not carry it."""

    scope: Scope
    name: str
    type: str
    is_built_in: bool
    has_key: bool
    references: int | None
    pem: str = ""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """All that one reading knows before it asks for the certificates themselves."""

    kept: Mapping[str, _Kept]
    uses: Mapping[str, Sequence[Use]]
    survey: Survey
    vdoms: Sequence[str]

    def in_use(self, path: str) -> bool | None:
        """Return whether something uses a certificate; what is built in may be used without being named."""
        kept = self.kept[path]
        if self.uses.get(path) or kept.references:
            return True
        scopes = [_path(kept.scope)] if kept.scope.vdom else [GLOBAL, "vdom"]
        if kept.is_built_in or kept.references is None or self.survey.hides_uses(scopes):
            return None
        return False


class FortiGate:
    """A FortiGate that we ask with a token."""

    kind: ClassVar[str] = "fortigate"
    summary: ClassVar[str] = "Certificates of a FortiGate and what uses them, over the REST API of FortiOS."
    settings_type: ClassVar[type[BaseModel]] = FortiGateSettings
    credential_type: ClassVar[type[BaseModel]] = FortiGateCredential

    def __init__(self, api: FortiOs, *, settings: FortiGateSettings) -> None:
        self._api = api
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Take the token along; the first question shows whether it is right."""
        settings = cast("FortiGateSettings", access.settings)
        token = cast("FortiGateCredential", access.credential).token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        async with web_api(access, settings.url, headers=headers, trusted_ca=settings.trusted_ca) as api:
            yield cls(FortiOs(api), settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which VDOMs and tables may be read, and which not."""
        found = await self._find()
        text = f"{len(found.kept)} certificates in {', '.join(found.vdoms)} and for all VDOMs."
        return [Check(name="certificates", ok=True, text=text), *found.survey.checks()]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificates: those of all VDOMs, then VDOM by VDOM."""
        found = await self._find()
        for part in parts(sorted(found.kept)[:MOST_CERTIFICATES], after=after):
            gaps = [*found.survey.gaps, *too_many(len(found.kept))] if part.is_first else []
            holdings = []
            for path in part.paths:
                told = await self._told(path, found)
                if isinstance(told, Holding):
                    holdings.append(told)
                elif told is not None:
                    gaps.append(told)
            yield Page(holdings=tuple(holdings), gaps=tuple(gaps), position=part.position)

    async def _find(self) -> _Found:
        survey = Survey()
        vdoms = self._settings.vdoms or await self._vdoms(survey)
        kept = {}
        for scope in (Scope(), *(Scope(vdom=vdom) for vdom in vdoms)):
            for each in await self._list(scope, survey):
                kept[f"{_path(scope)}/{word(each.name)}"] = each
        uses: dict[str, list[Use]] = defaultdict(list)
        for scope in (Scope(), *(Scope(vdom=vdom) for vdom in vdoms)):
            for use in await self._uses(scope, survey):
                # A VDOM's own certificate goes before one of the same name that all may use.
                is_own = use.certificate in kept
                path = use.certificate if is_own else f"{GLOBAL}/{use.certificate.rpartition('/')[2]}"
                uses[path].append(replace(use, certificate=path))
        return _Found(kept=kept, uses=uses, survey=survey, vdoms=vdoms)

    async def _vdoms(self, survey: Survey) -> list[str]:
        rows = await survey.ask(
            "vdom",
            lambda: self._api.rows(CMDB + "system/vdom", {"scope": GLOBAL, "format": "name"}),
            nothing=None,
        )
        names = [str(row["name"]) for row in rows or () if row.get("name")]
        if len(names) > MOST_VDOMS:
            reason = f"There are {len(names)} VDOMs; {MOST_VDOMS} are read."
            survey.gaps.append(
                Gap(scope="vdom", reason=reason, next_step="Name those to be read in `vdoms`.")
            )
        return names[:MOST_VDOMS] or ["root"]

    async def _list(self, scope: Scope, survey: Survey) -> list[_Kept]:
        listed = await survey.ask(
            _path(scope),
            lambda: self._api.rows(MONITOR + "system/available-certificates", scope.params),
            nothing=[],
        )
        # What belongs to all VDOMs is listed in each.
        listed = [row for row in listed if scope.vdom is None or row.get("range") != GLOBAL]
        bodies = await self._bodies(scope) if listed else {}
        return [
            _kept(row, scope=scope, pem=bodies.get(str(row.get("name")), ""))
            for row in listed
            if _is_one(row)
        ]

    async def _bodies(self, scope: Scope) -> Mapping[str, str]:
        """Return the certificates that the list carries: all of them, some or none, as the version of FortiOS has it."""
        params = {**scope.params, "format": "name|certificate"}
        try:
            rows = await self._api.rows(CMDB + LOCAL, params)
        except (NotFound, NotPermitted):
            return {}  # each is downloaded then
        return {str(row.get("name")): str(row.get("certificate") or "") for row in rows}

    async def _uses(self, scope: Scope, survey: Survey) -> list[Use]:
        uses: list[Use] = []
        for table in TABLES:
            if table.is_global != (scope.vdom is None):
                continue
            params = {**scope.params, "format": "|".join(table.fields)}
            rows: list[Row] = await survey.ask(
                f"{_path(scope)}/{table.path}",
                partial(self._api.rows, CMDB + table.path, params),
                nothing=[],
            )
            uses += uses_in(table, rows, at=_path(scope))
        return uses

    async def _told(self, path: str, found: _Found) -> Holding | Gap | None:
        kept = found.kept[path]
        try:
            chain = chain_of(
                kept.pem or await self._api.certificate(kept.name, scope=kept.scope, kind=kept.type)
            )
        except NotFound:
            return None  # deleted since it was listed
        except NotPermitted as error:
            return Gap(scope=path, reason=error.detail, next_step=error.next_step)
        except Invalid as error:
            return unreadable(path, error)
        uses = tuple(found.uses.get(path, ()))
        return Holding(
            address=self._settings.host,
            path=path,
            chain=chain,
            format="fortios",
            key=Key(path=path) if kept.has_key else None,
            uses=uses,
            in_use=found.in_use(path),
            addresses=tuple(dict.fromkeys((*served_at(uses), *self._settings.addresses))),
        )


def _is_one(row: Row) -> bool:
    """Return whether there is a certificate: a signing request that waits for its answer has none."""
    return (
        bool(row.get("name"))
        and str(row.get("type", "local-cer")).startswith(("local-c", "remote-c"))
        and row.get("status") not in ("pending", "csr")
    )


def _kept(row: Row, *, scope: Scope, pem: str) -> _Kept:
    references: Any = row.get("q_ref")
    return _Kept(
        scope=scope,
        name=str(row["name"]),
        type=str(row.get("type", "local-cer")),
        is_built_in=row.get("source") == _BUILT_IN,
        has_key=bool(row.get("has_valid_cert_key")),
        references=references if isinstance(references, int) else None,
        pem=pem if "BEGIN CERTIFICATE" in pem else "",
    )
