"""Speaks with an ACME server: signed requests, nonces, and problems with their meaning (RFC 8555 §6)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import anyio
import httpx
from pydantic import BaseModel, Field, ValidationError

from services.renewal.connectors import NotNow
from services.renewal.connectors.acme.jose import AccountKey, Json
from services.renewal.connectors.acme.problems import AcmeProblem, ProblemDocument
from shared.errors import Refused

LARGEST = 1024 * 1024
"""Bytes of an answer; a chain is far below that."""
_TRIES = 40
"""How often a request is made because of its nonce (RFC 8555 §6.5)."""
_AT_ONCE = 8
"""After so many of them, there is a pause before each."""
_PAUSE = 0.1
_ALTERNATE = re.compile(r"<([^>]*)>\s*(?:;[^,]*)?;\s*rel=\"?alternate\"?", re.IGNORECASE)
MOST_ALTERNATES = 10
M = TypeVar("M", bound=BaseModel)


class Meta(BaseModel):
    """What the server says of itself; `profiles` are the terms it issues on, each with a text (draft-ietf-acme-profiles)."""

    profiles: dict[str, str] = {}


class Directory(BaseModel):
    """Where things are (RFC 8555 §7.1.1, RFC 9773 §4.1)."""

    new_nonce: str = Field(alias="newNonce")
    new_account: str = Field(alias="newAccount")
    new_order: str = Field(alias="newOrder")
    revoke_cert: str | None = Field(None, alias="revokeCert")
    key_change: str | None = Field(None, alias="keyChange")
    renewal_info: str | None = Field(None, alias="renewalInfo")
    meta: Meta = Meta()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that is not a problem."""

    headers: Mapping[str, str]
    content: bytes
    retry_after: timedelta | None
    next_page: str | None = None
    alternates: tuple[str, ...] = ()
    """Where the same is with another chain (RFC 8555 §7.4.2)."""

    def read(self, model: type[M]) -> M:
        """Return the body as an object of the protocol. Raises `NotNow`."""
        return parse(model, self.content)

    @property
    def location(self) -> str:
        """Return the URL of what was made. Raises `NotNow`."""
        if "location" not in self.headers:
            raise NotNow("The authority did not say where the thing is that it made.")
        return self.headers["location"]


def parse(model: type[M], content: bytes) -> M:
    """Return bytes as an object of the protocol. Raises `NotNow` where they are something else."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise NotNow(f"The authority's answer is not {model.__name__.lower()} (RFC 8555 §7.1).") from error


class Session:
    """Signed requests of one account; `kid` is the account's URL, once there is one."""

    def __init__(
        self, client: httpx.AsyncClient, directory_url: str, *, key: AccountKey, kid: str | None
    ) -> None:
        self._client = client
        self._directory_url = directory_url
        self._directory: Directory | None = None
        self._nonces: list[str] = []
        self.key = key
        self.kid = kid

    async def directory(self) -> Directory:
        """Return where things are. Raises `NotNow`."""
        if self._directory is None:
            self._directory = (await self.read_plainly(self._directory_url)).read(Directory)
        return self._directory

    async def read_plainly(self, url: str) -> Answer:
        """Return what is at a URL that anybody may read. Raises `AcmeProblem`, `NotNow` or `Refused`."""
        return await self._ask("GET", url)

    async def get(self, url: str) -> Answer:
        """Return what is at a URL, by POST-as-GET (RFC 8555 §6.3)."""
        return await self.post(url, None)

    async def post(self, url: str, payload: Json | None) -> Answer:
        """Return the answer to a signed request. Raises `AcmeProblem`, `NotNow` or `Refused`."""
        left = _TRIES
        while True:
            signed = self.key.sign(payload, protected=await self._protected(url))
            try:
                return await self._ask("POST", url, content=json.dumps(signed).encode())
            except AcmeProblem as error:
                left -= 1
                if error.problem.kind != "badNonce" or not left:
                    raise
                # Where one nonce is refused, those we have kept are likely to be, too; this answer's own is fresh.
                del self._nonces[:-1]
                if left < _TRIES - _AT_ONCE:
                    await anyio.sleep(_PAUSE)

    async def _protected(self, url: str) -> Json:
        who: dict[str, Any] = {"kid": self.kid} if self.kid else {"jwk": self.key.jwk}
        return {**who, "nonce": await self._nonce(), "url": url}

    async def _nonce(self) -> str:
        if not self._nonces:
            await self._ask("HEAD", (await self.directory()).new_nonce)
        if not self._nonces:
            raise NotNow("The authority gave no nonce.")
        return self._nonces.pop()

    async def _ask(self, method: str, url: str, content: bytes | None = None) -> Answer:
        if not url.startswith("https://"):
            raise Refused("The authority named a URL that is not https.", next_step="Look at its directory.")
        headers = {"content-type": "application/jose+json"} if content is not None else {}
        try:
            async with self._client.stream(method, url, content=content, headers=headers) as answer:
                return self._taken(answer, await _bounded(answer))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise NotNow(f"The authority cannot be reached: {reason}.") from error

    def _taken(self, answer: httpx.Response, content: bytes) -> Answer:
        nonce = answer.headers.get("replay-nonce")
        if nonce:
            self._nonces.append(nonce)
        pause = _retry_after(answer.headers)
        if not answer.is_success:
            raise AcmeProblem(_problem(answer, content), status=answer.status_code, retry_after=pause)
        next_page = answer.links.get("next", {}).get("url")
        return Answer(
            headers=answer.headers,
            content=content,
            retry_after=pause,
            next_page=next_page,
            alternates=_alternates(answer),
        )


def _alternates(answer: httpx.Response) -> tuple[str, ...]:
    """Return all of them: httpx keeps but one link of a kind."""
    links = ", ".join(answer.headers.get_list("link"))
    urls = (str(answer.url.join(url)) for url in _ALTERNATE.findall(links))
    return tuple(dict.fromkeys(urls))[:MOST_ALTERNATES]


async def _bounded(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > LARGEST:
            raise NotNow(f"The authority's answer is larger than {LARGEST} bytes.")
    return bytes(content)


def _problem(answer: httpx.Response, content: bytes) -> ProblemDocument:
    try:
        return ProblemDocument.model_validate_json(content)
    except ValidationError:
        return ProblemDocument(type=f"status {answer.status_code}", detail=answer.reason_phrase)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read Retry-After: seconds, or a date (RFC 9110 §10.2.3), which counts from the answer's own `Date`."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return timedelta(seconds=min(int(text), 86400))
    try:
        then, sent = (_date(headers.get(name, "")) for name in ("retry-after", "date"))
    except ValueError:
        return None
    return max(then - sent, timedelta())


def _date(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
