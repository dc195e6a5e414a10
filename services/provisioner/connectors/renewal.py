"""Asks renewal for the private key of an order: released to one deployment, sealed to the provisioner."""

import httpx
from pydantic import Base64Bytes, BaseModel, ValidationError

from services.provisioner.domain import DeploymentError, Failure
from shared.errors import EverleafError, Refused


class KeyRelease(BaseModel):
    """What renewal answers."""

    sealed_key: Base64Bytes


class Problem(BaseModel):
    """The part of a problem document (RFC 9457) that is worth showing."""

    detail: str


def purpose(order_id: str, *, deployment_id: str) -> str:
    """Return what a sealed key is bound to; it must be said again to open it."""
    return f"everleaf private key {order_id} {deployment_id}"


class Renewal:
    """The part of renewal's API that the provisioner uses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def release_key(self, order_id: str, *, deployment_id: str) -> bytes:
        """Return the key, sealed. Raises `DeploymentError`: key_unavailable or key_refused."""
        try:
            answer = await self._client.post(
                f"/v1/orders/{order_id}/key-releases", json={"deployment_id": deployment_id}
            )
        except Refused as error:
            raise _error(Failure.KEY_REFUSED, error.detail) from error
        except (EverleafError, httpx.HTTPError) as error:
            raise _error(Failure.KEY_UNAVAILABLE, str(error) or type(error).__name__) from error
        return _sealed(answer)


def _sealed(answer: httpx.Response) -> bytes:
    if answer.is_success:
        try:
            return KeyRelease.model_validate_json(answer.content).sealed_key
        except ValidationError:
            # The text is not quoted: what was not understood may be the key.
            raise _error(Failure.KEY_UNAVAILABLE, "its answer is not a key release") from None
    failure = Failure.KEY_UNAVAILABLE if answer.is_server_error else Failure.KEY_REFUSED
    raise _error(failure, _detail(answer))


def _detail(answer: httpx.Response) -> str:
    try:
        return Problem.model_validate_json(answer.content).detail[:500]
    except ValidationError:
        return f"it answered {answer.status_code}"


def _error(failure: Failure, reason: str) -> DeploymentError:
    return DeploymentError(failure, f"Renewal gave no key: {reason}", step="fetch key")
