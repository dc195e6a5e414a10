"""botocore, kept from this machine's files, environment and network: it builds, signs and parses, and sends nothing.

Every request goes through the guarded client. botocore asks its `before-send` handlers before it would connect, and
what they answer is taken for AWS's answer; ours always answers or raises. A call that `calls` does not name is not
sent, whoever wants it: botocore itself would look for a bucket's region, say.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from typing import Any

import anyio.from_thread
import botocore.loaders
import botocore.session
import httpx
from boto3.session import Session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from shared.errors import Refused
from shared.web import ask_bounded

Calls = Mapping[str, Mapping[str, str]]
"""By service and botocore's name of the call: the IAM action. No other can be asked."""
_TRIES = 4
"""Of one call, where AWS asks us to slow down or says that it failed; with pauses of at most 1, 2 and 4 seconds."""
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": _TRIES},
    ignore_configured_endpoint_urls=True,
    user_agent="Everleaf",
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")
_AT_ENDPOINT = _CONFIG.merge(Config(s3={"addressing_style": "path"}))


def isolated_session() -> Session:
    """Return a session that takes nothing from files, environment variables or the instance's metadata."""
    core = botocore.session.Session(session_vars=_constants())
    core.register_component("data_loader", _models())
    return Session(botocore_session=core)


@cache
def _models() -> botocore.loaders.Loader:
    """Return what reads the services' models that botocore brings, and keeps them: they take long to read."""
    paths = [botocore.loaders.Loader.BUILTIN_DATA_PATH]
    return botocore.loaders.Loader(paths, include_default_search_paths=False)


def _constants() -> dict[str, tuple[None, None, Any, Any]]:
    """Return botocore's settings, each with its default and without a way to be set from outside."""
    constants = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    nowhere = (None, None, os.devnull, None)
    return constants | {"config_file": nowhere, "credentials_file": nowhere}


def client_of(
    session: Session,
    service: str,
    *,
    region: str,
    keys: Mapping[str, str | None],
    endpoint_url: str | None,
    sender: "Sender",
    calls: Calls,
) -> Any:
    """Return a client of one service in one region, whose requests the sender sends. Slow: call it in a thread."""
    client = session.client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        config=_AT_ENDPOINT if endpoint_url else _CONFIG,
        **keys,
    )
    permitted = frozenset(client.meta.method_to_api_mapping[call] for call in calls[service])

    def send(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        call = event_name.rpartition(".")[2]
        if call not in permitted:
            raise Refused(
                f"{service}:{call} is not asked.", next_step="Name the right region in the settings."
            )
        return sender.send(request)

    client.meta.events.register_first("before-send", send)
    return client


class _Raw(BytesIO):
    """A body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()


class Sender:
    """Sends what botocore has signed; used from the worker thread in which botocore runs."""

    def __init__(self, client: httpx.AsyncClient, *, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Return the answer to a request. Raises what `ask_bounded` raises."""
        return anyio.from_thread.run(self._send, request)

    async def _send(self, request: AWSPreparedRequest) -> AWSResponse:
        question = {"headers": list(request.headers.items()), "content": request.body or b""}
        answer = await ask_bounded(
            self._client,
            request.method,
            request.url,
            name=httpx.URL(request.url).host,
            seconds=self._seconds,
            question=question,
        )
        # What was compressed is no longer so: its length and coding are those of something else.
        headers = {name: value for name, value in answer.headers.items() if name not in _OF_THE_WIRE}
        return AWSResponse(request.url, answer.status, headers, _Raw(answer.body))
