import base64

import httpx
import pytest

from services.provisioner.connectors.renewal import Renewal
from services.provisioner.domain import DeploymentError, Failure
from shared.errors import Refused, Unavailable


def asking(answer: httpx.Response | Exception) -> Renewal:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/orders/o1/key-releases"
        assert request.content == b'{"deployment_id":"d1"}'
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Renewal(httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://renewal"))


async def test_a_released_key_comes_sealed():
    sealed = base64.b64encode(b"sealed").decode()
    renewal = asking(httpx.Response(201, json={"sealed_key": sealed, "more": 1}))
    assert await renewal.release_key("o1", deployment_id="d1") == b"sealed"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (httpx.Response(500), Failure.KEY_UNAVAILABLE),
        (httpx.Response(200, text="rubbish"), Failure.KEY_UNAVAILABLE),
        (httpx.Response(404, json={"detail": "no such order"}), Failure.KEY_REFUSED),
        (httpx.Response(403), Failure.KEY_REFUSED),
        (httpx.ConnectError("nobody"), Failure.KEY_UNAVAILABLE),
        (Unavailable("no token", next_step="wait"), Failure.KEY_UNAVAILABLE),
        (Refused("bad API key", next_step="make one"), Failure.KEY_REFUSED),
    ],
)
async def test_no_key_says_whether_asking_again_may_help(answer: httpx.Response, failure: Failure):
    with pytest.raises(DeploymentError) as refused:
        await asking(answer).release_key("o1", deployment_id="d1")
    assert (refused.value.failure, refused.value.step) == (failure, "fetch key")
    assert "rubbish" not in str(refused.value)
