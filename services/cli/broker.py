"""What RabbitMQ is told at its start: who may do what, and bounds for queues that are not ours."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.program import NAMES, events_of
from shared.errors import Invalid

VHOST = "everleaf"
MIGRATE = "migrate"
"""Who makes exchanges and queues, and does nothing with them."""
_OURS = r"everleaf\..*|({services})\.events(\..*)?"
_PUBLISHED_TO = ("events", "retry", "dead", "requeue")
_DEFAULT_EXCHANGE = r"amq\.default"
_NOTHING = "^$"
_CONSUMERS = 1_000_000
"""Events that wait for a consumer of somebody else's: then the notifier keeps them and tries again."""


def definitions(passwords: Path) -> dict[str, Any]:
    """Return them, with salted hashes in place of the passwords. Raises `Invalid` where one is missing.

    The form is that of RabbitMQ's `load_definitions`; rights are regular expressions on names of exchanges and queues, and for
    the topic exchange on the types of event too: a service can say only what its own contract says that it sends.
    """
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(name, passwords) for name in (*NAMES, MIGRATE)],
        "permissions": [*(_permissions(name) for name in NAMES), _permissions_to_migrate()],
        "topic_permissions": [_topics(name) for name in NAMES],
        "policies": [_bound_on_consumers()],
    }


def user(name: str) -> str:
    """Return what a service is called on the broker."""
    return f"everleaf-{name}"


def _user(name: str, passwords: Path) -> dict[str, Any]:
    path = passwords / f"bus-{name}"
    try:
        password = path.read_text().strip()
    except OSError as error:
        raise Invalid(
            f"There is no password for {user(name)}: {path}: {error.strerror}.",
            next_step="Put one there: openssl rand -hex 24",
        ) from error
    return {
        "name": user(name),
        "password_hash": _hashed(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
    }


def _hashed(password: str) -> str:
    """Return base64(salt, SHA-256(salt, password)), the form RabbitMQ documents for its users."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _permissions(name: str) -> dict[str, str]:
    exchanges = [rf"everleaf\.({_one_of(_PUBLISHED_TO)})"]
    if name == "notifier":
        # Events for consumers of the customer's go into their queues by name.
        exchanges.append(_DEFAULT_EXCHANGE)
    return {
        "user": user(name),
        "vhost": VHOST,
        "configure": _NOTHING,
        "write": f"^({'|'.join(exchanges)})$",
        "read": rf"^{name}\.events(\.dead)?$",
    }


def _permissions_to_migrate() -> dict[str, str]:
    ours = f"^({_OURS.format(services=_one_of(NAMES))})$"
    return {"user": user(MIGRATE), "vhost": VHOST, "configure": ours, "write": ours, "read": ours}


def _topics(name: str) -> dict[str, str]:
    says = _one_of([re.escape(event) for event in events_of(name, action="send")])
    return {
        "user": user(name),
        "vhost": VHOST,
        "exchange": "everleaf.events",
        "write": f"^({says})$",
        "read": _NOTHING,
    }


def _bound_on_consumers() -> dict[str, Any]:
    return {
        "vhost": VHOST,
        "name": "everleaf-consumers",
        "pattern": r"^everleaf\.consumer\.",
        "apply-to": "queues",
        "priority": 0,
        "definition": {"max-length": _CONSUMERS, "overflow": "reject-publish"},
    }


def _one_of(words: Sequence[str]) -> str:
    return "|".join(words)
