"""A real nginx with weak settings, looked at in depth: what discovery tells of it is judged, and judged anew when mended."""

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from services.discovery.actions.sightings import keep
from services.discovery.domain.targets import Asked
from services.discovery.service import SCHEMA as DISCOVERY
from services.inventory.service import SCHEMA
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event
from shared.events.discovery import CertificateFound, Place
from shared.events.inventory import CertificateCompliant, CertificateNoncompliant
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.discovery.scanner.looking import look
from tests.inventory.assessment.court import STRICT, Court
from tests.inventory.ledger import Ledger
from tests.servers.nginx import Nginx
from tests.servers.tls import CertificateAuthority

WEAK = """
ssl_protocols TLSv1 TLSv1.1 TLSv1.2;
ssl_ciphers "ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA:NULL-SHA:@SECLEVEL=0";
"""
MENDED = """
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384";
ssl_ecdh_curve X25519:prime256v1:secp384r1;
add_header Strict-Transport-Security "max-age=63072000; includeSubDomains" always;
"""


async def test_a_weak_server_fails_until_it_is_mended(
    tmp_path: Path, bus: SqliteBus, lab_ca: CertificateAuthority
) -> None:
    discovery = Database(f"sqlite:///{tmp_path}/discovery.db", source="discovery")
    inventory = Database(f"sqlite:///{tmp_path}/inventory.db", source="inventory")
    await DISCOVERY.upgrade(discovery)
    await SCHEMA.upgrade(inventory)
    court = Court(Ledger(inventory, bus, now=utc_now()))
    await court.switch(STRICT)
    nginx = Nginx(tmp_path / "nginx", ca=lab_ca)
    now = utc_now()
    issued = lab_ca.issue("shop.test", kind="rsa", not_before=now, not_after=now + timedelta(days=90))
    nginx.add_site("shop.test", issued=issued)
    where = Place(address="127.0.0.1", port=nginx.port, server_name="shop.test")
    try:
        await _looked_at(nginx, WEAK, discovery, court)
        found = await court.of(where)
        assert (found.row.grade, found.details["protocol"]) == ("F", 95.0)
        assert {each["code"]: each["evidence"] for each in found.details["reasons"]} == {
            "old-versions": "TLSv1.1, TLSv1 are offered",
            "beast": "CBC with TLSv1",
            "insecure-suites": "TLS_RSA_WITH_NULL_SHA",
            "no-tls-1.3": "TLSv1.3 is not offered",
            "hsts": "HSTS is not in force",
        }
        looked_for = {"heartbleed", "ccs-injection", "ticketbleed", "robot", "hsts"}
        assert looked_for.isdisjoint(found.details["not_checked"])
        [said] = await court.ledger.said(CertificateNoncompliant)
        assert (said.fingerprint, said.places) == (issued.fingerprint, [where])
        evidence = {rule.rule: rule.evidence for rule in said.rules}
        assert evidence.keys() >= {"versions", "tls-1.3", "suites"}
        assert evidence["versions"] == "offers TLSv1.1, TLSv1"

        await _looked_at(nginx, MENDED, discovery, court)
        found = await court.of(where)
        assert (found.row.grade, found.details["reasons"]) == ("A+", [])
        assert await court.verdicts(where) == {STRICT: "pass"}
        [over] = await court.ledger.said(CertificateCompliant)
        assert (over.policy, over.fingerprint) == (STRICT, issued.fingerprint)
    finally:
        nginx.stop()
        await discovery.close()
        await inventory.close()


async def _looked_at(nginx: Nginx, settings: str, discovery: Database, court: Court) -> None:
    """Start the server with these settings, look at it, and let inventory hear what discovery says."""
    nginx.stop()
    nginx.settings = settings
    nginx.start()
    sighting = look(Asked(address="127.0.0.1", port=nginx.port, server_name="shop.test"))
    async with discovery.transaction() as tx:
        await keep(tx, [sighting], now=utc_now(), misses_until_lost=1, scan_id="scan")
    async with discovery.read() as session:
        last = await session.scalar(sa.select(OUTBOX.c.body).order_by(OUTBOX.c.id.desc()).limit(1))
    court.ledger.now = utc_now()
    await court.hear(Event.parse(last or b"", CertificateFound))
