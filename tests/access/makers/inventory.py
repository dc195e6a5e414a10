"""Makes what the routes of inventory are about."""

import itertools
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.associating import Associating
from services.inventory.store.assessment_tables import ExceptionRow
from services.inventory.store.organised import GroupMember
from services.inventory.store.places import place_id
from services.inventory.store.tables import RevocationRow
from shared.clock import utc_now
from shared.events.discovery import CertificateFound, Held, HeldKey, Place
from shared.events.renewal import CertificateRenewed
from shared.ids import new_id
from tests.access.estate import Estate
from tests.access.made import Made, Maker, Reference
from tests.servers.tls import CertificateAuthority, Issued, fingerprint

HOUR = timedelta(hours=1)
_CA = CertificateAuthority("Estate CA")
_NUMBERS = itertools.count(1)


async def certificate(estate: Estate, group: str) -> Made:
    """Make a certificate of the group: found at an endpoint and in a store, and about to be replaced."""
    name = f"{group}-{next(_NUMBERS)}.estate.test"
    now = utc_now()
    old, new = (_CA.issue(name, not_before=now - HOUR, not_after=now + 2160 * HOUR) for _ in range(2))
    address = f"192.0.2.{next(_NUMBERS)}"
    endpoint = Place(address=address, port=443, server_name=name)
    held = Held(format="pem", key=HeldKey(path="/etc/tls/key.pem", is_match=True), uses=[])
    store = Place(kind="store", address=address, path=f"/etc/tls/{name}.pem")
    for place, how in ((endpoint, None), (store, held)):
        await estate.hear("inventory", "discovery", _found(old, place, held=how))
    async with estate.services["inventory"].database.transaction() as tx:
        members = [{"group_id": group, "fingerprint": each.fingerprint} for each in (old, new)]
        await tx.session.execute(sa.insert(GroupMember), members)
    path = f"/v1/certificates/{old.fingerprint}"
    found = (await estate.ask("inventory", "GET", path, permissions=["certificates:read"])).json()
    await estate.hear("inventory", "renewal", _renewed(old, new, lineage_id=found["lineage_id"]))
    while await Assessing(estate.services["inventory"].database, timelines=()).judge_due(utc_now()):
        pass
    return Made(
        ids={
            "fingerprint": old.fingerprint,
            "lineage_id": found["lineage_id"],
            "place_key": endpoint.key,
            "place_id": place_id(endpoint.key),
        },
        bodies={"PATCH /v1/certificates/{fingerprint}": {"add_tags": ["checked"]}},
        traces=(found["id"], name, store.key, found["serial"], new.fingerprint),
    )


def _found(issued: Issued, place: Place, *, held: Held | None) -> CertificateFound:
    return CertificateFound(
        place=place, fingerprint=issued.fingerprint, chain=_chain(issued), observed_at=utc_now(), held=held
    )


def _renewed(old: Issued, new: Issued, *, lineage_id: str) -> CertificateRenewed:
    return CertificateRenewed(
        lineage_id=lineage_id,
        order_id=new_id(),
        old_fingerprint=old.fingerprint,
        fingerprint=new.fingerprint,
        chain=_chain(new),
        names=[],
        not_before=new.certificate.not_valid_before_utc,
        not_after=new.certificate.not_valid_after_utc,
        authority="house-ca",
    )


def _chain(issued: Issued) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers)]


async def team_group(estate: Estate, group: str) -> Made:
    """Make the group itself, by hand, and put a certificate into it."""
    body = {"id": group, "name": f"The group {group}"}
    path = "/v1/groups"
    made = await estate.ask("inventory", "POST", path, permissions=["groups:write"], body=body)
    assert made.status_code in (201, 409), made.text
    member = await certificate(estate, group)
    return Made(ids={"group_id": group, "fingerprint": member.ids["fingerprint"]})


async def edit(estate: Estate, group: str) -> Made:
    """Make an edit of many certificates, as somebody of the group."""
    one = await certificate(estate, group)
    body = {"fingerprints": [one.ids["fingerprint"]], "add_tags": ["checked"]}
    path = "/v1/certificates/bulk"
    made = await estate.make("inventory", path, body, group=group, permission="certificates:write")
    return Made(ids={"edit_id": made["id"]})


async def key(estate: Estate, group: str) -> Made:
    """Make a key of the group: that of a certificate."""
    made = await certificate(estate, group)
    path = f"/v1/certificates/{made.ids['fingerprint']}"
    shown = (await estate.ask("inventory", "GET", path, permissions=["certificates:read"])).json()
    return Made(ids={"fingerprint": shown["key_fingerprint"]}, traces=made.traces)


async def device(estate: Estate, group: str) -> Made:
    """Make a host of the group: that of a certificate's places."""
    made = await certificate(estate, group)
    address = made.ids["place_key"].removeprefix("tls://").partition(":")[0]
    return Made(ids={"address": address}, traces=made.traces)


async def issuer(estate: Estate, group: str) -> Made:
    """Make an authority that only a certificate of the group is under."""
    authority = _CA.intermediate(f"Issuer {next(_NUMBERS)} of {group}")
    issued = authority.issue(f"*.{next(_NUMBERS)}.estate.test")
    place = Place(address=f"192.0.2.{next(_NUMBERS)}", port=443)
    await estate.hear("inventory", "discovery", _found(issued, place, held=None))
    database = estate.services["inventory"].database
    async with database.transaction() as tx:
        await tx.session.execute(
            sa.insert(GroupMember), [{"group_id": group, "fingerprint": issued.fingerprint}]
        )
    while await Associating(database).associate_due(utc_now()):
        pass
    return Made(ids={"fingerprint": fingerprint(authority.certificate)}, traces=(issued.fingerprint,))


async def principal(estate: Estate, group: str) -> Made:
    """Make a principal of the group, and an API key of it."""
    name = f"{group}-{new_id()}"
    body = {"name": name, "kind": "machine", "groups": [group]}
    made = await estate.make("inventory", "/v1/principals", body, group=group, permission="principals:admin")
    key = await estate.make(
        "inventory",
        f"/v1/principals/{made['id']}/api-keys",
        {"days": 1},
        group=group,
        permission="principals:admin",
    )
    rights = {"roles": [], "permissions": [], "groups": [group]}
    return Made(
        ids={"principal_id": made["id"], "key_id": key["id"]},
        bodies={"PUT /v1/principals/{principal_id}/rights": rights},
        traces=(name,),
    )


async def exception(estate: Estate, group: str) -> Made:
    """Make an exception that is asked for, for a certificate of the group."""
    for_it = await certificate(estate, group)
    body = _exception("certificate", for_it.ids["fingerprint"])
    made = await estate.make("inventory", "/v1/exceptions", body, group=group, permission="exceptions:write")
    async with estate.services["inventory"].database.transaction() as tx:
        # Somebody else has asked for it than who will decide.
        await tx.session.execute(sa.update(ExceptionRow).values(requested_by="somebody"))
    return Made(ids={"exception_id": made["id"]}, traces=(for_it.ids["fingerprint"],))


def _exception(kind: str, value: str) -> dict[str, Any]:
    return {
        "policy_id": "cnsa-2.0",
        "rule_id": "suites",
        "scope": {"kind": kind, "value": value},
        "reason": "It is replaced this year.",
        "ends_at": (utc_now() + 24 * HOUR).isoformat(),
    }


async def asked_about(estate: Estate, group: str) -> Made:
    """Make a certificate of which an authority can be asked whether it is revoked."""
    made = await certificate(estate, group)
    async with estate.services["inventory"].database.transaction() as tx:
        tx.session.add(
            RevocationRow(fingerprint=made.ids["fingerprint"], ocsp_url="http://ocsp.estate.test/")
        )
    return made


MAKERS: dict[tuple[str, str], Maker] = {
    ("inventory", "/v1/certificates/{fingerprint}/revocation"): asked_about,
    ("inventory", "/v1/certificates/{fingerprint}"): certificate,
    ("inventory", "/v1/keys/{fingerprint}"): key,
    ("inventory", "/v1/wildcards/{fingerprint}"): certificate,
    ("inventory", "/v1/devices/{address}"): device,
    ("inventory", "/v1/issuers/{fingerprint}"): issuer,
    ("inventory", "/v1/lineages/{lineage_id}"): certificate,
    ("inventory", "/v1/groups/{group_id}"): team_group,
    ("inventory", "/v1/edits/{edit_id}"): edit,
    ("inventory", "/v1/principals/{principal_id}"): principal,
    ("inventory", "/v1/api-keys/{key_id}"): principal,
    ("inventory", "/v1/places/{place_id}"): certificate,
    ("inventory", "/v1/exceptions/{exception_id}"): exception,
}
_OF_A_PERSON = "belongs to who made it, and to nobody's group: tests/inventory/test_searches.py"
_FOR_ALL = "is known to all who may read at all: it says how certificates are organised, and is in no group"
NOT_OBJECTS: dict[tuple[str, str], str] = {
    ("inventory", "GET /v1/saved-queries/{query_id}"): _OF_A_PERSON,
    ("inventory", "GET /v1/arrangements/{name}"): _OF_A_PERSON,
    ("inventory", "PUT /v1/arrangements/{name}"): _OF_A_PERSON,
    ("inventory", "PATCH /v1/saved-queries/{query_id}"): _OF_A_PERSON,
    ("inventory", "DELETE /v1/saved-queries/{query_id}"): _OF_A_PERSON,
    ("inventory", "GET /v1/teams/{team_id}"): _FOR_ALL,
    ("inventory", "GET /v1/fields/{name}"): _FOR_ALL,
    (
        "inventory",
        "GET /v1/policies/{policy_id}",
    ): "what is asked of all servers is no secret to whose servers they are",
}
_TO_LINEAGE = Reference(to="/v1/lineages/{lineage_id}")
_TO_CERTIFICATE = Reference(to="/v1/certificates/{fingerprint}")
_TO_KEY = Reference(to="/v1/keys/{fingerprint}", id="fingerprint")
REFERENCES: dict[tuple[str, str, str], Reference] = {
    ("inventory", "GET /v1/certificates", "query.lineage_id"): _TO_LINEAGE,
    ("inventory", "GET /v1/certificates/count", "query.lineage_id"): _TO_LINEAGE,
    ("inventory", "GET /v1/certificates/facets", "query.lineage_id"): _TO_LINEAGE,
    ("inventory", "GET /v1/certificates/export", "query.lineage_id"): _TO_LINEAGE,
    ("inventory", "POST /v1/certificates/bulk", "body.fingerprints"): Reference(
        to="/v1/certificates/{fingerprint}",
        body=lambda named: {"fingerprints": [named], "add_tags": ["checked"], "dry_run": True},
    ),
    ("inventory", "GET /v1/principal-names", "query.id"): Reference(to="/v1/principals/{principal_id}"),
    ("inventory", "GET /v1/certificates", "query.key_fingerprint"): _TO_KEY,
    ("inventory", "GET /v1/certificates/count", "query.key_fingerprint"): _TO_KEY,
    ("inventory", "GET /v1/certificates/facets", "query.key_fingerprint"): _TO_KEY,
    ("inventory", "GET /v1/certificates/export", "query.key_fingerprint"): _TO_KEY,
    ("inventory", "GET /v1/replacements", "query.lineage_id"): _TO_LINEAGE,
    ("inventory", "GET /v1/places/history", "query.key"): Reference(
        to="/v1/certificates/{fingerprint}", id="place_key"
    ),
    ("inventory", "GET /v1/places", "query.fingerprint"): _TO_CERTIFICATE,
    ("inventory", "GET /v1/holdings", "query.fingerprint"): _TO_CERTIFICATE,
    ("inventory", "GET /v1/assessments", "query.fingerprint"): _TO_CERTIFICATE,
}
_ONLY_OWN = "others than the caller's are refused: tests/inventory/test_organising.py"
_POLICY = "policies are of no group, and everybody may read them"
_OWN_GROUPS = "an id that is only compared with the groups of the caller: see tests/inventory/test_rights.py"
NOT_REFERENCES: dict[tuple[str, str, str], str] = {
    (
        "inventory",
        "PUT /v1/arrangements/{name}",
        "body.cards[].id",
    ): "a card of a page, which whoever shows the page names; nothing is looked up by it",
    ("inventory", "POST /v1/exceptions", "body.policy_id"): _POLICY,
    ("inventory", "POST /v1/exceptions", "body.rule_id"): _POLICY,
    ("inventory", "POST /v1/principals", "body.groups"): _OWN_GROUPS,
    ("inventory", "PUT /v1/principals/{principal_id}/rights", "body.groups"): _OWN_GROUPS,
    ("inventory", "PATCH /v1/certificates/{fingerprint}", "body.add_to_groups"): _ONLY_OWN,
    ("inventory", "PATCH /v1/certificates/{fingerprint}", "body.remove_from_groups"): _ONLY_OWN,
    ("inventory", "POST /v1/certificates/bulk", "body.add_to_groups"): _ONLY_OWN,
    ("inventory", "POST /v1/certificates/bulk", "body.remove_from_groups"): _ONLY_OWN,
}
