"""What SIEMs get: the formats to the letter, and syslog over TLS as a real rsyslog takes it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.notifier.connectors import Delivered, Later, Progress
from services.notifier.connectors.siem import cef, ocsf
from services.notifier.connectors.siem.collector import Collector as CollectorChannel
from services.notifier.connectors.siem.collector import Options as CollectorOptions
from services.notifier.connectors.siem.collector import Secrets as CollectorSecrets
from services.notifier.connectors.siem.rfc5424 import MOST, message
from services.notifier.connectors.siem.syslog import Options, Secrets, Syslog
from services.notifier.connectors.stream import framed
from services.notifier.domain.alerts import Details
from services.notifier.domain.notices import Turn
from shared.errors import Invalid
from tests.notifier.notices import notice
from tests.notifier.workshop import NOON, OLD, network
from tests.servers.collector import CREDENTIAL, PATH, Collector, wrong_in
from tests.servers.rsyslog import Rsyslog
from tests.servers.tls import LOOPBACK, CertificateAuthority

HOSTILE = 'a"b\\c]d|e=f\ng'


def test_a_syslog_message_is_that_of_the_rfc() -> None:
    text = message(notice(details=Details(names=("a.test",))), host="node 1", facility=16, body=None).decode()
    assert text == (
        "<130>1 2026-11-23T12:00:00.000000Z node1 everleaf - alert.opened "
        '[everleaf@32473 notice="0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e" '
        'alert="0191d7a2-0000-7000-8000-000000000001" turn="1" problem="expiring" severity="critical" '
        f'lineage="lineage-1" fingerprint="{OLD}" names="a.test" placeCount="0" '
        'link="https://portal.test/alerts/1"] \ufeffwww.example.test expires in 3 days'
    )


def test_what_would_end_a_value_is_escaped() -> None:
    text = message(notice(details=Details(owner='a"b\\c]d')), host="h", facility=16, body=None).decode()
    assert 'owner="a\\"b\\\\c\\]d"' in text


def test_a_message_stays_within_what_receivers_take() -> None:
    details = Details(
        names=tuple(f"{'ä' * 200}{n}" for n in range(99)), places=("p" * 3000,), owner="ö" * 999
    )
    assert len(message(notice(details=details), host="h", facility=16, body=None)) <= MOST


def test_a_frame_says_the_length_in_octets() -> None:
    assert framed("ä".encode()) == b"2 \xc3\xa4"


@pytest.mark.parametrize(("turn", "severity"), [(Turn.OPENED, "10"), (Turn.RESOLVED, "1")])
def test_a_cef_line_has_seven_fields_and_an_extension(turn: Turn, severity: str) -> None:
    line = cef.line(notice(turn=turn), version="1")
    *header, extension = line.split("|")
    assert header == [
        "CEF:0",
        "Everleaf",
        "Everleaf",
        "1",
        "expiring",
        "www.example.test expires in 3 days",
        severity,
    ]
    assert "externalId=0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e" in extension
    assert f"cs2={OLD} cs2Label=fingerprint" in extension
    assert "deviceCustomDate1=1795694400000 deviceCustomDate1Label=notAfter" in extension


def test_cef_escapes_what_ends_a_field_or_a_value() -> None:
    line = cef.line(notice(headline=HOSTILE, details=Details(owner=HOSTILE)), version="1")
    assert '|a"b\\\\c]d\\|e=f g|' in line, "a line end would be the event's"
    assert 'cs5=a"b\\\\c]d|e\\=f\\ng cs5Label=owner' in line


@pytest.mark.parametrize(
    ("other", "activity", "status"),
    [
        ({}, 1, 1),
        ({"number": 2, "turn": Turn.RAISED}, 2, 1),
        ({"number": 3, "turn": Turn.ACKNOWLEDGED}, 2, 2),
        ({"number": 4, "turn": Turn.RESOLVED}, 3, 4),
    ],
)
def test_a_finding_follows_its_alert(other: dict[str, Any], activity: int, status: int) -> None:
    event = ocsf.finding(notice(**other), version="1")
    assert wrong_in(event) is None
    assert (event["class_uid"], event["activity_id"], event["status_id"]) == (2003, activity, status)
    assert event["type_uid"] == 200300 + activity
    assert event["finding_info"]["uid"] == notice().alert_id
    assert event["time"] == int(NOON.timestamp() * 1000)
    json.dumps(event)


# Syslog over TLS


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority) -> Iterator[Rsyslog]:
    """An rsyslog that takes only who shows a certificate."""
    server = Rsyslog(tmp_path_factory.mktemp("asking"), ca=lab_ca, asks=True)
    server.start()
    yield server
    server.stop()


def syslog(server: Rsyslog, ca: CertificateAuthority, secrets: dict[str, str]) -> Syslog:
    options = Options(host="localhost", port=server.port, ca_pem=ca.pem.decode())
    return Syslog.open(options, secrets=Secrets.model_validate(secrets), network=network())


async def test_who_asks_for_a_client_certificate_gets_it(
    asking: Rsyslog, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    ours = lab_ca.issue("everleaf.example.test", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    secrets = {"certificate_pem": ours.certificate_pem.decode(), "private_key_pem": ours.key_pem.decode()}
    sent = await syslog(asking, lab_ca, secrets).send(notice(), progress=Progress(), now=NOON)
    assert isinstance(sent, Delivered)
    received = asking.arrived(identity=ours.write(tmp_path / "ours"))
    assert [each.message_id for each in received] == ["alert.opened"]
    assert received[0].severity == "crit"
    assert received[0].time.startswith("2026-11-23T12:00:00")
    assert "www.example.test expires in 3 days" in received[0].text


async def test_without_it_the_message_counts_as_not_taken(
    asking: Rsyslog, lab_ca: CertificateAuthority
) -> None:
    sent = await syslog(asking, lab_ca, {}).send(notice(), progress=Progress(), now=NOON)
    assert isinstance(sent, Later)


def test_a_certificate_without_its_key_is_refused(asking: Rsyslog, lab_ca: CertificateAuthority) -> None:
    with pytest.raises(Invalid, match="come together"):
        syslog(asking, lab_ca, {"certificate_pem": "x"})


async def test_the_collector_takes_cef_as_a_line(tmp_path: Path, lab_ca: CertificateAuthority) -> None:
    server = Collector(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "collector"))
    server.api.start()
    try:
        options = CollectorOptions.model_validate(
            {"url": server.api.url + PATH, "format": "cef", "ca_pem": lab_ca.pem.decode()}
        )
        secrets = CollectorSecrets.model_validate({"credential": CREDENTIAL})
        to = CollectorChannel.open(options, secrets=secrets, network=network())
        sent = await to.send(notice(), progress=Progress(), now=NOON + timedelta(hours=1))
        assert isinstance(sent, Delivered)
        assert server.lines[0].startswith("CEF:0|Everleaf|Everleaf|1|expiring|")
    finally:
        server.api.stop()
