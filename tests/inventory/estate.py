"""Five certificates, two authorities and six places that differ in all that can be asked, as rows that ingestion would leave."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.inventory.domain.certificates import reversed_name
from services.inventory.store.association_tables import AuthorityRow, IssuedUnder
from services.inventory.store.tables import (
    Certificate,
    CertificateName,
    FlawRow,
    Lineage,
    PlaceRow,
    Replacement,
    Sighting,
)
from shared.store import Database
from tests.inventory.ledger import DAY, HOUR, NOON


@dataclass(kw_only=True)
class Estate:
    """Rows as ingestion would leave them, each certificate called by one letter."""

    rows: list[Any] = field(default_factory=list)

    def certificate(self, letter: str, *, names: tuple[str, ...] = (), **facts: Any) -> None:
        usual: dict[str, Any] = {
            "serial": letter,
            "subject": f"CN={letter}.example.com",
            "issuer": "CN=House CA",
            "not_before": NOON - 30 * DAY,
            "not_after": NOON + 60 * DAY,
            "key_type": "rsa",
            "key_bits": 2048,
            "key_fingerprint": letter * 64,
            "signature_algorithm": "sha256WithRSAEncryption",
        }
        if "finding" in facts:
            usual = {}
        row = Certificate(
            fingerprint=letter * 64,
            id=f"id-{letter}",
            lineage_id="lineage",
            names=list(names),
            chain=[],
            first_known_at=NOON - HOUR,
            **{**usual, **facts},
        )
        self.rows.append(row)
        self.rows += [
            CertificateName(fingerprint=letter * 64, name=name, backwards=reversed_name(name))
            for name in names
        ]

    def authority(self, letter: str, *, above: str, not_after: datetime, **facts: Any) -> None:
        """Add an authority that was served above certificates."""
        ends = {row.fingerprint: row.not_after for row in self.rows if isinstance(row, Certificate)}
        under = [
            IssuedUnder(authority=letter * 64, fingerprint=each * 64, ends=ends[each * 64], is_direct=True)
            for each in above
        ]
        outliving = sum(each.ends is not None and each.ends > not_after for each in under)
        self.rows.append(
            AuthorityRow(
                fingerprint=letter * 64,
                subject=f"CN={letter}",
                not_after=not_after,
                first_known_at=NOON - HOUR,
                leaves=len(under),
                outliving=outliving,
                **facts,
            )
        )
        self.rows += under

    def place(self, letter: str | None, *, address: str, flaws: tuple[str, ...] = (), **facts: Any) -> None:
        place_id = f"place-{len(self.rows)}"
        usual: dict[str, Any] = {"kind": "endpoint", "key": place_id}
        self.rows.append(PlaceRow(id=place_id, address=address, **{**usual, **facts}))
        fingerprint = letter and letter * 64
        self.rows.append(
            Sighting(place_id=place_id, fingerprint=fingerprint, first_seen=NOON - DAY, last_seen=NOON - HOUR)
        )
        self.rows += [FlawRow(place_id=place_id, flaw=flaw, since=NOON) for flaw in flaws]


def estate() -> Estate:
    made = Estate(rows=[Lineage(id="lineage", title="shop", created_at=NOON)])
    made.certificate("a", names=("example.com", "www.example.com"), is_current=True, urgency="warning")
    made.certificate(
        "b",
        names=("*.example.com",),
        key_type="ecdsa-p256",
        key_bits=256,
        not_after=NOON + 10 * DAY,
        is_current=True,
        urgency="critical",
        signature_algorithm="ecdsa-with-SHA256",
    )
    made.certificate(
        "c",
        names=("shop.test", "192.0.2.7", "100%_sure.test"),
        key_bits=1024,
        not_after=NOON - DAY,
        issuer="CN=Other CA",
        is_from_renewal=True,
    )
    made.certificate("d", subject="", is_ca=True, is_self_issued=True, not_before=NOON - 3650 * DAY)
    made.certificate("e", finding="The bytes are no certificate.")
    found = {"rule": "pkix.made_up", "severity": "error", "evidence": "serialNumber: -1"}
    made.authority("f", above="ab", not_after=NOON + 40 * DAY, findings=[found])
    made.authority("9", above="bc", not_after=NOON + 3650 * DAY)
    made.place("a", address="192.0.2.1", port=443, server_name="www.example.com")
    made.place("a", address="192.0.2.2", port=8443)
    made.place("b", address="192.0.2.1", port=8443, flaws=("not-served", "unused"))
    made.place("b", address="web-1", kind="store", path="/etc/tls/b.pem")
    made.place("c", address="192.0.2.3", port=25, starttls="smtp")
    made.place(None, address="192.0.2.9", port=443)
    gone = FlawRow(place_id=made.rows[-2].id, flaw="unused", since=NOON - DAY, ended_at=NOON)
    replacement = Replacement(
        id="r",
        lineage_id="lineage",
        old_fingerprint="c" * 64,
        fingerprint="a" * 64,
        state="stale",
        opened_at=NOON,
        stale_places=[],
    )
    made.rows += [gone, replacement]
    return made


async def fill(database: Database) -> None:
    rows = estate().rows
    async with database.transaction() as tx:
        for kind in (
            Lineage,
            Certificate,
            CertificateName,
            AuthorityRow,
            IssuedUnder,
            PlaceRow,
            Sighting,
            FlawRow,
            Replacement,
        ):
            tx.session.add_all([row for row in rows if type(row) is kind])
            await tx.session.flush()
