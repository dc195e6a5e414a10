"""What counts as missed or wrong in a scan of the farm."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.scan import certificates
from bench.scan.completeness import check, check_depth, count_tls, read
from bench.scan.plan import Plan

PLAN = Plan(
    {
        "127.0.0.1": "ecdsa",
        "127.0.0.2": "closed",
        "127.0.0.3": "http",
        "127.0.0.4": "ssh",
        "127.0.0.5": "silent",
        "127.0.0.6": "filtered",
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    root = certificates._issue("root", certificates._ec(), now=now, by=None, is_ca=True)
    issuer = certificates._issue("issuer", certificates._ec(), now=now, by=root, is_ca=True)
    for name in ("ecdsa", "rsa2048"):
        certificates._issue(f"{name}.test", certificates._ec(), now=now, by=issuer).write(tmp_path, name)
    return tmp_path


def leaf(folder: Path, name: str) -> str:
    return hashlib.sha256(certificates.chain_of(folder, name)[0]).hexdigest()


def right(folder: Path) -> list[dict[str, Any]]:
    """A scan that has everything right."""
    served = {
        "fingerprint": leaf(folder, "ecdsa"),
        "chain_length": 2,
        "tls_version": "TLSv1.3",
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "group": "x25519",
    }
    return [
        {"address": "127.0.0.1", "outcome": "tls", "reason": "", **served},
        {"address": "127.0.0.2", "outcome": "refused", "reason": "refused"},
        {"address": "127.0.0.3", "outcome": "no_tls", "reason": "it speaks HTTP"},
        {"address": "127.0.0.4", "outcome": "no_tls", "reason": "not TLS", "protocol": "ssh"},
        {"address": "127.0.0.5", "outcome": "silent", "reason": "no answer"},
        {"address": "127.0.0.6", "outcome": "silent", "reason": "no connection"},
    ]


def test_a_chain_leaves_the_root_out(folder: Path):
    assert len(certificates.chain_of(folder, "ecdsa")) == 2


def test_a_scan_that_has_everything_right_has_no_fault(folder: Path):
    records = right(folder)
    assert check(records, plan=PLAN, certificates=folder) == ()
    assert count_tls(records) == 1


@pytest.mark.parametrize(
    ("place", "change", "fault"),
    [
        (0, {"fingerprint": "00"}, "1x ecdsa: another certificate"),
        (0, {"chain_length": 1}, "1x ecdsa: a chain of 1, not 2"),
        (0, {"tls_version": "TLSv1.2"}, "1x ecdsa: TLSv1.2 as the highest version, not TLSv1.3"),
        (0, {"cipher_suite": None}, "1x ecdsa: cipher_suite not known"),
        (0, {"group": None}, "1x ecdsa: group not known"),
        (0, {"outcome": "failed", "reason": "alert 40"}, "1x ecdsa: said to be failed (alert 40)"),
        (1, {"outcome": "silent"}, "1x closed: said to be silent (refused)"),
        (2, {"reason": "not TLS"}, "1x http: not named for what it is (not TLS)"),
        (3, {"protocol": None}, "1x ssh: not named for what it is (not TLS)"),
        (4, {"address": "127.0.0.2"}, "1x told twice"),
        (5, {"address": "127.0.0.9"}, "1x never asked for"),
    ],
)
def test_one_thing_wrong_is_one_fault(folder: Path, place: int, change: dict[str, Any], fault: str):
    records = right(folder)
    records[place].update(change)
    assert fault in check(records, plan=PLAN, certificates=folder)


def test_what_is_not_told_is_missing(folder: Path):
    assert check(right(folder)[1:], plan=PLAN, certificates=folder) == ("1x ecdsa: missing",)


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path):
    path = tmp_path / "out.jsonl"
    path.write_text('{"address": "127.0.0.1"}\n{"addr')
    assert read(path) == [{"address": "127.0.0.1"}]
    assert read(tmp_path / "nothing") == []


def test_a_full_look_is_compared_suite_by_suite_group_by_group_and_certificate_by_certificate(folder: Path):
    record = {
        "fingerprint": leaf(folder, "ecdsa"),
        "depth": {"suites": {"TLSv1.3": ["TLS_AES_128_GCM_SHA256", "TLS_NO_SUCH"]}, "groups": ["x25519"]},
    }
    faults = check_depth(record, certificates=folder, connections=151)
    assert "2 of 3 TLSv1.3 suites missing" in faults
    assert "1 TLSv1.3 suites that are not there" in faults
    assert "9 of 10 groups missing" in faults
    assert "1 of 2 certificates not seen" in faults
    assert "151 connections, more than 150" in faults
