"""A simulator of acme-dns's HTTP API, with the rules of the real one (it is no Debian package).

After its documentation (https://github.com/joohoi/acme-dns, README: "Register endpoint", "Update endpoint") and what its
source answers: 401 `forbidden` for a user, key or subdomain that do not go together, 400 `bad_txt` for a value that is
not 43 characters of base64url, and the two newest values of a name are kept.
"""

import json
import re
import secrets
import uuid
from dataclasses import dataclass, field

from tests.servers.api import Api, Asked, Told

DOMAIN = "auth.example.test"
_TXT = re.compile(r"[A-Za-z0-9_-]{43}")
_KEPT = 2


@dataclass
class Registration:
    """What `POST /register` answers, and the values its name has."""

    username: str = field(default_factory=lambda: str(uuid.uuid4()))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    subdomain: str = field(default_factory=lambda: str(uuid.uuid4()))
    values: list[str] = field(default_factory=list)

    @property
    def fulldomain(self) -> str:
        """The name that `_acme-challenge` is to lead to."""
        return f"{self.subdomain}.{DOMAIN}"


class AcmeDnsServer(Api):
    """Runs at `url`; `texts` is what its name server gives."""

    def __init__(self) -> None:
        super().__init__(self._told)
        self._registrations: dict[str, Registration] = {}

    def texts(self, name: str) -> list[str]:
        """Return the values of a name."""
        return [
            value for each in self._registrations.values() if each.fulldomain == name for value in each.values
        ]

    def register(self) -> Registration:
        """Do what `POST /register` does."""
        made = Registration()
        self._registrations[made.username] = made
        return made

    def _told(self, asked: Asked) -> Told:
        if (asked.method, asked.path) != ("POST", "/update"):
            return Told(status=404, document={"error": "not found"})
        found = self._registrations.get(asked.headers.get("x-api-user", ""))
        document = json.loads(asked.body)
        is_right = (
            found is not None
            and secrets.compare_digest(found.password, asked.headers.get("x-api-key", ""))
            and document.get("subdomain") == found.subdomain
        )
        if found is None or not is_right:
            return Told(status=401, document={"error": "forbidden"})
        if not _TXT.fullmatch(document.get("txt", "")):
            return Told(status=400, document={"error": "bad_txt"})
        found.values = [*found.values, document["txt"]][-_KEPT:]
        return Told(document={"txt": document["txt"]})
