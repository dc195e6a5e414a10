"""An instance of ServiceNow as far as tickets and events need one, in memory.

Written from ServiceNow's documentation: "Table API" (`GET`, `POST`, `PATCH /api/now/table/{table}`; `sysparm_query`,
`sysparm_fields` with dot-walking, `sysparm_limit`; `{"result": …}`, `{"error": {"message", "detail"}, "status": "failure"}`),
"Client credentials" (`/oauth_token.do`), "Send events via web service" (`/api/global/em/jsonv2`), "Incident states" and the
data policy that a resolved incident has a resolution code and notes, "Change states", and "Approvals" (`sysapproval_approver`).
"""

import base64
import json
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.servers.api import Api, Asked, Told

USER, PASSWORD = "everleaf", "a test's password"
CLIENT, CLIENT_SECRET = "0123456789abcdef0123456789abcdef", "a test's client secret"
Record = dict[str, Any]
_PREFIXES = {"incident": "INC", "change_request": "CHG"}
_EVENT = {
    "source", "event_class", "node", "resource", "metric_name", "type", "message_key", "severity",
    "description", "additional_info", "time_of_event", "resolution_state",
}  # fmt: skip
_COLUMNS = {
    "cmdb_ci_certificate": {
        "name", "fingerprint", "fingerprint_algorithm", "subject_common_name", "subject_alternative_name",
        "issuer_distinguished_name", "valid_from", "valid_to", "discovery_source",
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Written:
    """One change of a ticket."""

    number: str
    correlation: str
    turn: str
    text: str


@dataclass
class ServiceNow:
    """One instance, with a user and an OAuth client."""

    context: ssl.SSLContext
    has_certificates: bool = True
    """Whether Certificate Inventory and Management is installed."""
    tables: dict[str, list[Record]] = field(default_factory=dict)
    events: list[Record] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)
        self.tables = {"incident": [], "change_request": [], "sysapproval_approver": []}
        if self.has_certificates:
            self.tables["cmdb_ci_certificate"] = []
        self._token = "t" * 43

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

    def decide(self, change: Record, approver: str, *, state: str, comments: str = "") -> None:
        """Let somebody decide on a change request."""
        self.tables["sysapproval_approver"].append(
            {
                "sys_id": f"{len(self.tables['sysapproval_approver']):032x}",
                "sysapproval": change["sys_id"],
                "state": state,
                "approver.user_name": approver,
                "comments": comments,
            }
        )
        change["approval"] = state

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each route
        if asked.path == "/oauth_token.do":
            return self._give_token(asked)
        if not self._knows(asked):
            return _failure(401, "User Not Authenticated", "Required to provide Auth information")
        match asked.method, asked.path.strip("/").split("/"):
            case "POST", ["api", "global", "em", "jsonv2"]:
                return self._take_events(asked.json)
            case "GET", ["api", "now", "table", table] if table in self.tables:
                return self._find(table, asked)
            case "POST", ["api", "now", "table", table] if table in self.tables:
                return self._create(table, asked.json)
            case "PATCH", ["api", "now", "table", table, sys_id] if table in self.tables:
                return self._change(table, sys_id, asked.json)
            case _, ["api", "now", "table", table, *_]:
                return _failure(400, f"Invalid table {table}", "")
        return _failure(400, "Requested URI does not represent any resource", asked.path)

    def _give_token(self, asked: Asked) -> Told:
        expected = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": CLIENT_SECRET}
        if asked.form != expected:
            return Told(
                status=401, document={"error": "invalid_client", "error_description": "access_denied"}
            )
        return Told(document={"access_token": self._token, "token_type": "Bearer", "expires_in": 1799})

    def _knows(self, asked: Asked) -> bool:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return asked.headers.get("authorization") in (f"Basic {basic}", f"Bearer {self._token}")

    def _take_events(self, document: Any) -> Told:
        for event in document["records"]:
            if set(event) != _EVENT or not all(isinstance(value, str) for value in event.values()):
                return _failure(400, "Unexpected fields", str(set(event) ^ _EVENT))
            if event["severity"] not in {"0", "1", "2", "3", "4", "5"}:
                return _failure(400, "Invalid severity", event["severity"])
            datetime.strptime(event["time_of_event"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            json.loads(event["additional_info"])
        self.events += document["records"]
        return Told(
            document={"result": {"Default Bulk Endpoint": f"{len(document['records'])} events were inserted"}}
        )

    def _find(self, table: str, asked: Asked) -> Told:
        found = [record for record in self.tables[table] if _matches(record, asked.query["sysparm_query"])]
        fields = asked.query["sysparm_fields"].split(",")
        limit = int(asked.query["sysparm_limit"])
        return Told(
            document={"result": [{name: each.get(name, "") for name in fields} for each in found[:limit]]}
        )

    def _create(self, table: str, values: Record) -> Told:
        if (refused := _refusal(table, {}, values)) is not None:
            return refused
        count = len(self.tables[table]) + 1
        record = {
            "sys_id": f"{table[0]}{count:031x}",
            "state": "1" if table == "incident" else "-5",
            **values,
        }
        if table in _PREFIXES:
            record["number"] = f"{_PREFIXES[table]}{count:07}"
            self._write(record, f"{values['short_description']}\n{values['description']}")
        self.tables[table].append(record)
        return Told(status=201, document={"result": record})

    def _change(self, table: str, sys_id: str, values: Record) -> Told:
        record = next((each for each in self.tables[table] if each["sys_id"] == sys_id), None)
        if record is None:
            return _failure(
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
            )
        if (refused := _refusal(table, record, values)) is not None:
            return refused
        record.update(values)
        if table in _PREFIXES:
            self._write(record, values.get("work_notes", ""))
        return Told(document={"result": record})

    def _write(self, record: Record, text: str) -> None:
        written = Written(
            number=record["number"],
            correlation=record["correlation_id"],
            turn=record["correlation_display"],
            text=text,
        )
        self.written.append(written)


def _matches(record: Record, query: str) -> bool:
    for part in query.split("^"):
        is_one = re.fullmatch(r"([a-z_.]+)(=|IN)(.*)", part)
        assert is_one, f"not a query: {part}"
        name, operator, value = is_one.groups()
        wanted = value.split(",") if operator == "IN" else [value]
        if str(record.get(name, "")) not in wanted:
            return False
    return True


def _refusal(table: str, record: Record, values: Record) -> Told | None:
    if not all(isinstance(value, str) for value in values.values()):
        return _failure(400, "Exception while reading request", "every value is a string")
    if table in _COLUMNS and (unknown := values.keys() - _COLUMNS[table]):
        raise AssertionError(f"no such columns in {table}: {unknown}")
    after = {**record, **values}
    if table == "incident" and after.get("state") in ("6", "7"):
        missing = [name for name in ("close_code", "close_notes") if not after.get(name)]
        if missing:
            said = f"Data Policy Exception: The following fields are mandatory: {', '.join(missing)}"
            return _failure(403, "Operation Failed", said)
    return None


def _failure(status: int, message: str, detail: str) -> Told:
    document = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return Told(status=status, document=document)
