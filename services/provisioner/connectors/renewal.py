"""What the provisioner asks renewal: the sealed private key of an order, or to take the request of a key made on a target."""

import httpx
from pydantic import Base64Bytes, BaseModel, ValidationError

from services.provisioner.domain import DeploymentError, Failure
from shared.errors import EverleafError, Refused

Body = dict[str, str | bool]


class KeyRelease(BaseModel):
    """What renewal answers."""

    sealed_key: Base64Bytes


class Problem(BaseModel):
    """The part of a problem document (RFC 9457) that is worth showing."""

    detail: str


def purpose(order_id: str, *, deployment_id: str) -> str:
    """Return what a sealed key is bound to; it must be said again to open it."""
    return f"everleaf private key {order_id} {deployment_id}"


class NotWaiting(Exception):
    """The order does not wait for a request."""


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

    async def bring_request(self, order_id: str, csr: str) -> None:
        """Bring the request (PEM) of a key that was made on the target.

        Raises `NotWaiting`, or `DeploymentError`: key_unavailable, or key_refused where it is not what was wanted.
        """
        await self._told("PUT", f"/v1/orders/{order_id}/request", {"csr": csr})

    async def refuse_request(self, order_id: str, *, reason: str, what_to_do: str, is_final: bool) -> None:
        """Say that there is no request: for good, or not yet. Raises what `bring_request` raises."""
        body: Body = {"reason": reason[:2000], "next_step": what_to_do[:1000], "is_final": is_final}
        await self._told("POST", f"/v1/orders/{order_id}/request-refusals", body)

    async def is_failed(self, order_id: str) -> bool:
        """Return whether an order has failed for good. Raises what `bring_request` raises."""
        answer = await self._told("GET", f"/v1/orders/{order_id}", None)
        return bool(answer.json()["state"] == "failed")

    async def _told(self, method: str, path: str, body: Body | None) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=body)
        except Refused as error:
            raise _unheard(Failure.KEY_REFUSED, error.detail) from error
        except (EverleafError, httpx.HTTPError) as error:
            raise _unheard(Failure.KEY_UNAVAILABLE, str(error) or type(error).__name__) from error
        if answer.status_code == httpx.codes.CONFLICT:
            raise NotWaiting(_detail(answer))
        if not answer.is_success:
            failure = Failure.KEY_UNAVAILABLE if answer.is_server_error else Failure.KEY_REFUSED
            raise _unheard(failure, _detail(answer))
        return answer


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


def _unheard(failure: Failure, reason: str) -> DeploymentError:
    return DeploymentError(failure, f"Renewal did not take it: {reason}", step="bring request")
