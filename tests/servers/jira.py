"""A Jira with one project, in memory: as a cloud (REST API 3) or in a data centre (REST API 2).

Written from Atlassian's documentation: "Create issue", "Get issue" (`expand=changelog`), "Add comment", "Get comments",
"Get transitions", "Transition issue", "Search for issues using JQL enhanced search" (`POST /search/jql`; `/search` of the cloud
is gone), "Atlassian Document Format", "Personal access tokens", and the limits of a summary (255 characters, one line) and of a
label (no spaces).
"""

import base64
import re
import ssl
from dataclasses import dataclass, field
from typing import Any

from tests.servers.api import Api, Asked, Told

USER, TOKEN = "everleaf@example.test", "a test's token"
PROJECT = "OPS"
_CATEGORIES = {"To Do": "new", "In Progress": "indeterminate", "Approved": "indeterminate", "Done": "done"}
_TRANSITIONS = {
    "11": ("Reopen", "To Do"),
    "21": ("Start", "In Progress"),
    "31": ("Approve", "Approved"),
    "41": ("Finish", "Done"),
}
_JQL = re.compile(r'project = "([A-Z]+)" AND labels = "([^" ]+)" ORDER BY created')


@dataclass(kw_only=True)
class Issue:
    """One issue."""

    key: str
    fields: dict[str, Any]
    status: str = "To Do"
    comments: list[Any] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Jira:
    """A site."""

    context: ssl.SSLContext
    is_cloud: bool = True
    issues: list[Issue] = field(default_factory=list)
    written: list[tuple[str, str]] = field(default_factory=list)
    """Key and text of everything that was written, in order."""

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    @property
    def url(self) -> str:
        """Where it is."""
        return self.api.url

    def start(self) -> None:
        """Listen."""
        self.api.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.api.stop()

    def move(self, issue: Issue, status: str, *, by: str) -> None:
        """Let somebody move an issue."""
        item = {"field": "status", "fromString": issue.status, "toString": status}
        author = {"accountId": by} if self.is_cloud else {"name": by}
        issue.changes.append({"id": str(10_000 + len(issue.changes)), "author": author, "items": [item]})
        issue.status = status

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each route
        basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        expected = f"Basic {basic}" if self.is_cloud else f"Bearer {TOKEN}"
        if asked.headers.get("authorization") != expected:
            return _errors(401, "You are not authenticated.")
        root = f"/rest/api/{3 if self.is_cloud else 2}/"
        if not asked.path.startswith(root):
            return _errors(404, "null for uri")
        match asked.method, asked.path.removeprefix(root).split("/"):
            case "POST", ["search", "jql"] if self.is_cloud:
                return self._search(asked.json)
            case "POST", ["search"]:
                return _errors(410, "Removed: use /search/jql") if self.is_cloud else self._search(asked.json)
            case "POST", ["issue"]:
                return self._create(asked.json["fields"])
            case _, ["issue", key, *rest]:
                issue = next((each for each in self.issues if each.key == key), None)
                if issue is None:
                    return _errors(404, "Issue does not exist or you do not have permission to see it.")
                return self._of_issue(issue, asked, "/".join(rest))
        return _errors(404, "null for uri")

    def _of_issue(self, issue: Issue, asked: Asked, what: str) -> Told:
        match asked.method, what:
            case "GET", "":
                return Told(document=self._shown(issue, asked.query.get("expand", "")))
            case "GET", "comment":
                return Told(document={"comments": [{"body": each} for each in issue.comments[::-1]]})
            case "POST", "comment":
                return self._comment(issue, asked.json["body"])
            case "GET", "transitions":
                return Told(document={"transitions": [_transition(each) for each in _TRANSITIONS]})
            case "POST", "transitions":
                number = asked.json["transition"]["id"]
                self.move(issue, _TRANSITIONS[number][1], by=USER)
                return Told(status=204, body=b"")
        return _errors(405, "Method not allowed")

    def _create(self, fields: dict[str, Any]) -> Told:
        wrong = {}
        if fields.get("project", {}).get("key") != PROJECT:
            wrong["project"] = "valid project is required"
        if fields.get("issuetype", {}).get("name") != "Task":
            wrong["issuetype"] = "The issue type selected is invalid."
        summary = fields.get("summary", "")
        if not summary or len(summary) > 255 or "\n" in summary:
            wrong["summary"] = "The summary is invalid."
        if not self._is_text(fields.get("description")):
            wrong["description"] = (
                "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
            )
        if any(" " in label for label in fields.get("labels", ())):
            wrong["labels"] = "The label contains spaces which is invalid."
        if wrong:
            return Told(status=400, document={"errorMessages": [], "errors": wrong})
        issue = Issue(key=f"{PROJECT}-{len(self.issues) + 1}", fields=fields)
        self.issues.append(issue)
        self.written.append((issue.key, f"{summary}\n{_plain(fields['description'])}"))
        return Told(status=201, document={"id": str(len(self.issues)), "key": issue.key, "self": self.url})

    def _comment(self, issue: Issue, body: Any) -> Told:
        if not self._is_text(body):
            return _errors(400, "Comment body is not valid!")
        issue.comments.append(body)
        self.written.append((issue.key, _plain(body)))
        return Told(status=201, document={"id": str(len(issue.comments))})

    def _search(self, document: dict[str, Any]) -> Told:
        asked = _JQL.fullmatch(document["jql"])
        if asked is None:
            return _errors(400, "Error in the JQL Query")
        project, label = asked.groups()
        found = [
            self._shown(each, "")
            for each in self.issues
            if project == PROJECT and label in each.fields.get("labels", ())
        ]
        return Told(document={"issues": found[: document["maxResults"]]})

    def _shown(self, issue: Issue, expand: str) -> dict[str, Any]:
        status = {"name": issue.status, "statusCategory": {"key": _CATEGORIES[issue.status]}}
        description = issue.fields["description"]
        shown: dict[str, Any] = {
            "key": issue.key,
            "fields": {"status": status, "description": description},
        }
        if "changelog" in expand:
            shown["changelog"] = {"histories": issue.changes[::-1]}
        return shown

    def _is_text(self, value: Any) -> bool:
        if not self.is_cloud:
            return isinstance(value, str) and len(value) <= 32_767
        return isinstance(value, dict) and value.get("type") == "doc" and value.get("version") == 1


def _transition(number: str) -> dict[str, Any]:
    name, status = _TRANSITIONS[number]
    return {"id": number, "name": name, "to": {"name": status}}


def _plain(value: Any) -> str:
    """Return the text in a document, or the text."""
    if isinstance(value, str):
        return value
    parts = [value["text"]] if value.get("type") == "text" else map(_plain, value.get("content", ()))
    return "".join(parts) + ("\n" if value.get("type") == "paragraph" else "")


def _errors(status: int, *messages: str) -> Told:
    return Told(status=status, document={"errorMessages": list(messages), "errors": {}})
