"""The REST API of Jira: version 3 of the cloud, version 2 of the data centre.

"The Jira Cloud platform REST API" and "Jira Data Center REST API" of Atlassian's documentation: an API token with an e-mail
address by Basic, or a personal access token by Bearer; transitions are carried out by number and found by name; searches of
the cloud are `POST /search/jql`, those of the data centre `POST /search`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.notifier.connectors import Never
from services.notifier.connectors.web import Api, Method, NotTaken
from services.notifier.domain.text import clean


def authorization(*, username: str | None, token: str) -> str:
    """Return the header's value: for a user of the cloud, or for a token of the data centre."""
    if username is None:
        return f"Bearer {token}"
    return f"Basic {base64.b64encode(f'{username}:{token}'.encode()).decode()}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A Jira while one notice is told."""

    url: str
    is_cloud: bool
    api: Api
    now: datetime

    async def search(self, jql: str, *, fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return the first issues that are found."""
        path = "/search/jql" if self.is_cloud else "/search"
        found = await self.ask("POST", path, json={"jql": jql, "maxResults": 2, "fields": list(fields)})
        return list(found.get("issues", ()))

    async def issue(self, key: str, **params: str) -> dict[str, Any] | None:
        """Return an issue, or None where there is none any more."""
        answer = await self.api.ask(
            "GET", f"{self._root}/issue/{key}", now=self.now, accepted=(404,), params=params
        )
        return dict(answer.json()) if answer.status in range(200, 300) else None

    async def create(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Make an issue, and return its id and key."""
        return await self.ask("POST", "/issue", json={"fields": fields})

    async def has_comment(self, key: str, text: str) -> bool:
        """Return whether one of the last comments on an issue has this text."""
        params = {"orderBy": "-created", "maxResults": "50"}
        found = await self.ask("GET", f"/issue/{key}/comment", params=params)
        return any(text in str(comment.get("body")) for comment in found.get("comments", ()))

    async def comment(self, key: str, body: Any) -> None:
        """Comment on an issue."""
        await self.ask("POST", f"/issue/{key}/comment", json={"body": body})

    async def move(self, key: str, names: Sequence[str]) -> None:
        """Take an issue through the transition that has, or leads to, the first of these names. Raises `NotTaken`."""
        found = (await self.ask("GET", f"/issue/{key}/transitions")).get("transitions", ())
        for name in names:
            for each in found:
                if name.casefold() in (each["name"].casefold(), each["to"]["name"].casefold()):
                    await self.ask(
                        "POST", f"/issue/{key}/transitions", json={"transition": {"id": each["id"]}}
                    )
                    return
        there = ", ".join(str(each["name"]) for each in found) or "none"
        reason = f"Jira: no transition of {key} is called {' or '.join(names)}; there are {there}."
        raise NotTaken(Never(reason=clean(reason, most=300)))

    async def ask(self, method: Method, path: str, **question: Any) -> dict[str, Any]:
        """Ask, and return the document that is answered; an empty one where there is none."""
        answer = await self.api.ask(method, self._root + path, now=self.now, **question)
        return dict(answer.json()) if answer.body else {}

    @property
    def _root(self) -> str:
        return f"{self.url}/rest/api/{3 if self.is_cloud else 2}"
