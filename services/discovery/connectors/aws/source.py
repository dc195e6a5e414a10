"""AWS accounts as a source: one account after the other, what uses certificates first, then these by their ARN."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel

from services.discovery.connectors import Access, Check
from services.discovery.connectors.aws import apigateway, cloudfront, elb, elbv2
from services.discovery.connectors.aws.account import Account, Login, assumed_account, own_account
from services.discovery.connectors.aws.acm import AcmShelf
from services.discovery.connectors.aws.iam import IamShelf
from services.discovery.connectors.aws.join import EDGE_REGION, Using
from services.discovery.connectors.aws.login import login_with
from services.discovery.connectors.aws.pca import PcaShelf
from services.discovery.connectors.aws.settings import AwsSettings, Service
from services.discovery.connectors.aws.shelves import Shelf
from services.discovery.domain.holdings import Gap, Holding, Page, Use
from shared.aws.credentials import AssumedRole, AwsCredential
from shared.aws.errors import Declined
from shared.errors import NotFound, Unavailable

PER_PAGE = 100
MOST_TRIED = 10
"""Accounts whose services are tried by a check."""
MOST_DENIED = 10
"""Denials in a row, of which each may be meant for one certificate; more are meant for all."""
_USES: tuple[tuple[Service, str, Callable[[Account, str], AsyncGenerator[Use]]], ...] = (
    ("elbv2", "elasticloadbalancing", elbv2.uses),
    ("elb", "elasticloadbalancing", elb.uses),
    ("apigateway", "apigateway", apigateway.uses),
    ("cloudfront", "cloudfront", cloudfront.uses),
)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Something that was read, and where reading goes on after it."""

    what: Holding | Gap
    position: str | None = None


class AwsAccounts:
    """The account of a login, and others by roles in them."""

    kind: ClassVar[str] = "aws"
    summary: ClassVar[str] = (
        "Certificates of AWS accounts (ACM, IAM, private CAs), and the balancers, distributions and domains that use them."
    )
    settings_type: ClassVar[type[BaseModel]] = AwsSettings
    credential_type: ClassVar[type[BaseModel]] = AwsCredential

    def __init__(self, own: Account, *, login: Login, settings: AwsSettings) -> None:
        self._own = own
        self._login = login
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Ask AWS whose key it is."""
        settings = cast("AwsSettings", access.settings)
        async with login_with(
            cast("AwsCredential", access.credential),
            access=access,
            endpoint_url=settings.endpoint_url,
            trusted_ca=settings.trusted_ca,
        ) as login:
            with _as_documented():
                own = await own_account(login, region=settings.regions[0])
            yield cls(own, login=login, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Assume every role, and try each service in each region: to list, and to read the first of what is there."""
        with _as_documented():
            return await self._checks()

    async def _checks(self) -> list[Check]:
        checks = []
        for count, role in enumerate(self._roles()):
            name = f"account {self._id(role)}"
            try:
                account = await self._enter(role)
            except Declined as error:
                checks.append(Check(name=name, ok=False, text=str(error)))
                continue
            checks.append(
                Check(name=name, ok=True, text=f"It is read as {role.role_arn if role else 'itself'}.")
            )
            if count < MOST_TRIED:
                checks += [check async for check in self._tried(account)]
        return checks

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificates account by account, region by region, by ARN."""
        holdings: list[Holding] = []
        gaps: list[Gap] = []
        async with aclosing(self._found(after)) as found:
            while each := await _next(found):
                if isinstance(each.what, Gap):
                    gaps.append(each.what)
                else:
                    holdings.append(each.what)
                if each.position is not None and len(holdings) + len(gaps) >= PER_PAGE:
                    yield Page(holdings=tuple(holdings), gaps=tuple(gaps), position=each.position)
                    holdings, gaps = [], []
        yield Page(holdings=tuple(holdings), gaps=tuple(gaps))

    async def _found(self, after: str | None) -> AsyncGenerator[_Found]:
        """Yield all after a position: `ACCOUNT SHELF|PATH`. One that the settings do not know any more is no position."""
        names = [f"{self._id(role)} {name}" for role in self._roles() for name in self._shelf_names()]
        section, _, path = (after or "").partition("|")
        left = names[names.index(section) :] if section in names else names
        for role in self._roles():
            ours = [name for name in left if name.startswith(f"{self._id(role)} ")]
            if not ours:
                continue
            try:
                account = await self._enter(role)
            except Declined as error:
                for gap in self._unknown(role, error):
                    yield _Found(what=gap)
                continue
            using = await self._using(account)
            shelves = self._shelves(account, using)
            for gap in (*using.gaps, *using.elsewhere(shelf.scope for shelf in shelves)):
                yield _Found(what=gap)
            for shelf in shelves:
                name = f"{account.id} {shelf.name}"
                if name in ours:
                    async for each in _on(shelf, name=name, after=path if name == section else ""):
                        yield each

    async def _enter(self, role: AssumedRole | None) -> Account:
        return await assumed_account(self._own, role, login=self._login) if role else self._own

    def _roles(self) -> list[AssumedRole | None]:
        """Return how each account is entered; None for the login's own, as long as no role leads there."""
        roles: list[AssumedRole | None] = [*self._settings.accounts]
        is_named = any(role.account_id == self._own.id for role in self._settings.accounts)
        return [None, *roles] if self._settings.own_account and not is_named else roles

    def _id(self, role: AssumedRole | None) -> str:
        return role.account_id if role else self._own.id

    async def _using(self, account: Account) -> Using:
        """Return what uses certificates there."""
        using = Using()
        for service, prefix, uses, region in self._listings():
            try:
                async for use in uses(account, region):
                    using.add(use)
            except Declined as error:
                scope = account.arn(prefix, "" if service == "cloudfront" else region)
                using.miss(_gap(scope, error), region=region, service=service)
        return using

    def _listings(self) -> Iterator[tuple[Service, str, Callable[[Account, str], AsyncGenerator[Use]], str]]:
        """Yield what is asked for uses, and where: of CloudFront there is one for all regions."""
        for service, prefix, uses in _USES:
            if service in self._settings.services:
                regions = self._settings.regions[: 1 if service == "cloudfront" else None]
                yield from ((service, prefix, uses, region) for region in regions)

    def _shelves(self, account: Account, using: Using) -> list[Shelf]:
        reports = tuple(self._settings.audit_reports)
        shelves: list[Shelf] = []
        if "iam" in self._settings.services:
            shelves.append(IamShelf(account, "", using))
        if "acm" in self._settings.services:
            shelves += [AcmShelf(account, region, using) for region in self._acm_regions(account)]
        if "acm-pca" in self._settings.services:
            shelves += [
                PcaShelf(account, region, using, reports=reports) for region in self._settings.regions
            ]
        return shelves

    def _shelf_names(self) -> list[str]:
        """Return the names of the shelves of any account, in the order in which they are read."""
        return [shelf.name for shelf in self._shelves(self._own, Using())]

    def _acm_regions(self, account: Account) -> list[str]:
        """Return the regions of the settings, and that of CloudFront's certificates where it is read."""
        edge = [EDGE_REGION] if "cloudfront" in self._settings.services and account.partition == "aws" else []
        return list(dict.fromkeys([*self._settings.regions, *edge]))

    def _unknown(self, role: AssumedRole | None, error: Declined) -> Iterator[Gap]:
        """Yield a gap for all that may be in an account that cannot be entered."""
        account = Account(
            self._id(role), partition=self._own.partition, home=self._own.home, login=self._login
        )
        yield from (_gap(shelf.scope, error) for shelf in self._shelves(account, Using()))

    async def _tried(self, account: Account) -> AsyncGenerator[Check]:
        for service, _, uses, region in self._listings():
            name = (
                f"{service} of {account.id}"
                if service == "cloudfront"
                else f"{service} in {region} of {account.id}"
            )
            yield await _check(name, uses(account, region))
        for shelf in self._shelves(account, Using()):
            yield await _check(
                f"{shelf.name.replace(' ', ' in ')} of {account.id}", _on(shelf, name="", after="")
            )


async def _next(found: AsyncGenerator[_Found]) -> _Found | None:
    with _as_documented():
        return await anext(found, None)


@contextmanager
def _as_documented() -> Iterator[None]:
    """An answer that lacks what AWS documents is none of AWS."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise Unavailable(f"An answer lacks {error}.", next_step="Check `endpoint_url`.") from error


async def _on(shelf: Shelf, *, name: str, after: str) -> AsyncGenerator[_Found]:
    """Yield what lies on a shelf after a path; what may not be listed or read is a gap."""
    lying: dict[str, Any] = {}
    try:
        async for each in shelf.listed():
            if isinstance(each, Gap):
                yield _Found(what=each)
            else:
                lying[each[0]] = each[1]
    except Declined as error:
        yield _Found(what=_gap(shelf.scope, error))
    denied = 0
    for path in sorted(path for path in lying if path > after):
        what = await _fetched(shelf, path, lying[path])
        denied = denied + 1 if isinstance(what, Declined) else 0
        if isinstance(what, Declined):
            what = _gap(path if denied < MOST_DENIED else shelf.scope, what)
        while shelf.gaps:
            yield _Found(what=shelf.gaps.pop())
        if what is not None:
            yield _Found(what=what, position=f"{name}|{path}" if denied < MOST_DENIED else None)
        if denied == MOST_DENIED:
            return


async def _fetched(shelf: Shelf, path: str, listed: Any) -> Holding | Gap | Declined | None:
    """Return one; None where it was deleted a moment ago."""
    try:
        return await shelf.fetch(path, listed)
    except NotFound:
        return None
    except Declined as error:
        return error


async def _check(name: str, found: AsyncGenerator[_Found] | AsyncGenerator[Use]) -> Check:
    """Try something by reading the first of it."""
    async with aclosing(found):
        try:
            async for each in found:
                if isinstance(each, _Found) and isinstance(each.what, Gap):
                    return Check(name=name, ok=False, text=f"{each.what.reason} {each.what.next_step}")
                return Check(name=name, ok=True, text="It can be read.")
        except Declined as error:
            return Check(name=name, ok=False, text=str(error))
    return Check(name=name, ok=True, text="It can be listed; there is nothing in it.")


def _gap(scope: str, error: Declined) -> Gap:
    return Gap(scope=scope, reason=error.detail, next_step=error.next_step)
