"""An instance of ServiceNow: who we are there, and its Table API.

"Table API" and "OAuth client credentials" of ServiceNow's documentation: a token comes from `/oauth_token.do`; a query is
`field=value` joined by `^`, where `^` itself cannot be escaped, so nothing that others choose is put into one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import Later, Network, Paced, Part
from services.notifier.connectors.addresses import Url
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, Method, NotTaken
from shared.errors import Fault, Invalid

REDIRECTING = frozenset({"url", "username", "client_id", "ca_pem"})


class InstanceOptions(Paced):
    """An instance, and who we are there: a user, or an OAuth client with the client credentials grant."""

    url: Url = Field(examples=["https://example.service-now.com"])
    username: str | None = Field(None, min_length=1, max_length=200)
    client_id: str | None = Field(None, min_length=1, max_length=200)
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class InstanceSecrets(Part):
    """What goes with the user, or with the client."""

    password: SecretStr | None = Field(None, min_length=1, max_length=1000)
    client_secret: SecretStr | None = Field(None, min_length=1, max_length=1000)


@dataclass(frozen=True, kw_only=True)
class Login:
    """How we say who we are."""

    name: str
    secret: SecretStr
    is_client: bool


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance as a channel asks it."""

    url: str
    login: Login
    api: Api

    @classmethod
    def of(cls, options: InstanceOptions, secrets: InstanceSecrets, *, network: Network) -> Self:
        """Prepare it. Raises `Invalid` where it is not said who we are, or the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        api = Api(name="ServiceNow", network=network, tls=tls, headers={"Accept": "application/json"})
        return cls(url=options.url.rstrip("/"), login=_login(options, secrets), api=api)

    async def signed_in(self, *, now: datetime) -> "Session":
        """Return the instance as it answers us. Raises `NotTaken`."""
        token = await self._token(now=now) if self.login.is_client else self._basic()
        headers = {**self.api.headers, "Authorization": token}
        return Session(url=self.url, api=replace(self.api, headers=headers), now=now)

    def _basic(self) -> str:
        pair = f"{self.login.name}:{self.login.secret.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    async def _token(self, *, now: datetime) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.login.name,
            "client_secret": self.login.secret.get_secret_value(),
        }
        answer = (await self.api.ask("POST", f"{self.url}/oauth_token.do", now=now, data=form)).json()
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise NotTaken(Later(reason="ServiceNow: there is no token in the answer to our credentials."))
        return f"Bearer {token}"


@dataclass(frozen=True, kw_only=True)
class Session:
    """The instance while one notice is told."""

    url: str
    api: Api
    now: datetime

    async def first(self, table: str, query: str, *, fields: Sequence[str]) -> dict[str, Any] | None:
        """Return the first record that a query finds."""
        found = await self.all(table, query, fields=fields, most=1)
        return found[0] if found else None

    async def all(self, table: str, query: str, *, fields: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the records that a query finds."""
        params = {
            "sysparm_query": query,
            "sysparm_fields": ",".join(fields),
            "sysparm_limit": str(most),
            "sysparm_exclude_reference_link": "true",
        }
        return list(await self._result("GET", f"/api/now/table/{table}", params=params))

    async def create(self, table: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Make a record, and return it."""
        return dict(await self._result("POST", f"/api/now/table/{table}", json=dict(values)))

    async def change(self, table: str, record: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Change a record, and return it."""
        return dict(await self._result("PATCH", f"/api/now/table/{table}/{record}", json=dict(values)))

    async def post(self, path: str, document: Any) -> int:
        """Send a document to an API that is no table, and return the status."""
        return (await self.api.ask("POST", self.url + path, now=self.now, json=document)).status

    async def _result(self, method: Method, path: str, **question: Any) -> Any:
        answer = (await self.api.ask(method, self.url + path, now=self.now, **question)).json()
        if not isinstance(answer, dict) or "result" not in answer:
            # An instance that hibernates, or asks for a sign-in, answers 200 with a page of its own.
            raise NotTaken(Later(reason="ServiceNow: the answer is not that of its API."))
        return answer["result"]


def _login(options: InstanceOptions, secrets: InstanceSecrets) -> Login:
    if options.username and secrets.password and not (options.client_id or secrets.client_secret):
        return Login(name=options.username, secret=secrets.password, is_client=False)
    if options.client_id and secrets.client_secret and not (options.username or secrets.password):
        return Login(name=options.client_id, secret=secrets.client_secret, is_client=True)
    raise Invalid(
        "It is not clear who we are in ServiceNow.",
        next_step="Send options.username and secrets.password, or options.client_id and secrets.client_secret.",
        faults=[Fault(pointer="/body/secrets", message="does not fit the options")],
    )
