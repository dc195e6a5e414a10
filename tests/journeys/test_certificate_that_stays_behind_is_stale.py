"""A renewed certificate is in place, but somewhere the old one is still served: that must be seen."""

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, found, known, scan
from tests.journeys.platforms import accepted, items, until
from tests.journeys.test_expiring_certificate_is_renewed_and_deployed import builtin
from tests.servers.nginx import StartNginx
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = "shop.example.test"


async def test_the_place_left_behind_is_named_and_the_alert_ends_when_it_is_put_right(
    start_platform: StartPlatform, estate: Estate, start_nginx: StartNginx, lab_ca: CertificateAuthority
) -> None:
    platform = start_platform("embedded")
    bound = estate.expiring_site(NAME, ca=lab_ca)
    forgotten_host = start_nginx("other.example.test")
    forgotten = forgotten_host.add_site(NAME, issued=bound.issued)
    with platform.client() as client:
        estate.tell_notifier(client)
        builtin(client)
        scan(client, bound, forgotten)
        lineage_id = known(client, bound)["lineage_id"]
        estate.bind(client, bound, lineage_id=lineage_id)
        accepted(client.put(f"/renewal/v1/enrolments/{lineage_id}", json={"profile": "web"}))
        found(client, "/provisioner/v1/deployments", lineage_id=lineage_id, state="deployed")

        stale = found(client, "/notifier/v1/alerts", lineage_id=lineage_id, problem="stale", state="open")
        assert str(forgotten.port) in str(stale)
        assert str(bound.port) not in str(stale["details"])
        assert items(client, "/inventory/v1/replacements", lineage_id=lineage_id)[0]["state"] == "stale"
        (expiring,) = items(client, "/notifier/v1/alerts", lineage_id=lineage_id, problem="expiring")
        assert expiring["state"] == "open", "deployed somewhere is not replaced everywhere"

        # Somebody puts it right by hand; nobody tells the platform.
        forgotten.certificate.write_bytes(bound.certificate.read_bytes())
        forgotten.key.write_bytes(bound.key.read_bytes())
        forgotten_host.reload()
        for alert in (stale, expiring):
            path = f"/notifier/v1/alerts/{alert['id']}"
            until(
                lambda path=path: accepted(client.get(path))["state"] == "resolved",
                what=f"the end of the alert {alert['problem']}",
                within=90,
            )
        assert fingerprint(forgotten.served()) == fingerprint(bound.served())
