"""What RabbitMQ is told of our users: the rights themselves are tried on a broker in `tests/deploy`."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from services.cli.broker import definitions
from services.program import NAMES, events_of
from shared.errors import Invalid


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    for name in (*NAMES, "migrate"):
        (tmp_path / f"bus-{name}").write_text(f"password of {name}\n")
    return tmp_path


def test_passwords_are_salted_hashes_that_rabbitmq_can_check(passwords: Path):
    for user in definitions(passwords)["users"]:
        name = user["name"].removeprefix("everleaf-")
        known = base64.b64decode(user["password_hash"])
        assert known[4:] == hashlib.sha256(known[:4] + f"password of {name}".encode()).digest()
        assert user["tags"] == ""


def test_a_service_may_say_what_its_contract_says_and_no_more(passwords: Path):
    everything = {event for name in NAMES for event in events_of(name, action="send")}
    for topics in definitions(passwords)["topic_permissions"]:
        name = topics["user"].removeprefix("everleaf-")
        may = {event for event in everything if re.search(topics["write"], event)}
        assert may == set(events_of(name, action="send"))


def test_a_missing_password_is_one_clear_line(passwords: Path):
    (passwords / "bus-notifier").unlink()
    with pytest.raises(Invalid, match="There is no password for everleaf-notifier"):
        definitions(passwords)
