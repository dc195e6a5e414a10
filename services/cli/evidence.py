"""`everleaf verify-evidence`: whether a report is as the platform has signed it; nobody is asked."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.errors import Invalid
from shared.evidence import verify


def verify_evidence(report: Path, keys: Path) -> str:
    """Return what the signature of a report says. Raises `Invalid` where the report cannot be read or trusted."""
    try:
        with report.open("rb") as lines:
            claims = verify(lines, _keys(keys))
    except OSError as error:
        raise Invalid(
            f"{report} cannot be read: {error.strerror}.", next_step="Name a file that is there."
        ) from error
    at = datetime.fromtimestamp(claims["iat"], UTC)
    return f"The report on {claims['sub']} is as it was signed at {at:%Y-%m-%d %H:%M:%S} UTC: {claims['lines']} lines."


def _keys(path: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(
            f"{path} holds no published keys.",
            next_step="Save what GET /renewal/v1/evidence-keys of the platform that has signed the report answers.",
        ) from error
