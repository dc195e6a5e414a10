"""SNMP: what a real snmptrapd makes of our notifications, and what the checkers of MIB modules say of ours."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notifier.connectors import Delivered, Later, Progress, Sent
from services.notifier.connectors.snmp import Options, Secrets, Snmp, wire
from services.notifier.connectors.snmp.mib import module, notification, objects
from services.notifier.domain.alerts import Details
from services.notifier.domain.notices import Notice, Turn
from shared.clock import utc_now
from shared.errors import Invalid
from shared.outbound import Policy
from tests.notifier.notices import notice
from tests.notifier.workshop import NOON, network
from tests.servers.processes import program
from tests.servers.snmptrapd import (
    AUTHENTICATION,
    COMMUNITY,
    PRIVACY,
    STUBS,
    USER,
    Snmptrapd,
    translated,
)

ENGINE_ID = str(Options.model_fields["engine_id"].default)
V3 = {"authentication_password": AUTHENTICATION, "privacy_password": PRIVACY}
V2C = {"community": COMMUNITY}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmptrapd]:
    """A manager that knows the user by SHA-512 and AES-256."""
    server = Snmptrapd(
        tmp_path_factory.mktemp("manager"), engine_id=ENGINE_ID, hashed="SHA-512", cipher="AES-256"
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is at home: that is clear on loopback after less than the network is given."""
    monkeypatch.setattr(wire, "TIMEOUT", 0.5)
    monkeypatch.setattr(wire, "RETRIES", 0)


def channel(manager: Snmptrapd, *, secrets: dict[str, str], **options: Any) -> Snmp:
    given = {"host": "127.0.0.1", "port": manager.port, "authentication": "sha512", "privacy": "aes256"}
    login = {"username": USER} if "community" not in secrets else {"version": "2c"}
    parsed = Options.model_validate({**given, **login, **options})
    return Snmp.open(parsed, secrets=Secrets.model_validate(secrets), network=network())


async def send(to: Snmp, what: Notice | None = None) -> Sent:
    return await to.send(what or notice(), progress=Progress(), now=utc_now())


@pytest.mark.parametrize("notify", ["trap", "inform"])
@pytest.mark.parametrize("secrets", [V2C, V3], ids=["v2c", "v3"])
async def test_a_notification_arrives_with_the_names_of_the_module(
    manager: Snmptrapd, secrets: dict[str, str], notify: str
) -> None:
    before = len(manager.arrived())
    what = notice(details=replace_details(owner="Team Web <web@example.test>"))
    assert isinstance(await send(channel(manager, secrets=secrets, notify=notify), what), Delivered)
    arrived = manager.arrived(before + 1)[-1]
    assert arrived.peer.startswith("TRAP2" if notify == "trap" else "INFORM")
    assert ("v3" in arrived.peer) == ("community" not in secrets)
    values = arrived.values
    assert values["snmpTrapOID"].endswith("everleafAlertOpened"), manager.printed()[-3000:]
    assert values["everleafHeadline"] == "www.example.test expires in 3 days"
    assert values["everleafSeverity"] == "critical(4)"
    assert values["everleafNotAfter"] == "2026-11-26T12:00:00Z"
    assert values["everleafSecondsLeft"].startswith("259200")
    assert values["everleafPlaces"] == "192.0.2.7:443 as www.example.test"
    assert values["everleafPlaceCount"] == "1"
    assert values["everleafOwner"] == "Team Web <web@example.test>"
    assert (values["everleafNoticeId"], values["everleafTurn"]) == (what.id, "1")


def replace_details(**other: Any) -> Details:
    return notice().details.model_copy(update=other)


async def test_traps_of_one_process_after_another_are_all_taken(manager: Snmptrapd) -> None:
    """A receiver drops what seems older than what it has: engines of ours agree on the time without a file."""
    before = len(manager.arrived())
    for _ in range(3):
        await send(channel(manager, secrets=V3, notify="trap"))
    assert len(manager.arrived(before + 3)) == before + 3


async def test_a_trap_of_the_day_after_is_taken_and_one_of_the_day_before_is_not(tmp_path: Path) -> None:
    place = tmp_path / "manager"
    place.mkdir()
    manager = Snmptrapd(place, engine_id=ENGINE_ID)
    manager.start()
    to = channel(manager, secrets=V3, notify="trap", authentication="sha256", privacy="aes128")
    try:
        for days in (0, -1, 1):
            await to.send(notice(number=days + 2), progress=Progress(), now=utc_now() + timedelta(days=days))
        turns = [each.values["everleafTurn"] for each in manager.arrived(2)]
        assert turns == ["2", "3"]
    finally:
        manager.stop()


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ({"community": "another"}, "No SNMP response"),
        ({**V3, "authentication_password": "wrong words"}, "digest"),
        ({**V3, "privacy_password": "wrong words"}, ""),
    ],
    ids=["community", "authentication", "privacy"],
)
async def test_an_inform_with_a_wrong_secret_is_later_and_says_no_secret(
    manager: Snmptrapd, secrets: dict[str, str], reason: str
) -> None:
    before = len(manager.arrived())
    sent = await send(channel(manager, secrets=secrets))
    assert isinstance(sent, Later)
    assert reason.lower() in sent.reason.lower()
    assert not any(secret in sent.reason for secret in secrets.values())
    assert len(manager.arrived()) == before


async def test_a_user_that_nobody_knows_is_later(manager: Snmptrapd) -> None:
    sent = await send(channel(manager, secrets=V3, username="somebody"))
    assert isinstance(sent, Later)


async def test_what_the_policy_does_not_permit_is_not_sent(manager: Snmptrapd) -> None:
    to = channel(manager, secrets=V2C, notify="trap")
    to._network = replace(to._network, policy=Policy())
    before = len(manager.arrived())
    sent = await send(to)
    assert isinstance(sent, Later)
    assert "EVERLEAF_OUTBOUND_ALLOW" in sent.reason
    assert len(manager.arrived()) == before


async def test_a_test_says_that_nobody_has_registered_a_number(manager: Snmptrapd) -> None:
    to = channel(manager, secrets=V2C)
    sent = await send(to, notice(turn=Turn.TEST))
    assert isinstance(sent, Delivered)
    assert "register your own with IANA" in sent.answer


@pytest.mark.parametrize(
    ("options", "secrets"),
    [
        ({"version": "2c"}, {}),
        ({"version": "2c", "username": "u"}, V2C),
        ({"version": "2c"}, {**V2C, **V3}),
        ({"version": "3"}, V3),
        ({"version": "3", "username": "u"}, V2C),
        ({"version": "3", "username": "u"}, {"authentication_password": AUTHENTICATION}),
    ],
)
def test_secrets_of_another_version_are_refused(options: dict[str, str], secrets: dict[str, str]) -> None:
    with pytest.raises(Invalid, match=r"v2c has|v3 has"):
        Snmp.open(
            Options.model_validate({"host": "127.0.0.1", **options}),
            secrets=Secrets.model_validate(secrets),
            network=network(),
        )


@pytest.mark.parametrize(
    "wrong", [{"engine_id": "xyz"}, {"engine_id": "00"}, {"privacy": "des"}, {"authentication": "md5"}]
)
def test_weak_and_wrong_options_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Options.model_validate({"host": "127.0.0.1", **wrong})


# The module


@pytest.mark.parametrize("enterprise", [32473, 4711])
def test_the_module_is_clean_for_smilint(tmp_path: Path, enterprise: int) -> None:
    for stub in STUBS.iterdir():
        (tmp_path / stub.stem).write_text(stub.read_text())
    own = tmp_path / "EVERLEAF-MIB"
    own.write_text(module(enterprise))
    done = subprocess.run(
        [program("smilint", package="smitools"), "-s", "-l", "6", str(own)],
        env={"SMIPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("turn", [Turn.OPENED, Turn.RAISED, Turn.RESOLVED, Turn.ACKNOWLEDGED])
def test_names_and_numbers_are_those_of_the_module(manager: Snmptrapd, turn: Turn) -> None:
    expected = "." + ".".join(map(str, notification(notice(turn=turn), enterprise=32473)))
    assert translated(f"everleafAlert{turn.title()}", manager.environment) == expected


def test_text_is_cut_to_what_an_object_may_hold() -> None:
    details = Details(names=tuple(f"ä{number}.example.test" for number in range(100)), place_count=5)
    values = dict(objects(notice(details=details, headline="ü" * 300)))
    assert all(len(value.encode()) <= 255 for value in values.values() if isinstance(value, str))
    assert values[9] == 0, "it has no end that we know of"


def test_an_end_that_is_far_away_fits_its_object() -> None:
    details = Details(not_after=NOON + timedelta(days=365 * 100))
    assert dict(objects(notice(details=details)))[9] == 2**31 - 1
