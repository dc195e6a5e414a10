"""A timestamp counts where a log that browsers take has signed it, for this certificate."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.connectors.log_list import LogListFile
from services.renewal.domain.ct_logs import read_log_list
from services.renewal.domain.policy import Trust
from services.renewal.domain.validation import check_logs
from shared.errors import Invalid, Refused
from tests.renewal.timestamps import CA, Log, listed, logged

ISSUER = CA.certificate.public_bytes(Encoding.DER)
A, B = Log(operator="Alder"), Log(operator="Beech", key=rsa.generate_private_key(65537, 2048))
KNOWN = read_log_list(listed(A, B))


def checked(leaf: x509.Certificate) -> str:
    passed = check_logs(leaf, trust=Trust.PUBLIC, issuer=ISSUER, known=KNOWN)
    assert passed is not None
    return passed.text


def test_what_two_operators_logs_have_signed_is_taken() -> None:
    assert checked(logged(A, B)) == "It is in 2 CT logs; 2 are needed. Each has signed for it."


def test_a_timestamp_for_another_certificate_is_refused_by_its_logs_name() -> None:
    with pytest.raises(
        Refused, match=r"the timestamp of Alder log is not for this certificate.*RFC 6962 §3.2"
    ):
        checked(logged(A, B, for_another=True))


def test_a_log_that_no_browser_takes_does_not_count() -> None:
    with pytest.raises(Refused, match=r"in 1 CT logs that count, and browsers want 2"):
        checked(logged(A, Log(operator="Nobody")))


def test_logs_of_one_operator_are_not_enough() -> None:
    again = Log(operator="Alder")
    known = read_log_list(listed(A, again))
    with pytest.raises(Refused, match="of one operator"):
        check_logs(logged(A, again), trust=Trust.PUBLIC, issuer=ISSUER, known=known)


def test_where_no_issuer_is_known_nothing_is_taken_on_trust() -> None:
    with pytest.raises(Refused, match="its issuer is not known"):
        check_logs(logged(A, B), trust=Trust.PUBLIC, issuer=None, known=KNOWN)


@pytest.mark.parametrize(
    ("state", "counts"),
    [("qualified", True), ("usable", True), ("readonly", True), ("pending", False), ("retired", False)],
)
def test_a_logs_state_decides_whether_it_counts(state: str, counts: bool) -> None:
    known = read_log_list(listed(A, Log(operator="Cedar", state=state)))
    assert len(known) == 1 + counts


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"operators": []}',
        b'{"operators": [{"name": "x", "logs": [{"key": "AAAA", "state": {"usable": {}}}]}]}',
        b'{"operators": [{"name": "x", "logs": [{"key": "%", "state": {"usable": {}}}]}]}',
    ],
)
def test_what_is_no_list_of_logs_is_invalid_and_says_what_to_do(document: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_log_list(document)
    assert "log_list.json" in caught.value.next_step


def test_a_list_is_read_again_when_it_changes_and_a_broken_one_leaves_what_was_known(tmp_path: Path) -> None:
    file = tmp_path / "log_list.json"
    with pytest.raises(Invalid, match=r"log_list\.json cannot be read: No such file"):
        LogListFile(file)
    file.write_bytes(listed(A))
    logs = LogListFile(file)
    assert {log.operator for log in logs.read().values()} == {"Alder"}
    file.write_bytes(listed(A, B))
    assert {log.operator for log in logs.read().values()} == {"Alder", "Beech"}
    file.write_bytes(b"half a li")
    assert {log.operator for log in logs.read().values()} == {"Alder", "Beech"}
    file.unlink()
    assert {log.operator for log in logs.read().values()} == {"Alder", "Beech"}
