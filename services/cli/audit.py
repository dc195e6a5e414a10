"""`everleaf audit verify`: whether an exported audit trail is whole and unchanged; nobody is asked."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from shared.access import public_keys
from shared.audit.verification import Verdict, Verification
from shared.errors import Invalid


def verify_trail(trail: Path, keys: Sequence[Path]) -> str:
    """Return what was found. Raises `Invalid` with all faults where the trail cannot be trusted."""
    known = [jwk for path in keys for jwk in _jwks(path)] or _own_keys(trail)
    owners = {str(jwk["kid"]): str(jwk.get("service", jwk["kid"])) for jwk in known}
    try:
        with trail.open("rb") as lines:
            verdict = Verification(public_keys({"keys": known}), owners=owners).run(lines)
    except OSError as error:
        raise _unreadable(trail, str(error.strerror)) from error
    if verdict.faults:
        raise Invalid(
            "The audit trail cannot be trusted:\n" + "\n".join(f"- {fault}" for fault in verdict.faults),
            next_step="Export it again; if the faults stay, compare it with earlier exports: see docs/audit.md.",
        )
    return _told(verdict, is_by_own_keys=not keys)


def _told(verdict: Verdict, *, is_by_own_keys: bool) -> str:
    lines = [
        f"The audit trail is whole and unchanged: {verdict.entries} entries up to number {verdict.last},",
        f"{verdict.checkpoints} checkpoints, co-signed by {', '.join(sorted(verdict.cosigners)) or 'nobody yet'}.",
    ]
    if verdict.handovers:
        lines.append(
            f"Its signing key was followed by another {_times(verdict.handovers)}, named by the one before."
        )
    if verdict.let_go:
        lines.append(
            f"{verdict.let_go} older entries were let go by policy; signed tombstones stand for them."
        )
    if verdict.after_checkpoint:
        lines.append(f"The last {verdict.after_checkpoint} entries are after the last checkpoint.")
    if is_by_own_keys:
        lines.append("Checked by the keys in the file itself: give --keys to know whose they are.")
    return "\n".join(lines)


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def _own_keys(trail: Path) -> list[dict[str, Any]]:
    try:
        with trail.open("rb") as lines:
            head = json.loads(next(islice(lines, 1), b"{}"))
        return list(head["keys"])
    except OSError as error:
        raise _unreadable(trail, str(error.strerror)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(trail, "its first line does not begin an audit trail") from error


def _jwks(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_bytes())["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(
            f"{path} holds no published keys.",
            next_step="Save what GET /SERVICE/v1/audit-keys answers, for each service.",
        ) from error


def _unreadable(trail: Path, why: str) -> Invalid:
    return Invalid(f"{trail} cannot be read: {why}.", next_step="Name a file that was exported.")
