"""Approvals, of whatever waits for one: what exactly is approved, whose word counts, and what has come of it.

A service that needs them has the two tables of `store`, says what its `actions.Subject`s are, and opens the `routes`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from shared.errors import Conflict, Forbidden


class ApprovalState(StrEnum):
    """Where an approval is."""

    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"
    """Nobody has decided in time."""
    VOID = "void"
    """What was to be approved has changed, or is not needed any more."""
    OVERRIDDEN = "overridden"
    """It was done without, in an emergency."""


PASSED = (ApprovalState.GRANTED, ApprovalState.OVERRIDDEN)
"""What is approved in these states may be done, as long as it is the same bytes."""


class Verdict(StrEnum):
    """What somebody says."""

    GRANT = "grant"
    REFUSE = "refuse"
    OVERRIDE = "override"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who has to agree: `needed` different people, each in one of the groups and with one of the roles, where any are named."""

    needed: int
    groups: Sequence[str] = ()
    roles: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Approver:
    """Somebody who decides; `scope` are the groups that they are limited to, None is no limit."""

    id: str
    roles: Collection[str]
    scope: Collection[str] | None
    is_outside: bool = False
    """Whether what is to be decided is in none of their groups."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be decided, as far as whose word counts depends on it."""

    state: ApprovalState
    digest: str
    requesters: Collection[str]
    rule: Rule
    decided: Collection[str]
    """Who has decided already."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the one way to write a document of texts, integers, lists and objects (RFC 8785).

    Keys are ASCII and there are no fractions, so that the sort order and the number format of ECMAScript are Python's.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(document: Mapping[str, Any]) -> str:
    """Return what an approval binds to: the SHA-256 of the canonical document, in lower-case hexadecimal."""
    return sha256(canonical(document)).hexdigest()


def check_decision(approver: Approver, question: Question, *, digest: str) -> None:
    """Raise `Conflict` or `Forbidden` where somebody's word does not count."""
    check_open(question.state)
    if digest != question.digest:
        raise Conflict(
            "This digest is not that of what waits for approval.",
            next_step="Read the approval again, and decide on the digest that it has now.",
        )
    if approver.is_outside:
        raise Forbidden(
            "It is in none of the groups that the decision was made for.",
            next_step="Have somebody decide on it who sees it.",
        )
    if approver.id in question.requesters:
        raise Forbidden(
            "Whoever asks for it does not approve it.", next_step="Have somebody else decide on it."
        )
    _check_right(approver, question.rule)
    if approver.id in question.decided:
        raise Conflict("You have decided on it already.", next_step="Nothing is to be done.")


def check_open(state: ApprovalState) -> None:
    """Raise `Conflict` where there is nothing to decide any more."""
    if state is not ApprovalState.OPEN:
        raise Conflict(f"The approval is {state}.", next_step="Nothing is to be decided any more.")


def _check_right(approver: Approver, rule: Rule) -> None:
    if rule.groups and approver.scope is not None and not set(rule.groups) & set(approver.scope):
        raise Forbidden(
            f"It is for {', '.join(rule.groups)} to decide.", next_step="Have somebody of them decide on it."
        )
    if rule.roles and not set(rule.roles) & set(approver.roles):
        raise Forbidden(
            f"It takes one of the roles {', '.join(rule.roles)} to decide.",
            next_step="Have somebody who has one decide on it.",
        )


def outcome(verdicts: Sequence[Verdict], *, needed: int) -> ApprovalState:
    """Return what has come of it so far: one refusal ends it, so do as many grants as are needed."""
    if Verdict.OVERRIDE in verdicts:
        return ApprovalState.OVERRIDDEN
    if Verdict.REFUSE in verdicts:
        return ApprovalState.REFUSED
    is_enough = verdicts.count(Verdict.GRANT) >= needed
    return ApprovalState.GRANTED if is_enough else ApprovalState.OPEN
