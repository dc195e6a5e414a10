"""How targets ask an HTTP API: by `shared.web`, within the limits of their kind, every refusal a failure with a name."""

import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from services.provisioner.connectors import Access
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import EverleafError, NotFound, Refused, Unavailable
from shared.outbound import guarded_client
from shared.web import Answer, Contradicted, LoginRefused, NotPermitted, OutOfReach, TooFast, WebApi, trusting

MEANINGS: tuple[tuple[type[EverleafError], Failure], ...] = (
    (OutOfReach, Failure.OUT_OF_REACH),
    (LoginRefused, Failure.LOGIN_REFUSED),
    (NotPermitted, Failure.PERMISSION_DENIED),
    (Contradicted, Failure.CONFLICT),
    (NotFound, Failure.NOT_FOUND),
    (TooFast, Failure.RATE_LIMITED),
    (Unavailable, Failure.UNREACHABLE),
    (Refused, Failure.REJECTED),
)
"""What an error of an API means for a deployment; the first that fits."""


@contextmanager
def failures(step: str) -> Iterator[None]:
    """Turn the errors that asking an API raises into failures at this step."""
    try:
        yield
    except DeploymentError:
        raise
    except EverleafError as error:
        meant = (failure for kind, failure in MEANINGS if isinstance(error, kind))
        raise DeploymentError(next(meant, Failure.UNFORESEEN), error.detail, step=step) from error


class Api:
    """One API of a target. Methods raise `DeploymentError`, at the step that the question belongs to."""

    def __init__(self, api: WebApi) -> None:
        self._api = api

    async def ask(
        self, method: str, path: str, *, step: str, accepted: Collection[int] = (), **question: Any
    ) -> Answer:
        """Ask, and return a success, or what has one of the accepted statuses; `question` is what httpx takes."""
        with failures(step):
            return await self._api.ask(method, path, accepted=accepted, **question)

    async def get(self, path: str, *, step: str, **question: Any) -> Any:
        """Return what is at a path, as JSON."""
        with failures(step):
            return await self._api.get(path, **question)

    async def find(self, path: str, *, step: str, **question: Any) -> Any:
        """Return what is at a path, as JSON, or None where there is nothing."""
        try:
            return await self.get(path, step=step, **question)
        except DeploymentError as error:
            if error.failure is Failure.NOT_FOUND:
                return None
            raise


@asynccontextmanager
async def plain_api(
    access: Access,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    trusted_ca: str | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[WebApi]:
    """Open an API for one piece of work, for logins of `shared` that ask it in its own words: see `failures`.

    `trusted_ca` is PEM that is trusted beside the public roots; `context` takes the place of all of it, for an API
    that wants a client certificate.
    """
    with failures("connect"):
        client = guarded_client(access.policy, tls=context or trusting(trusted_ca))
    seconds = access.limits.transfer.total_seconds()
    # It ends before the time for the whole answer does: httpx closes what it gives up, and not what is taken from it.
    connect = min(access.limits.connect.total_seconds(), 0.9 * seconds)
    client.timeout = httpx.Timeout(seconds, connect=connect)
    client.headers.update({"User-Agent": "Everleaf", "Accept": "application/json", **(headers or {})})
    if auth is not None:
        client.auth = auth
    async with client:
        yield WebApi(client, url, seconds=seconds)


@asynccontextmanager
async def web_api(
    access: Access,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    trusted_ca: str | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Api]:
    """Open an API for one piece of work; the parameters are those of `plain_api`."""
    async with plain_api(
        access, url, headers=headers, auth=auth, trusted_ca=trusted_ca, context=context
    ) as api:
        yield Api(api)
