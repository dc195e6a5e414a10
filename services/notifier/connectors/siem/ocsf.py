"""A notice as a finding of the Open Cybersecurity Schema Framework, 1.8.0: class Compliance Finding (2003).

https://schema.ocsf.io/1.8.0/classes/compliance_finding: a finding is created, updated and closed with the alert, under one
`finding_info.uid`; `metadata.uid` is the identity of the notice. Times are milliseconds since 1970.
"""

from datetime import datetime
from typing import Any

from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

SCHEMA = "1.8.0"
_CATEGORY, _CLASS = 2, 2003
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_SEVERITIES = {
    Severity.INFO: (1, "Informational"),
    Severity.WARNING: (3, "Medium"),
    Severity.ERROR: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_NEW, _IN_PROGRESS, _RESOLVED = 1, 2, 4
_PASS, _FAIL = 1, 3
_SHA_256 = 3
_MOST_PLACES = 20


def finding(notice: Notice, *, version: str) -> dict[str, Any]:
    """Return the finding."""
    is_over = notice.turn is Turn.RESOLVED
    severity_id, severity = _SEVERITIES[notice.severity]
    activity = _CLOSE if is_over else _CREATE if notice.number == 1 else _UPDATE
    return {
        "category_uid": _CATEGORY,
        "class_uid": _CLASS,
        "activity_id": activity,
        "type_uid": _CLASS * 100 + activity,
        "time": _milliseconds(notice.at),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": _status(notice),
        "message": notice.headline,
        "metadata": {
            "version": SCHEMA,
            "uid": notice.id,
            "product": {"name": "Everleaf", "vendor_name": "Everleaf", "version": version},
        },
        "finding_info": {
            "uid": notice.alert_id,
            "title": notice.headline,
            "types": [notice.problem],
            "created_time": _milliseconds(notice.opened_at),
            "modified_time": _milliseconds(notice.at),
            **({"src_url": notice.link} if notice.link else {}),
        },
        "compliance": {
            "control": notice.details.policy or notice.problem,
            "status_id": _PASS if is_over else _FAIL,
            "status_details": [notice.details.reason] if notice.details.reason else [],
        },
        "remediation": {"desc": notice.details.next_step or "See the alert."},
        "resources": _resources(notice),
        "unmapped": {"lineage": notice.lineage_id, "certificate": _certificate(notice)},
    }


def _status(notice: Notice) -> int:
    if notice.turn is Turn.RESOLVED:
        return _RESOLVED
    return _IN_PROGRESS if notice.turn is Turn.ACKNOWLEDGED else _NEW


def _resources(notice: Notice) -> list[dict[str, Any]]:
    owner = {"owner": {"name": notice.details.owner}} if notice.details.owner else {}
    places = notice.details.places[:_MOST_PLACES]
    return [{"type": "certificate place", "name": place, **owner} for place in places]


def _certificate(notice: Notice) -> dict[str, Any] | None:
    """Return what is known of the certificate, as OCSF names it; its object would demand a serial number, too."""
    details = notice.details
    if notice.fingerprint is None:
        return None
    return {
        "fingerprints": [{"algorithm_id": _SHA_256, "value": notice.fingerprint}],
        "issuer": details.issuer,
        "expiration_time": _milliseconds(details.not_after) if details.not_after else None,
        "sans": [{"name": name, "type": "dNSName"} for name in details.names],
    }


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
