"""An account at AWS: asked one call at a time, and only those that are named in `CALLS`; what is refused has a name."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio.to_thread
import httpx
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from services.provisioner.connectors import Check
from services.provisioner.connectors.aws.session import CALLS, AwsOptions
from services.provisioner.connectors.web import failures
from services.provisioner.domain import DeploymentError, Failure
from shared.aws.credentials import AssumedRole
from shared.aws.errors import error_of
from shared.aws.transport import Sender, client_of, isolated_session
from shared.errors import Unavailable

_CONFLICTS = frozenset(
    {
        "ConflictException",
        "PreconditionFailed",
        "InvalidIfMatchVersion",
        "ResourceInUseException",
        "ResourceInUse",
        "DeleteConflict",
        "EntityAlreadyExists",
        "ResourceExistsException",
    }
)
_REJECTED = frozenset(
    {
        "ValidationException",
        "ValidationError",
        "InvalidParameterException",
        "InvalidParameter",
        "InvalidRequestException",
        "InvalidArgument",
        "InvalidArnException",
        "InvalidTagException",
        "InvalidViewerCertificate",
        "KeyPairMismatch",
        "MalformedCertificate",
        "UnsupportedCertificate",
        "InvalidConfigurationRequest",
        "IncompatibleProtocols",
        "LimitExceeded",
        "LimitExceededException",
        "TooManyCertificates",
    }
)
"""What AWS says of a request that it understands and does not take (the error lists of the calls above)."""


class Aws:
    """An account in one region. Methods raise `DeploymentError`."""

    def __init__(
        self,
        options: AwsOptions,
        *,
        keys: Mapping[str, str | None],
        client: httpx.AsyncClient,
        seconds: float,
    ) -> None:
        """`client` sends every request; an answer may take `seconds`."""
        self.region = options.region
        self._options = options
        self._keys = keys
        self._sender = Sender(client, seconds=seconds)
        self._session = isolated_session()
        self._clients: dict[tuple[str, str], Any] = {}

    async def whoami(self) -> Check:
        """Say whose account it is."""
        told = await self.call("sts", "get_caller_identity", step="connect")
        return Check(name="account", ok=True, text=f"It is {told['Arn']}, in {self.region}.")

    async def assume(self, role: AssumedRole) -> None:
        """Be that role from now on."""
        given = {"ExternalId": role.external_id} if role.external_id else {}
        told = await self.call(
            "sts",
            "assume_role",
            step="log in",
            RoleArn=role.role_arn,
            RoleSessionName=role.session_name,
            **given,
        )
        found = told["Credentials"]
        self._keys = {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }
        self._clients.clear()

    async def call(
        self, service: str, call: str, *, step: str, region: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Ask once."""
        action, where = CALLS[service][call], f"{region or self.region}"
        try:
            client = await self._client(service, region or self.region)
            ask = partial(getattr(client, call), **parameters)
            with failures(step):
                answer: dict[str, Any] = await anyio.to_thread.run_sync(ask)
                return answer
        except ClientError as error:
            raise _meaning(error, action=action, where=where, step=step) from error
        except ParamValidationError:
            # Without its cause, which quotes the parameters: a key may be among them.
            text = f"{action} in {where}: a parameter is not of the right form."
            raise DeploymentError(Failure.REJECTED, text, step=step) from None
        except (ResponseParserError, BotoCoreError) as error:
            text = f"{action} in {where} cannot be asked ({type(error).__name__})."
            raise DeploymentError(Failure.UNREACHABLE, text, step=step) from error

    async def find(
        self, service: str, call: str, *, step: str, region: str | None = None, **parameters: Any
    ) -> dict[str, Any] | None:
        """Ask once, and return None where there is no such thing."""
        try:
            return await self.call(service, call, step=step, region=region, **parameters)
        except DeploymentError as error:
            if error.failure is Failure.NOT_FOUND:
                return None
            raise

    async def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            make = partial(
                client_of,
                self._session,
                service,
                region=region,
                keys=self._keys,
                endpoint_url=self._options.endpoint_url,
                sender=self._sender,
                calls=CALLS,
            )
            self._clients[service, region] = await anyio.to_thread.run_sync(make)
        return self._clients[service, region]


def _meaning(error: ClientError, *, action: str, where: str, step: str) -> DeploymentError:
    """Return what an error of AWS means for a deployment."""
    meant = error_of(error.response, action=action, where=where)
    code = str(error.response.get("Error", {}).get("Code", ""))
    for codes, failure in ((_CONFLICTS, Failure.CONFLICT), (_REJECTED, Failure.REJECTED)):
        if code in codes and not isinstance(meant, Unavailable):
            return DeploymentError(failure, meant.detail, step=step)
    try:
        with failures(step):
            raise meant
    except DeploymentError as failed:
        return failed
