"""Checks an exported trail line by line, asking nobody, and says of each fault where it is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.audit.chain import BEGINNING, digest_of
from shared.audit.signed import Kind, digest, opened
from shared.errors import Invalid
from shared.evidence import verify_signature

Claims = Mapping[str, Any]
MOST_FAULTS = 100
"""Faults that are told; where there are more, the rest follows from them."""


@dataclass(kw_only=True)
class Verdict:
    """What was found."""

    entries: int = 0
    first: int | None = None
    last: int = 0
    checkpoints: int = 0
    handovers: int = 0
    """How often the key that it is kept with was followed by another."""
    cosigners: set[str] = field(default_factory=set)
    let_go: int = 0
    """Entries of which only the tombstone is left."""
    after_checkpoint: int = 0
    """Entries after the last checkpoint: nobody has signed them but who has exported them."""
    faults: list[str] = field(default_factory=list)


class Verification:
    """Goes through an export."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey], *, owners: Mapping[str, str]) -> None:
        """`owners` are the services whose keys these are, by key id: all but the keeper must have co-signed."""
        self._keys = keys
        self._owners = owners
        self._head = self._checkpoint = BEGINNING
        self._keeper: str | None = None
        self._retired: set[str] = set()
        self._next = 1
        self._missing: list[str] = []
        self._sequences: dict[str, tuple[int, int, set[int]]] = {}
        self._lines = sha256()
        self._count = 0
        self.verdict = Verdict()

    def run(self, lines: Iterable[bytes]) -> Verdict:
        """Return the verdict on a whole export."""
        last = b""
        for line in lines:
            if last:
                self._take(last)
            last = line
        self._end(last)
        return self.verdict

    def _take(self, line: bytes) -> None:
        self._lines.update(line)
        self._count += 1
        try:
            document = json.loads(line)
            if "checkpoint" in document:
                self._take_checkpoint(document)
            elif "tombstone" in document:
                self._take_tombstone(document)
            elif "audit" not in document:
                self._take_entry(document, line.rstrip(b"\n"))
        except (ValueError, KeyError, TypeError) as error:
            self._fault(f"line {self._count} is no line of an audit trail ({type(error).__name__})")

    def _take_entry(self, entry: Claims, line: bytes) -> None:
        number = int(entry["number"])
        self._expect(number, what=f"entry {number}", previous=str(entry["previous"]))
        self._head, self._next = digest_of(line), number + 1
        self._note_sequence(str(entry["source"]), int(entry["sequence"]), number)
        verdict = self.verdict
        verdict.entries += 1
        verdict.first = number if verdict.first is None else verdict.first
        verdict.last, verdict.after_checkpoint = number, verdict.after_checkpoint + 1

    def _expect(self, number: int, *, what: str, previous: str) -> None:
        """Note a fault where this does not continue what came before."""
        if number > self._next:
            self._fault(f"entries {self._next} to {number - 1} are missing before {what}")
        elif number < self._next:
            self._fault(f"{what} is out of its place: {self._next} was to come")
        if previous != self._head:
            self._fault(
                f"{what} does not follow the one before: one of the two was changed, or one between taken"
            )

    def _note_sequence(self, source: str, sequence: int, number: int) -> None:
        low, high, seen = self._sequences.setdefault(source, (sequence, sequence, set()))
        if sequence in seen:
            self._fault(f"entry {number} has a number of {source} that another one has: {sequence}")
        seen.add(sequence)
        self._sequences[source] = (min(low, sequence), max(high, sequence), seen)

    def _take_checkpoint(self, document: Claims) -> None:
        token = str(document["checkpoint"])
        claims = self._opened(Kind.CHECKPOINT, token, what="a checkpoint")
        if claims is None:
            return
        what = f"checkpoint {claims['number']}"
        self._take_keeper(claims, what=what)
        if (claims["last"], claims["head"]) != (self.verdict.last, self._head):
            self._fault(f"{what} signs entry {claims['last']}, and that is not what stands before it")
        if claims["previous"] != self._checkpoint:
            self._fault(f"{what} does not follow the one before")
        self._flush_missing()
        self._checkpoint = digest(token)
        cosignatures = document.get("cosignatures", [])
        keeper = self._owners.get(str(claims["kid"]), str(claims["kid"]))
        self._missing = self._not_cosigned(cosignatures, keeper=keeper, what=what)
        self.verdict.checkpoints += 1
        self.verdict.after_checkpoint = 0

    def _take_keeper(self, claims: Claims, *, what: str) -> None:
        """Note a fault where another key signs than the one before has named its heir."""
        signer = str(claims["kid"])
        if self._keeper not in (None, signer):
            self._fault(f"{what} is signed with {signer}, and {self._keeper} is the trail's key by then")
        self._keeper = signer
        if "next_key" in claims:
            self._retired.add(signer)
            self._keeper = str(claims["next_key"]["kid"])
            self.verdict.handovers += 1

    def _refuse_retired(self, signer: str, *, what: str) -> None:
        if signer in self._retired:
            self._fault(f"{what} is signed with {signer}, which had been followed by another key by then")

    def _not_cosigned(self, tokens: Iterable[str], *, keeper: str, what: str) -> list[str]:
        signers = set()
        for token in tokens:
            claims = self._opened(Kind.COSIGNATURE, token, what=f"a co-signature of {what}")
            if claims is not None and claims["checkpoint"] == self._checkpoint:
                signers.add(self._owners.get(str(claims["kid"]), str(claims["kid"])))
            elif claims is not None:
                self._fault(f"{what} is not the one that was co-signed: it was made anew")
        known = set(self._owners.values())
        self.verdict.cosigners |= signers & known
        return [f"{what} is not co-signed by {owner}" for owner in sorted(known - signers - {keeper})]

    def _flush_missing(self) -> None:
        # The newest may still be on its way to those that co-sign.
        for fault in self._missing:
            self._fault(fault)
        self._missing = []

    def _take_tombstone(self, document: Claims) -> None:
        claims = self._opened(Kind.TOMBSTONE, str(document["tombstone"]), what="a tombstone")
        if claims is None:
            return
        self._refuse_retired(str(claims["kid"]), what=f"the tombstone of {claims['number']}")
        self._expect(
            int(claims["first"]), what=f"the tombstone of {claims['number']}", previous=claims["before"]
        )
        self._head, self._next = str(claims["head"]), int(claims["last"]) + 1
        self.verdict.last = int(claims["last"])
        self.verdict.let_go += int(claims["last"]) - int(claims["first"]) + 1

    def _opened(self, kind: Kind, token: str, *, what: str) -> dict[str, Any] | None:
        try:
            key_id, claims = opened(kind, token, self._keys)
        except Invalid as error:
            self._fault(f"{what} after entry {self.verdict.last}: {error.detail}")
            return None
        return {**claims, "kid": key_id}

    def _end(self, last: bytes) -> None:
        try:
            claims = verify_signature(last, self._keys)
        except Invalid:
            self._fault(
                "its last line is no signature by one of the keys: it was cut off, or nobody has signed it"
            )
            return
        self._refuse_retired(str(claims["kid"]), what="its last line")
        if (claims.get("lines"), claims.get("sha256")) != (self._count, self._lines.hexdigest()):
            self._fault("a line was changed, moved, added or taken away since it was exported")
        if claims.get("head") not in (None, self._head):
            self._fault(
                f"the trail went on to entry {claims.get('last')} when it was exported: its end is missing"
            )
        for source, (low, high, seen) in sorted(self._sequences.items()):
            if missing := high - low + 1 - len(seen):
                self._fault(
                    f"{missing} changes are missing that {source} has recorded, between {low} and {high}"
                )

    def _fault(self, text: str) -> None:
        if len(self.verdict.faults) < MOST_FAULTS:
            self.verdict.faults.append(text)
