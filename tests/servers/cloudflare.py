"""A simulator of the part of Cloudflare's API v4 that keeps TXT records (there is no Cloudflare to install).

After https://developers.cloudflare.com/api/resources/zones/methods/list,
https://developers.cloudflare.com/api/resources/dns/subresources/records/ (list, create, delete) and
https://developers.cloudflare.com/fundamentals/api/reference/rate-limits: a token in `Authorization: Bearer`, answers in an
envelope of `success`, `errors`, `result`; lists go by `name` exactly; a TTL is 1 or 60 to 86400; a record that is there
already is refused with 81058; a wrong token is refused with 403 and 10000, a zone it may not see with 403 and 9109.
"""

import json
import ssl
import uuid
from typing import Any

from tests.servers.api import Api, Asked, Told

_BASE = "/client/v4"


class CloudflareServer(Api):
    """One account with zones; `texts` is what its name servers give."""

    def __init__(self, *, token: str, zones: tuple[str, ...], context: ssl.SSLContext) -> None:
        super().__init__(self._told, context=context)
        self.zones = {uuid.uuid4().hex: name for name in zones}
        self.records: dict[str, dict[str, Any]] = {}
        self.busy = 0
        """So many requests are answered with 429."""
        self._token = token

    @property
    def api_url(self) -> str:
        """What the paths begin with."""
        return self.url + _BASE

    def texts(self, name: str) -> list[str]:
        """Return the values of a name."""
        return [each["content"].strip('"') for each in self.records.values() if each["name"] == name]

    def _told(self, asked: Asked) -> Told:
        if self.busy:
            self.busy -= 1
            return _refused(
                429, 10100, "Please wait and consider throttling your request speed", {"Retry-After": "7"}
            )
        if asked.headers.get("authorization") != f"Bearer {self._token}":
            return _refused(403, 10000, "Authentication error")
        parts = asked.path.removeprefix(_BASE).strip("/").split("/")
        if (asked.method, parts) == ("GET", ["zones"]):
            found = [(key, name) for key, name in self.zones.items() if name == asked.query["name"]]
            return _done([{"id": key, "name": name} for key, name in found])
        if len(parts) < 3 or parts[0] != "zones" or parts[2] != "dns_records":
            return _refused(404, 7003, f"Could not route to {asked.path}, perhaps it is invalid?")
        if parts[1] not in self.zones:
            return _refused(403, 9109, "Unauthorized to access requested resource")
        return self._of_records(asked, parts[1], parts[3] if len(parts) > 3 else "")

    def _of_records(self, asked: Asked, zone: str, record: str) -> Told:
        if asked.method == "POST":
            return self._created(zone, json.loads(asked.body))
        if asked.method == "DELETE":
            if self.records.pop(record, None) is None:
                return _refused(404, 81044, "Record does not exist.")
            return _done({"id": record})
        wanted = (asked.query["type"], asked.query["name"])
        return _done([each for each in self.records.values() if (each["type"], each["name"]) == wanted])

    def _created(self, zone: str, record: dict[str, Any]) -> Told:
        name, ttl = record["name"], record["ttl"]
        if not (name == self.zones[zone] or name.endswith("." + self.zones[zone])) or record["type"] != "TXT":
            return _refused(400, 9000, "DNS name is invalid.")
        if ttl != 1 and not 60 <= ttl <= 86400:
            return _refused(
                400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."
            )
        if any(
            (each["name"], each["content"]) == (name, record["content"]) for each in self.records.values()
        ):
            return _refused(400, 81058, "An identical record already exists.")
        made = {**record, "id": uuid.uuid4().hex}
        self.records[made["id"]] = made
        return _done(made)


def _done(result: Any) -> Told:
    return Told(document={"success": True, "errors": [], "messages": [], "result": result})


def _refused(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Told:
    errors = [{"code": code, "message": message}]
    return Told(
        status=status,
        document={"success": False, "errors": errors, "messages": [], "result": None},
        headers=headers or {},
    )
