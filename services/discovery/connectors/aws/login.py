"""Opens a login at AWS for one piece of work: whose requests go through the guarded client, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from services.discovery.connectors import Access
from services.discovery.connectors.aws.account import Login
from services.discovery.connectors.aws.actions import CALLS, Calls
from services.discovery.connectors.web import trusting
from shared.aws.credentials import AwsCredential, keys_of
from shared.aws.transport import Sender, isolated_session
from shared.outbound import guarded_client


@asynccontextmanager
async def login_with(
    credential: AwsCredential,
    *,
    access: Access,
    endpoint_url: str | None,
    trusted_ca: str | None,
    calls: Calls = CALLS,
) -> AsyncIterator[Login]:
    """Yield the login of a key, which can ask these calls; nothing is asked yet."""
    seconds = access.limits.command.total_seconds()
    client = guarded_client(access.policy, tls=trusting(trusted_ca))
    client.timeout = httpx.Timeout(seconds, connect=access.limits.connect.total_seconds())
    async with client:
        yield Login(
            isolated_session(),
            keys=keys_of(credential),
            sender=Sender(client, seconds=seconds),
            endpoint_url=endpoint_url,
            calls=calls,
        )
