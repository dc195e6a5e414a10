"""The rules of putting a certificate in place: what may be tried, what follows a failure, and when."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from shared import x509
from shared.errors import Invalid, Refused


class State(StrEnum):
    """What a person is told of a deployment."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    """Nothing was changed: an attempt failed, or something holds it (`Hold`); it is tried again at `next_attempt_at`."""
    WATCHING = "watching"
    """In place and seen; if that lasts for a while it is deployed, else what was there before is put back."""
    RESTORED = "restored"
    """An attempt failed and what was there before is in place again; it is tried again."""
    NEEDS_ATTENTION = "needs_attention"
    """It goes on only when a person has put something right."""
    DEPLOYED = "deployed"
    FAILED = "failed"
    """It was tried as often as it may be."""
    SUPERSEDED = "superseded"
    """A newer certificate of the lineage goes there instead."""
    CANCELLED = "cancelled"


OPEN = (
    State.PENDING,
    State.RUNNING,
    State.WAITING,
    State.WATCHING,
    State.RESTORED,
    State.NEEDS_ATTENTION,
)


class Hold(StrEnum):
    """What a deployment that could begin waits for."""

    SLOT = "slot"
    """Another deployment of the slot is half done."""
    APPROVAL = "approval"
    ROLLOUT = "rollout"
    """Its wave has not begun, or its rollout has stopped."""
    DEPENDENCY = "dependency"
    """Another binding of the lineage comes first."""
    WINDOW = "window"
    FREEZE = "freeze"


class Phase(StrEnum):
    """Where the work on a deployment goes on, also after the process was killed.

    start → staging → binding (→ watching) → tidying → over; a failure leads through clearing (nothing was put
    in force) or restoring (perhaps something was) back to start, or over.
    """

    START = "start"
    STAGING = "staging"
    """The sealed key is here; new files may lie beside the present ones on the target."""
    BINDING = "binding"
    """All is staged, and may be in force or half so: this goes forward from whatever is found."""
    WATCHING = "watching"
    """Seen in force; what is kept for a way back stays for as long as it is watched."""
    CLEARING = "clearing"
    RESTORING = "restoring"
    TIDYING = "tidying"
    """Verified; what was kept for a way back is removed."""
    OVER = "over"


WAY_BACK = {
    Phase.STAGING: Phase.CLEARING,
    Phase.BINDING: Phase.RESTORING,
    Phase.WATCHING: Phase.RESTORING,
}
"""Where a failure leads from a phase that may have changed the target."""


class Failure(StrEnum):
    """Why an attempt failed, as far as it decides what follows."""

    UNREACHABLE = "unreachable"
    HOST_KEY_CHANGED = "host_key_changed"
    LOGIN_REFUSED = "login_refused"
    PERMISSION_DENIED = "permission_denied"
    DISK_FULL = "disk_full"
    NO_SUCH_FOLDER = "no_such_folder"
    WRITE_FAILED = "write_failed"
    OUT_OF_REACH = "out_of_reach"
    """The operator's settings let nobody connect there."""
    NOT_FOUND = "not_found"
    """What the slot names is not there."""
    CONFLICT = "conflict"
    """What is there is not as it has to be, or somebody else changes it now."""
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    """An API does not take what it was sent."""
    NOT_SUPPORTED = "not_supported"
    """The product cannot do it with this certificate or in this state."""
    NOT_FETCHED = "not_fetched"
    """What was to fetch it, or to do it in its own time, has not said that it has."""
    NO_WAY_BACK = "no_way_back"
    """What is there could not be put back, so it is not replaced."""
    KEY_UNAVAILABLE = "key_unavailable"
    KEY_REFUSED = "key_refused"
    KEY_NOT_MADE = "key_not_made"
    """On the target, by its own programs."""
    PAIR_MISMATCH = "pair_mismatch"
    STORE_REFUSED = "store_refused"
    """The keystore that is there cannot be opened, or would lose what else it holds."""
    TEST_FAILED = "test_failed"
    RELOAD_FAILED = "reload_failed"
    CHANGED_BY_OTHERS = "changed_by_others"
    STILL_OLD = "still_old"
    NOT_SERVED = "not_served"
    UNFORESEEN = "unforeseen"


_NEXT_STEPS = {
    Failure.UNREACHABLE: "Check that the host or API is up and that its port can be reached from here.",
    Failure.HOST_KEY_CHANGED: (
        "Compare the key that GET /v1/host-keys sees with the one on the host's console. If the host was rebuilt, "
        "set the new host_key on the target; if not, somebody may stand between."
    ),
    Failure.LOGIN_REFUSED: "Check the account and set the target's credential again.",
    Failure.PERMISSION_DENIED: (
        "Let the target's account write the files and their folder; on an API, give it the right that is named here."
    ),
    Failure.DISK_FULL: "Free some space on the target's file system.",
    Failure.NO_SUCH_FOLDER: "Create the folder on the target, or correct the path in the binding.",
    Failure.WRITE_FAILED: "Look at the folder and the file system on the target.",
    Failure.OUT_OF_REACH: "Ask an operator of the platform to allow the target's network in the settings named here.",
    Failure.NOT_FOUND: "Make on the target what the binding's slot names, or correct the slot.",
    Failure.CONFLICT: "Look at what the target says, and at who else changes it; it is tried again by itself.",
    Failure.RATE_LIMITED: "It is tried again by itself; if that is too late, ask who runs the API for a larger quota.",
    Failure.REJECTED: "Correct what the target says is wrong: mostly its options, or the slot of the binding.",
    Failure.NOT_SUPPORTED: "Use a profile or a slot that the product can do this with.",
    Failure.NOT_FETCHED: (
        "Look at whatever pulls for this binding, or receives its messages: it does not say that it is done."
    ),
    Failure.NO_WAY_BACK: (
        "Bind a slot that keeps the old certificate beside the new one, or let the binding's slot say that it may be "
        "replaced without a way back."
    ),
    Failure.KEY_UNAVAILABLE: "Check that renewal runs and can be reached.",
    Failure.KEY_REFUSED: "Look at the order in renewal: its key was not released to this deployment.",
    Failure.KEY_NOT_MADE: (
        "Install openssl on the target, and let its account write the folder of the key; or use a profile whose key "
        "custody is central."
    ),
    Failure.PAIR_MISMATCH: "Renew again: this key does not belong to this certificate.",
    Failure.STORE_REFUSED: (
        "Put the keystore's password into store_passwords of the target's credential, and keep what else it holds "
        "in a keystore of its own."
    ),
    Failure.TEST_FAILED: "Run the test command on the target and correct its configuration.",
    Failure.RELOAD_FAILED: "Run the reload command on the target and look at the server's log.",
    Failure.CHANGED_BY_OTHERS: "Find out what else writes these files on the target.",
    Failure.STILL_OLD: "Check that the server reads these files and that its reload command reaches it.",
    Failure.NOT_SERVED: "Check that the endpoint's address, port and server name are right and the server is up.",
    Failure.UNFORESEEN: "Look up the deployment's id in the log.",
}

_FOR_A_PERSON = frozenset({Failure.HOST_KEY_CHANGED, Failure.PAIR_MISMATCH})


def next_step(failure: Failure) -> str:
    """Return what a person does about a failure."""
    return _NEXT_STEPS[failure]


def needs_a_person(failure: Failure) -> bool:
    """Return whether trying again unchanged is wrong, not only useless."""
    return failure in _FOR_A_PERSON


class DeploymentError(Refused):
    """An attempt failed at a step; the text is shown, and never holds a secret."""

    title = "A target could not be worked on"
    slug = "target"

    def __init__(self, failure: Failure, reason: str, *, step: str) -> None:
        super().__init__(without_keys(reason), next_step=next_step(failure))
        self.failure = failure
        self.step = step


class NotYet(Exception):
    """A target does it in its own time: nothing is wrong, and it is looked at again."""

    def __init__(self, reason: str, *, again: timedelta) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How often, and after which waits, a failed deployment is tried again; the last wait repeats."""

    waits: Sequence[timedelta]
    attempts: int

    def next_attempt(self, *, attempt: int, now: datetime) -> datetime | None:
        """Return when to try again after the given number of failed attempts, or None for never."""
        if attempt >= self.attempts:
            return None
        return now + self.waits[min(attempt, len(self.waits)) - 1]

    def next_repair(self, *, attempt: int, now: datetime) -> datetime:
        """Return when to try again to put things back: sooner at first, and for ever."""
        doublings = min(max(attempt, 1) - 1, 12)
        return now + min(timedelta(seconds=5 << doublings), self.waits[-1])


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is put in place: leaf and intermediates as DER, and the key that was checked to be the leaf's."""

    chain: tuple[bytes, ...]
    key_pem: bytes | None = field(repr=False)
    waiting: str | None = None
    """The order whose key waits on the target; then there is no `key_pem`."""
    previous: "Material | None" = None
    """What we put there before, for a target that can go back only with its key; None where that is not known."""

    @property
    def private_pem(self) -> bytes:
        """Return the key. Raises `DeploymentError` (key_not_made) where it is on the target."""
        if self.key_pem is None:
            reason = (
                "The key was made on the target for a file of its own, and here it is a part of another file."
            )
            raise DeploymentError(Failure.KEY_NOT_MADE, reason, step="stage")
        return self.key_pem

    @property
    def fingerprint(self) -> str:
        """Return the leaf's fingerprint."""
        return x509.fingerprint(self.chain[0])


def pair(chain: Sequence[bytes], private_key: bytes) -> Material:
    """Join a certificate and its private key (PEM or DER, PKCS#8).

    Servers do not check this for us: `nginx -t` accepts an EC certificate beside an RSA key, and
    then every handshake fails. Raises `DeploymentError` (pair_mismatch).
    """
    try:
        key = _load(private_key)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        same = x509.key_fingerprint(key.public_key()) == x509.key_fingerprint(
            x509.load(chain[0]).public_key()
        )
    except (ValueError, TypeError, Invalid):
        same = False
    if not same:
        raise DeploymentError(
            Failure.PAIR_MISMATCH, "The private key is not the certificate's.", step="compare keys"
        )
    return Material(chain=tuple(chain), key_pem=key_pem)


def _load(private_key: bytes) -> PrivateKeyTypes:
    if private_key.startswith(b"-----BEGIN"):
        return load_pem_private_key(private_key, None)
    return load_der_private_key(private_key, None)


_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def without_keys(text: str) -> str:
    """Return the text without private keys: what a program prints is not ours to trust."""
    return _KEY_BLOCK.sub("[private key]", text)
