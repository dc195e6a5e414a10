"""How services that keep zones are asked over HTTP, beside what `shared.web` does."""

from http import HTTPStatus
from typing import Any

from services.renewal.connectors import NotNow
from services.renewal.connectors.web import AuthorityApi, pause_of
from shared.web import Answer

_SERVER_ERROR = 500


async def told(api: AuthorityApi, name: str, method: str, path: str, **question: Any) -> Answer:
    """Return an answer for its caller to judge. Raises `Refused`, or `NotNow` where there is none for now.

    `name` is what errors call the service.
    """
    answer = await api.answer(method, path, **question)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= _SERVER_ERROR:
        raise NotNow(f"{name} answered {answer.status}.", retry_after=pause_of(answer))
    return answer
