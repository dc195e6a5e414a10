"""One AWS account as one login sees it: asks one question at a time, and says what was refused by its IAM action."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import anyio.to_thread
from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from services.discovery.connectors.aws.actions import CALLS, Calls
from shared.aws.credentials import AssumedRole
from shared.aws.errors import Declined, Expired, UnknownKey, error_of
from shared.aws.transport import Sender, client_of
from shared.errors import Unavailable

MOST_LISTED = 20_000
"""Of one kind in one region of one account."""
_MOST_PAGES = 2_000
"""Of one listing; there may be empty ones."""
Keys = Mapping[str, str | None]


class Login:
    """A key, and the services that it opens, by region."""

    def __init__(
        self,
        session: Session,
        *,
        keys: Keys,
        sender: Sender,
        endpoint_url: str | None,
        calls: Calls = CALLS,
    ) -> None:
        """`calls` are all that can be asked with it."""
        self._session = session
        self._calls = calls
        self._keys = keys
        self._sender = sender
        self._endpoint_url = endpoint_url
        self._clients: dict[tuple[str, str], Any] = {}

    async def client(self, service: str, region: str) -> Any:
        """Return botocore's client, made once."""
        if (service, region) not in self._clients:
            make = partial(
                client_of,
                self._session,
                service,
                region=region,
                keys=self._keys,
                endpoint_url=self._endpoint_url,
                sender=self._sender,
                calls=self._calls,
            )
            self._clients[service, region] = await anyio.to_thread.run_sync(make)
        return self._clients[service, region]

    def with_keys(self, keys: Keys) -> "Login":
        """Return another login, which asks in the same way."""
        return Login(
            self._session,
            keys=keys,
            sender=self._sender,
            endpoint_url=self._endpoint_url,
            calls=self._calls,
        )

    def action(self, service: str, call: str) -> str:
        """Return the IAM action that permits a call."""
        return self._calls[service][call]


class Account:
    """What can be asked of one account.

    Raises `Refused` for a wrong login, `Declined` where one action is denied or one region is not enabled,
    `NotFound`, and `Unavailable`.
    """

    def __init__(
        self,
        account_id: str,
        *,
        partition: str,
        home: str,
        login: Login,
        again: Callable[[], Awaitable[Login]] | None = None,
    ) -> None:
        """`home` is a region that the account has for certain; `again` logs in anew where a session has ended."""
        self.id = account_id
        self.partition = partition
        self.home = home
        self._login = login
        self._again = again

    @property
    def address(self) -> str:
        """Return who holds its certificates."""
        return f"aws:{self.id}"

    def arn(self, service: str, region: str, resource: str = "") -> str:
        """Return the name of a resource in it, or what the names of all of them begin with."""
        name = f"arn:{self.partition}:{service}:{region}:{self.id}"
        return f"{name}:{resource}" if resource else name

    async def call(self, service: str, call: str, *, region: str, **parameters: Any) -> dict[str, Any]:
        """Ask once; a session that has ended is begun anew."""
        try:
            return await self._call(service, call, region=region, parameters=parameters)
        except Expired:
            if self._again is None:
                raise
        self._login = await self._again()
        return await self._call(service, call, region=region, parameters=parameters)

    async def _call(
        self, service: str, call: str, *, region: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        client = await self._login.client(service, region)
        ask = partial(getattr(client, call), **parameters)
        answer: dict[str, Any] = await self._ask(ask, action=self._login.action(service, call), region=region)
        return answer

    async def listed(
        self, service: str, call: str, *, region: str, under: str, **parameters: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what a paginated call lists `under` these members, joined by dots."""
        client, action = await self._login.client(service, region), self._login.action(service, call)
        pages = iter(client.get_paginator(call).paginate(**parameters))
        count = 0
        for _ in range(_MOST_PAGES):
            page = await self._ask(partial(next, pages, None), action=action, region=region)
            if page is None:
                return
            for each in _members(page, under):
                if count == MOST_LISTED:
                    raise self._too_many(action, region, limit=f"{MOST_LISTED} of them")
                count += 1
                yield each
        raise self._too_many(action, region, limit=f"{_MOST_PAGES} pages of them")

    def _too_many(self, action: str, region: str, *, limit: str) -> Declined:
        return Declined(
            f"{action} in {region} of {self.id}: there are more than {limit}.",
            next_step="The rest is not read.",
        )

    async def _ask(self, ask: Callable[[], Any], *, action: str, region: str) -> Any:
        where = f"{region} of {self.id}"
        try:
            return await anyio.to_thread.run_sync(ask)
        except ClientError as error:
            meant = error_of(error.response, action=action, where=where)
            if isinstance(meant, UnknownKey):
                await self._confirm(meant, action=action, where=where)
            raise meant from error
        except ResponseParserError as error:
            raise Unavailable(
                f"{action} in {where}: the answer is not one of AWS.", next_step="Check `endpoint_url`."
            ) from error
        except BotoCoreError as error:
            raise Declined(
                f"{action} in {where} cannot be asked ({type(error).__name__}).",
                next_step="Check the region and the services of the source.",
            ) from error

    async def _confirm(self, meant: UnknownKey, *, action: str, where: str) -> None:
        """Tell a region that is not enabled, which knows no key at all, from a key that is wrong everywhere."""
        if action == CALLS["sts"]["get_caller_identity"]:
            return
        await self._call("sts", "get_caller_identity", region=self.home, parameters={})
        raise Declined(
            f"{action} in {where}: the region does not know the account.",
            next_step="Enable the region for the account, or take it from the source.",
        ) from meant


async def own_account(login: Login, *, region: str) -> Account:
    """Return the account that a key belongs to. Raises `Refused` where it is not known, or has expired."""
    unnamed = Account("the login's account", partition="aws", home=region, login=login)
    identity = await unnamed.call("sts", "get_caller_identity", region=region)
    partition = identity["Arn"].split(":")[1]
    return Account(identity["Account"], partition=partition, home=region, login=login)


async def assumed_account(own: Account, role: AssumedRole, *, login: Login) -> Account:
    """Return the account that a role belongs to. Raises `Declined` where it may not be assumed."""

    async def assume() -> Login:
        given = {"ExternalId": role.external_id} if role.external_id else {}
        try:
            answer = await own.call(
                "sts",
                "assume_role",
                region=own.home,
                RoleArn=role.role_arn,
                RoleSessionName=role.session_name,
                **given,
            )
        except Declined as error:
            raise Declined(
                f"{role.role_arn}: {error.detail}",
                next_step="Allow sts:AssumeRole of it to the login, let the role trust it, and check the external id.",
            ) from error
        return login.with_keys(_keys(answer["Credentials"]))

    return Account(
        role.account_id, partition=own.partition, home=own.home, login=await assume(), again=assume
    )


def _keys(credentials: Mapping[str, str]) -> Keys:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def _members(page: Mapping[str, Any], under: str) -> Iterable[dict[str, Any]]:
    found: Any = page
    for name in under.split("."):
        found = found.get(name) or {}
    return found or ()
