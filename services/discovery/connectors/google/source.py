"""Reads a project: first what its maps and load balancers use, then its certificates, page by page."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ValidationError

from services.discovery.connectors import Access, Check
from services.discovery.connectors.google import lists
from services.discovery.connectors.google.lists import List, Project, denied
from services.discovery.connectors.google.options import GoogleSettings
from services.discovery.connectors.google.shapes import Certificate, CertificateMap, SslCertificate
from services.discovery.connectors.google.uses import Configured, read_configured, served_at
from services.discovery.connectors.web import NotPermitted, trusting, web_api
from services.discovery.domain.holdings import Gap, Holding, Page
from shared import x509
from shared.clouds.google import GoogleCredential, allowed_origin, service_account_token
from shared.errors import Invalid
from shared.tokens import RenewingApi

MOST_CERTIFICATES = 20_000
MOST_IN_CHAIN = 32
_HELD = (lists.CERTIFICATES, lists.SSL_CERTIFICATES)
_USING = (lists.MAPS, lists.HTTPS_PROXIES, lists.SSL_PROXIES, lists.FORWARDING_RULES)


class GoogleCertificates:
    """A project of Google Cloud."""

    kind: ClassVar[str] = "google-certificate-manager"
    summary: ClassVar[str] = (
        "Certificates of a Google Cloud project (Certificate Manager, Compute Engine), and the load balancers that use them."
    )
    settings_type: ClassVar[type[BaseModel]] = GoogleSettings
    credential_type: ClassVar[type[BaseModel]] = GoogleCredential

    def __init__(self, project: Project, *, settings: GoogleSettings) -> None:
        self._project = project
        self._settings = settings
        self._address = f"google:{settings.project}"

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Open the APIs; a token is asked for when it is needed."""
        settings = cast("GoogleSettings", access.settings)
        credential = cast("GoogleCredential", access.credential)
        context = trusting(settings.trusted_ca)
        async with (
            web_api(access, allowed_origin(settings, credential), context=context) as tokens,
            web_api(access, settings.certificate_manager_url, context=context) as manager,
            web_api(access, settings.compute_url, context=context) as compute,
        ):
            make = partial(service_account_token, tokens, settings, credential)
            project = Project(
                name=settings.project,
                location=settings.location,
                certificate_manager=RenewingApi(manager, make=make),
                compute=RenewingApi(compute, make=make),
            )
            yield cls(project, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say which lists we may read. Entries are asked for where there is a map."""
        wanted = [
            what
            for what in (*_HELD, *_USING)
            if self._settings.compute or not what.permission.startswith("compute.")
        ]
        return [
            *[await self._may_list(what) for what in wanted],
            *[await self._may_list(lists.ENTRIES, parent=name) for name in await self._a_map()],
        ]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield the certificates of Certificate Manager, and then those of Compute Engine."""
        told = await read_configured(self._project, with_compute=self._settings.compute)
        first, count = tuple(told.gaps), 0
        at: dict[str, Any] = json.loads(after) if after else {"list": 0, "token": None}
        held = _HELD if self._settings.compute else _HELD[:1]
        for number in range(at["list"], len(held)):
            token = at["token"] if number == at["list"] else None
            async with aclosing(self._pages(held[number], told, token=token)) as pages:
                async for page in pages:
                    count += len(page.holdings)
                    gaps, first = (*first, *page.gaps), ()
                    if count >= MOST_CERTIFICATES:
                        yield Page(holdings=page.holdings, gaps=(*gaps, self._too_many()))
                        return
                    position = _position(page.position, number, is_last=number == len(held) - 1)
                    yield Page(holdings=page.holdings, gaps=gaps, position=position)

    async def _a_map(self) -> list[str]:
        """Return the name of one map, where there is one."""
        try:
            async with aclosing(self._project.parts(lists.MAPS, size=1)) as parts:
                part = await anext(parts)
            return [CertificateMap.model_validate(each).name for each in part.items[:1]]
        except (NotPermitted, ValidationError):
            return []

    async def _may_list(self, what: List, *, parent: str = "") -> Check:
        try:
            async with aclosing(self._project.parts(what, parent=parent, size=1)) as parts:
                await anext(parts)
        except NotPermitted as error:
            return Check(name=what.permission, ok=False, text=f"{what.permission} is denied. {error.detail}")
        return Check(name=what.permission, ok=True, text="It may be listed.")

    async def _pages(self, what: List, told: Configured, *, token: str | None) -> AsyncGenerator[Page]:
        try:
            async with aclosing(self._project.parts(what, token=token)) as parts:
                async for part in parts:
                    found = [self._told(item, what, told) for item in part.items]
                    gaps = [each for each in found if isinstance(each, Gap)]
                    gaps += [self._unreachable(place) for place in part.unreachable]
                    holdings = tuple(each for each in found if isinstance(each, Holding))
                    yield Page(holdings=holdings, gaps=tuple(gaps), position=part.token)
        except NotPermitted as error:
            yield Page(gaps=tuple(denied(what, error, scope=scope) for scope in self._scopes(what)))

    def _scopes(self, what: List) -> tuple[str, ...]:
        project = f"projects/{self._settings.project}"
        if what is lists.CERTIFICATES:
            return (f"{project}/locations",)
        return (f"{project}/global/sslCertificates", f"{project}/regions")

    def _told(self, item: Any, what: List, told: Configured) -> Holding | Gap:
        try:
            if what is lists.CERTIFICATES:
                return self._of_manager(Certificate.model_validate(item), told)
            return self._of_compute(SslCertificate.model_validate(item), told)
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
            return Gap(
                scope=self._scopes(what)[0],
                reason=f"A certificate is not as its API defines it ({where}).",
                next_step="Look at it with `gcloud certificate-manager certificates list`.",
            )

    def _of_manager(self, certificate: Certificate, told: Configured) -> Holding | Gap:
        managed = certificate.managed
        if not certificate.pem_certificate:
            issue = f"{managed.state} {managed.provisioning_issue.reason}" if managed else ""
            return _not_issued(certificate.name, issue)
        # Others than load balancers use those of other scopes and regions.
        is_of_balancers = certificate.scope == "DEFAULT" and "/locations/global/" in certificate.name
        is_known = told.is_complete and is_of_balancers
        return self._holding(
            certificate.name,
            certificate.pem_certificate,
            told,
            is_used=bool(certificate.used_by),
            is_known=is_known,
        )

    def _of_compute(self, certificate: SslCertificate, told: Configured) -> Holding | Gap:
        if not certificate.certificate:
            status = certificate.managed.status if certificate.managed else ""
            return _not_issued(certificate.self_link, status)
        return self._holding(
            certificate.self_link, certificate.certificate, told, is_used=False, is_known=told.is_complete
        )

    def _holding(
        self, path: str, pem: str, told: Configured, *, is_used: bool, is_known: bool
    ) -> Holding | Gap:
        try:
            chain = tuple(x509.from_pem(pem)[:MOST_IN_CHAIN])
        except Invalid as error:
            return Gap(
                scope=path,
                reason=f"Its certificate cannot be read: {error.detail}",
                next_step="Look at it with gcloud.",
            )
        uses = tuple(told.uses.get(path, ()))
        return Holding(
            address=self._address,
            path=path,
            chain=chain,
            format="google-compute" if "/sslCertificates/" in path else self.kind,
            uses=uses,
            in_use=True if uses or is_used else (False if is_known else None),
            addresses=served_at(uses),
        )

    def _unreachable(self, place: str) -> Gap:
        """Return the gap of a location or a region, which the APIs name in several ways."""
        name = place.rstrip("/").rsplit("/", maxsplit=1)[-1]
        kind = "regions" if "regions/" in place else "locations"
        return Gap(
            scope=f"projects/{self._settings.project}/{kind}/{name}",
            reason=f"{name} did not answer.",
            next_step="It is read again by the next run.",
        )

    def _too_many(self) -> Gap:
        return Gap(
            scope=f"projects/{self._settings.project}",
            reason=f"There are more than {MOST_CERTIFICATES} certificates.",
            next_step="Make a source for each location.",
        )


def _position(token: str | None, number: int, *, is_last: bool) -> str | None:
    if token is not None:
        return json.dumps({"list": number, "token": token})
    return None if is_last else json.dumps({"list": number + 1, "token": None})


def _not_issued(path: str, why: str) -> Gap:
    said = " ".join(why.split())[:200]
    return Gap(
        scope=path,
        reason=f"Google has not issued it{f' ({said})' if said else ''}.",
        next_step="Check its domains' DNS, or its DNS authorisations.",
        is_absent=True,
    )
