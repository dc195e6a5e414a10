"""A certificate that was found is renewed by itself after one call, on terms that are proposed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.renewal.actions.adoptions import Adoptions, Wish
from services.renewal.connectors.inventory import Inventory
from services.renewal.domain.adoption import Facts, Offer, fits, like
from services.renewal.domain.keys import KeyType
from shared.access import Principal
from shared.errors import Conflict, Forbidden, NotFound, Unavailable
from shared.events.renewal import CertificateRenewed, LineageEnrolled, LineageWithdrawn
from shared.x509 import read
from tests.renewal.workshop import CALLER, OLD, Workshop

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHOP = Facts(
    names=("shop.example.test",),
    issuer="CN=R3",
    key_type="rsa",
    key_bits=2048,
    lifetime=timedelta(days=90),
)


def offer(name: str, *allowed: str, **said: Any) -> Offer:
    values = {"key_type": KeyType.ECDSA_P256, "lifetime": timedelta(days=90), "authority": name, **said}
    return Offer(profile=name, allowed_names=allowed or ("*.example.test",), **values)


def test_names_come_before_the_issuer_and_that_before_the_key() -> None:
    offers = [
        offer("other names", "*.example.com", issuers=frozenset({"CN=R3"})),
        offer("b"),
        offer("a"),
        offer("same key", key_type=KeyType.RSA_2048),
        offer("same issuer", issuers=frozenset({"CN=R3"})),
    ]
    found = fits(SHOP, offers, now=NOW)
    assert [fit.offer.profile for fit in found] == ["same issuer", "same key", "a", "b", "other names"]
    assert "'shop.example.test' is not allowed" in (found[-1].obstacle or "")


@pytest.mark.parametrize(
    ("key_type", "bits", "ours"),
    [
        ("rsa", 1024, KeyType.RSA_2048),
        ("rsa", 4096, KeyType.RSA_3072),
        ("ecdsa-p384", 384, KeyType.ECDSA_P384),
        ("ed25519", 256, KeyType.ED25519),
        ("dsa", 1024, None),
    ],
)
def test_the_new_key_is_like_the_old_one_where_we_make_such(
    key_type: str, bits: int, ours: KeyType | None
) -> None:
    assert like(key_type, bits) == ours


def known(**changes: Any) -> dict[str, Any]:
    return {
        "fingerprint": OLD,
        "lineage_id": "lineage",
        "names": ["shop.example.test"],
        "issuer": "CN=R3",
        "not_before": "2026-11-01T00:00:00Z",
        "not_after": "2027-01-30T00:00:00Z",
        "key_type": "rsa",
        "key_bits": 2048,
        "finding": None,
        "is_ca": False,
        "is_current": True,
        "owner": {"id": "pay", "name": "Payments"},
        "groups": ["shop"],
        **changes,
    }


def adoptions(shop: Workshop, answer: httpx.Response) -> Adoptions:
    transport = httpx.MockTransport(lambda _request: answer)
    client = httpx.AsyncClient(transport=transport, base_url="http://inventory")
    return Adoptions(
        shop.database, inventory=Inventory(client), profiles=shop.profiles, enrolments=shop.enrolments
    )


async def test_what_was_found_is_adopted_in_one_call_and_renewed_when_it_is_due(shop: Workshop) -> None:
    verbs = adoptions(shop, httpx.Response(200, json=known()))
    proposal, enrolment, profile = await verbs.adopt(OLD, Wish(), caller=CALLER, now=shop.time())
    assert (enrolment.lineage_id, profile, proposal.enrolled) == ("lineage", "web", None)
    assert proposal.known.owner is not None
    assert (await verbs.propose(OLD, caller=CALLER, now=shop.time())).enrolled is not None
    assert await shop.all() == [], "it is not due"

    await shop.expires()
    await shop.work_off()
    [renewed] = await shop.events(CertificateRenewed)
    assert (renewed.lineage_id, renewed.old_fingerprint) == ("lineage", OLD)
    # From then on it is known as whom the authority issues.
    told = known(issuer=read(renewed.chain[0]).issuer)
    best = (
        await adoptions(shop, httpx.Response(200, json=told)).propose(OLD, caller=CALLER, now=shop.time())
    ).best
    assert best is not None
    assert best.is_same_issuer
    assert not proposal.fits[0].is_same_issuer

    await shop.enrolments.withdraw("lineage", caller=CALLER, now=shop.time())
    [enrolled] = await shop.events(LineageEnrolled)
    [withdrawn] = await shop.events(LineageWithdrawn)
    assert (enrolled.profile, withdrawn.lineage_id) == ("web", "lineage")


async def test_where_no_profile_fits_it_says_so_and_makes_one_of_the_authority_that_is_named(
    small_shop: Workshop,
) -> None:
    verbs = adoptions(small_shop, httpx.Response(200, json=known(names=["pay.other.test", "other.test"])))
    with pytest.raises(Conflict, match="No profile allows its names") as refused:
        await verbs.adopt(OLD, Wish(), caller=CALLER, now=small_shop.time())
    assert "authority" in refused.value.next_step
    may_not = Principal(id="sam", name="sam", permissions=frozenset({"enrolments:write"}))
    with pytest.raises(Forbidden):
        await verbs.adopt(OLD, Wish(authority="house-ca"), caller=may_not, now=small_shop.time())
    wish = Wish(authority="house-ca")
    _, _, profile = await verbs.adopt(OLD, wish, caller=CALLER, now=small_shop.time())
    best = (await verbs.propose(OLD, caller=CALLER, now=small_shop.time())).best
    assert best is not None
    assert (best.offer.profile, best.offer.key_type, best.offer.lifetime) == (
        profile,
        KeyType.RSA_2048,
        timedelta(days=90),
    )
    assert best.offer.allowed_names == ["pay.other.test", "other.test"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json=known(is_ca=True)), Conflict),
        (httpx.Response(200, json=known(names=[])), Conflict),
        (httpx.Response(200, json=known(finding="not DER", not_after=None)), Conflict),
        (httpx.Response(404), NotFound),
        (httpx.Response(200, json=known(groups=["other"])), NotFound),
        (httpx.Response(503), Unavailable),
    ],
)
async def test_what_cannot_be_adopted_says_why(
    small_shop: Workshop, answer: httpx.Response, error: type[Exception]
) -> None:
    scoped = Principal(id="sam", name="sam", roles=frozenset({"operator"}), groups=frozenset({"shop"}))
    with pytest.raises(error):
        await adoptions(small_shop, answer).propose(OLD, caller=scoped, now=small_shop.time())
