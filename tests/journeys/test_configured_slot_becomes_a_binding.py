"""What a host's configuration uses is proposed, accepted with one call, adopted with another, renewed, and seen on the wire."""

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, found
from tests.journeys.platforms import accepted
from tests.journeys.test_configured_and_served_are_side_by_side import source
from tests.journeys.test_expiring_certificate_is_renewed_and_deployed import builtin
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = "shop.example.test"


async def test_a_slot_that_was_read_is_bound_with_one_call_and_serves_what_is_renewed(
    start_platform: StartPlatform, estate: Estate, lab_ca: CertificateAuthority
) -> None:
    platform = start_platform("embedded")
    site = estate.expiring_site(NAME, ca=lab_ca)
    old = site.issued.fingerprint
    with platform.client() as client:
        builtin(client)
        read = accepted(client.post("/discovery/v1/sources", json=source(estate.sshd, estate.nginx)))["id"]
        accepted(client.post(f"/discovery/v1/sources/{read}/runs"))
        proposal = found(client, "/provisioner/v1/proposals", fingerprint=old, state="open")
        assert (proposal["is_ready"], proposal["products"]) == (True, ["nginx"])
        assert (proposal["certificate_path"], proposal["key_path"]) == (str(site.certificate), str(site.key))
        path = f"/provisioner/v1/proposals/{proposal['id']}/accept"
        refused = client.post(path)
        assert (refused.status_code, "POST /v1/targets" in refused.text) == (409, True), refused.text

        accepted(client.post("/provisioner/v1/targets", json=estate.target(site)))
        binding = accepted(client.post(path))
        served_at = {"address": site.address, "port": site.port, "server_name": NAME, "starttls": None}
        assert binding["endpoints"] == [served_at]
        found(client, "/provisioner/v1/proposals", id=proposal["id"], state="bound", binding_id=binding["id"])

        # Adopted in one call: lineage, names and profile are as proposed.
        lineage = binding["lineage_id"]
        wish = accepted(client.get(f"/renewal/v1/adoptions/{old}"))
        assert (wish["lineage_id"], wish["names"], wish["profile"]) == (lineage, [NAME], "web")
        adopted = accepted(client.post("/renewal/v1/adoptions", json={"fingerprint": old}))
        assert (adopted["enrolment"]["lineage_id"], adopted["proposal"]["owner"]) == (lineage, None)
        deployment = found(client, "/provisioner/v1/deployments", lineage_id=lineage, state="deployed")
        now = fingerprint(site.served())
        assert now == deployment["fingerprint"] != old
        assert accepted(client.get(f"/inventory/v1/lineages/{lineage}"))["is_managed"]
