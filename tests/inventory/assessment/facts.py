"""Subjects for tests: a good one, and what differs from it."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.inventory.connectors import policy_files
from services.inventory.domain.assessment.assess import Assessment, assess
from services.inventory.domain.assessment.facts import Subject, fast, full
from services.inventory.domain.assessment.policies import Policy
from shared.events.discovery import TlsFacts

GOLDEN = tomllib.loads((Path(__file__).parent / "golden.toml").read_text())
NOW: datetime = GOLDEN["now"]
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
DOCUMENTS = policy_files.documents()
TIMELINES = policy_files.timelines()
POLICIES = [Policy(id=name, version=1, document=document) for name, document in DOCUMENTS.items()]
SHORT = {
    "moz-m": "mozilla-6.0-modern",
    "moz-i": "mozilla-6.0-intermediate",
    "nist": "nist-sp-800-52r2",
    "bsi": "bsi-tr-02102-2",
    "cnsa": "cnsa-2.0",
    "cabf": "cabf-tls-br",
}
MODERN: dict[str, Any] = {
    "versions": ["TLSv1.3"],
    "suites": {"TLSv1.3": ["TLS_AES_256_GCM_SHA384"]},
    "groups": ["X25519MLKEM768", "X25519", "secp256r1"],
}


def subject(tls: dict[str, Any] | None = MODERN, **changes: Any) -> Subject:
    """Return a good subject with these facts, but for what changes."""
    spoken = full(TlsFacts.model_validate(tls)) if tls is not None else None
    known: dict[str, Any] = {
        "server_name": "shop.test",
        "tls": spoken,
        "names": ("shop.test",),
        "not_before": BEGAN,
        "not_after": BEGAN + timedelta(days=60),
        "key_type": "ecdsa-p256",
        "key_bits": 256,
        "signature_algorithm": "ecdsa-with-SHA256",
        "is_public": True,
        "is_trusted": True,
        "is_revoked": False,
        "is_chain_complete": True,
        "hsts_max_age": spoken.hsts_max_age if tls and spoken and "hsts" in tls else timedelta(days=730),
    }
    return Subject(**{**known, **changes})


def of_case(case: dict[str, Any]) -> Subject:
    """Return the subject of a golden case."""
    said = dict(case.get("certificate", {}))
    if "names" in said:
        said["names"] = tuple(said["names"])
    if "hsts_days" in said:
        said["hsts_max_age"] = timedelta(days=days) if (days := said.pop("hsts_days")) else None
    if "quick" in case:
        quick = {"version": None, "suite": None, "group": None, **case["quick"]}
        return replace(subject(None, **said), tls=fast(**quick))
    return subject(case["tls"], **said)


def judged(given: Subject, *, now: datetime = NOW) -> Assessment:
    """Return what everything says of a subject."""
    return assess(given, policies=POLICIES, timelines=TIMELINES, lifted=(), now=now)


def as_in_the_table(found: Assessment) -> dict[str, Any]:
    """Return a result as the golden table writes it."""
    marks = {"pass": "+", "fail": "-", "unknown": "?"}
    by_id = {policy.id: marks[verdict.result] for policy, verdict in found.verdicts}
    ready, first = found.readiness, found.readiness.disallowed_after
    pq = [ready.key_exchange, ready.signature, *([first.after.isoformat()] if first else [])]
    said = {
        "grade": found.grade.letter,
        "score": found.grade.total,
        "reasons": sorted(reason.code for reason in found.grade.reasons),
        "verdicts": " ".join(f"{short}{by_id[name]}" for short, name in SHORT.items()),
        "pq": " ".join(pq),
    }
    return {name: value for name, value in said.items() if value is not None}
