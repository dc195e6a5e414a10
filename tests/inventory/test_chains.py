"""Chains as they are served: what is wrong with them, and what is found out where a whole inventory judges them."""

from collections.abc import Sequence
from datetime import datetime

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.chains import Chains
from services.inventory.connectors.trust_stores import read_trust_stores
from services.inventory.domain.chains.verdicts import OWN, PUBLIC, ChainState, Roots, Verdict, judge
from services.inventory.store import judgements
from services.inventory.store.tables import ServedChainRow
from shared.errors import Invalid
from shared.outbound import Policy
from shared.revocation.published import Authorities
from shared.store import Database
from tests.builders import LOOPBACK
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, found, place
from tests.servers.tls import CertificateAuthority, Issued, _builder, _name, fingerprint
from tests.servers.webhook import Answer, StartWebhook

ROOT = CertificateAuthority("Root", now=NOON)
MIDDLE = ROOT.intermediate("Middle")
STRANGER = CertificateAuthority("Stranger", now=NOON)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


LEAF = MIDDLE.issue("shop.test", not_after=NOON + 30 * DAY)
TOP, MID, LOW, OTHER = (der(each.certificate) for each in (ROOT, MIDDLE, LEAF, STRANGER))


def judged(
    *served: bytes, known: Sequence[bytes] = (), store: str = OWN, root: bytes = TOP, now: datetime = NOON
) -> Verdict:
    return judge(served, roots=Roots({store: [root]}), known=known, now=now)


def states(verdict: Verdict) -> list[str]:
    return [str(each.state) for each in verdict.problems]


def below(parent: CertificateAuthority, name: str, *extensions: x509.ExtensionType) -> CertificateAuthority:
    """An authority whose certificate has these extensions, all critical."""
    made = CertificateAuthority(name, parent=parent, now=NOON)
    builder = _builder(subject=_name(name), key=made.key, start=NOON - DAY, end=NOON + 900 * DAY)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    made.certificate = parent._sign(builder)
    return made


IS_CA = x509.BasicConstraints(ca=True, path_length=None)


@pytest.mark.parametrize(
    ("served", "known", "expected"),
    [
        ([LOW, MID], [], []),
        ([LOW, MID, TOP], [], []),
        ([LOW], [MID], ["incomplete"]),
        ([LOW], [], ["incomplete"]),
        ([LOW, TOP, MID], [], ["wrong-order"]),
        ([LOW, MID, OTHER], [], ["extra"]),
        ([LOW, LOW, MID], [], ["extra"]),
        ([LOW, MID, MID], [], ["extra"]),
        ([OTHER], [], ["self-signed"]),
        ([TOP], [], []),
        ([b"junk"], [], ["unreadable"]),
        ([], [], ["unreadable"]),
        ([LOW, b"junk", MID], [], []),
    ],
)
def test_what_is_wrong_with_a_chain_is_said(served: list[bytes], known: list[bytes], expected: list[str]):
    verdict = judged(*served, known=known)
    assert states(verdict) == expected
    assert verdict.state == (expected[0] if expected else "valid")


def test_the_missing_intermediate_is_named_where_it_is_known():
    verdict = judged(LOW, known=[OTHER, MID])
    assert verdict.missing == (fingerprint(MIDDLE.certificate),)
    assert "CN=Middle" in verdict.problems[0].evidence
    assert verdict.trusted_until == NOON + 30 * DAY


def test_a_root_that_no_store_has_is_not_trusted_whether_it_is_served_or_not():
    for served in ([LOW, MID], [LOW, MID, TOP]):
        verdict = judged(*served, root=OTHER)
        assert states(verdict) == ["untrusted"]
        assert (verdict.trusted_until, verdict.store) == (None, None)


def test_only_the_public_store_makes_a_certificate_public():
    assert judged(LOW, MID, store=PUBLIC).is_public
    assert not judged(LOW, MID, store=OWN).is_public


def test_an_intermediate_that_has_ended_is_told_and_a_newer_one_beside_it_is_taken():
    gone = CertificateAuthority("Middle", parent=ROOT, now=NOON - 4000 * DAY)
    gone.key = MIDDLE.key
    gone.certificate = gone._certify_itself(_name("Middle"))
    verdict = judged(LOW, der(gone.certificate))
    assert states(verdict) == ["expired-issuer", "outlives-issuer"][:1]
    assert verdict.trusted_until is None
    assert judged(LOW, der(gone.certificate), MID).state is ChainState.VALID


def test_a_certificate_that_ends_after_its_intermediate_outlives_it():
    leaf = MIDDLE.issue("shop.test", not_after=NOON + 5000 * DAY)
    verdict = judged(der(leaf.certificate), MID)
    assert verdict.state is ChainState.OUTLIVES_ISSUER
    assert verdict.trusted_until == MIDDLE.certificate.not_valid_after_utc.replace(microsecond=0)


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        ([], "is no authority"),
        ([x509.BasicConstraints(ca=False, path_length=None)], "is no authority"),
        ([IS_CA, x509.NameConstraints([x509.DNSName("bank.test")], None)], "other names only than shop.test"),
        ([IS_CA, x509.NameConstraints(None, [x509.DNSName("test")])], "may not issue for shop.test"),
        ([IS_CA, x509.NameConstraints([x509.DNSName("shop.test")], [x509.DNSName("a.shop.test")])], None),
        ([IS_CA, x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")], "1.2.3.4"),
    ],
)
def test_who_may_not_issue_is_told(extensions: list[x509.ExtensionType], why: str | None):
    middle = below(ROOT, "Limited", *extensions)
    verdict = judged(der(middle.issue("shop.test").certificate), der(middle.certificate))
    problems = [each.evidence for each in verdict.problems if each.state is ChainState.INVALID]
    assert any(why in each for each in problems) if why else not problems


def test_an_authority_that_allows_none_below_it_is_held_to_that():
    first = below(ROOT, "First", x509.BasicConstraints(ca=True, path_length=0))
    second = below(first, "Second", IS_CA)
    leaf = der(second.issue("shop.test").certificate)
    assert judged(leaf, der(second.certificate), der(first.certificate)).state is ChainState.INVALID
    assert judged(der(first.issue("shop.test").certificate), der(first.certificate)).state is ChainState.VALID


def test_a_cross_signed_authority_beside_its_own_root_is_neither_extra_nor_out_of_order():
    cross = CertificateAuthority("Root", parent=STRANGER, now=NOON)
    cross.key = ROOT.key
    cross.certificate = cross._certify_itself(_name("Root"))
    verdict = judged(LOW, MID, der(cross.certificate))
    assert states(verdict) == []
    assert judged(LOW, MID, der(cross.certificate), root=OTHER).state is ChainState.VALID


def test_a_hundred_authorities_of_one_name_do_not_keep_anybody_busy():
    twins = [der(CertificateAuthority("Middle", parent=ROOT, now=NOON).certificate) for _ in range(28)]
    assert judged(LOW, *twins, MID).state is ChainState.EXTRA


def test_public_roots_come_from_mozilla_and_a_file_without_any_is_refused(tmp_path):
    assert len(read_trust_stores(public=None, own=None)[PUBLIC]) > 100
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(Invalid, match="holds no certificate"):
        read_trust_stores(public=None, own=tmp_path / "empty.pem")


# In an inventory


def bare(issued: Issued) -> Issued:
    return Issued(certificate=issued.certificate, key=issued.key)


@pytest.mark.usefixtures("apart_here")
async def test_each_place_has_the_verdict_of_the_chain_that_it_serves(ledger: Ledger, database: Database):
    await ledger.hear(found(LEAF, place(1), NOON), found(bare(LEAF), place(2), NOON + HOUR))
    judging = Chains(
        database, stores={PUBLIC: (TOP,)}, fetches=None, assessing=Assessing(database, timelines=())
    )
    ledger.now = NOON + HOUR
    await judging.judge_due(ledger.now)
    report = await ledger.reading.certificate(LEAF.fingerprint, scope=None)
    by_place = {where.address: where.chain_digest or "" for where in report.facts.places}
    async with database.read() as session:
        served = {(LEAF.fingerprint, digest) for digest in by_place.values()}
        of = await judgements.judged_at(session, served)
        assert {each.trusted_until for each in of.values()} == {NOON + 30 * DAY}
        assert {each.is_revoked for each in of.values()} == {None}
    state = {where: of[LEAF.fingerprint, digest].chain_state for where, digest in by_place.items()}
    assert state == {"192.0.2.1": "valid", "192.0.2.2": "incomplete"}
    assert (report.facts.judged.chain_state, report.facts.judged.trust_store) == ("incomplete", "public")
    for wanted, count in (("incomplete", 1), ("valid", 1), ("extra", 0)):
        assert len(await ledger.asked(f"chain = {wanted}")) == count
    assert not await judging.judge_due(ledger.now)
    assert await judging.judge_due(ledger.now + DAY) is False


@pytest.mark.usefixtures("apart_here")
async def test_an_issuer_that_nobody_serves_is_fetched_only_where_that_is_switched_on(
    ledger: Ledger, database: Database, start_webhook: StartWebhook
):
    server = start_webhook()
    server.default = Answer(body=MID)
    url = f"http://127.0.0.1:{server.port}/middle.der"
    access = x509.AccessDescription(
        x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
    )
    leaf = MIDDLE.issue("fetched.test", extensions=[x509.AuthorityInformationAccess([access])])
    await ledger.hear(found(bare(leaf), place(), NOON))
    stores = {OWN: (TOP,)}
    await Chains(
        database, stores=stores, fetches=None, assessing=Assessing(database, timelines=())
    ).judge_due(NOON)
    assert (
        server.requests,
        (await ledger.reading.certificate(leaf.fingerprint, scope=None)).facts.judged.is_trusted,
    ) == (
        [],
        False,
    )
    for policy, trusted in ((Policy(), False), (Policy(LOOPBACK), True)):
        async with database.transaction() as tx:
            await tx.session.execute(sa.update(ServedChainRow).values(due_at=NOON))
        await Chains(
            database,
            stores=stores,
            fetches=Authorities(policy, pace=0 * HOUR),
            assessing=Assessing(database, timelines=()),
        ).judge_due(NOON)
        judged = (await ledger.reading.certificate(leaf.fingerprint, scope=None)).facts.judged
        assert (judged.is_trusted, judged.chain_state) == (trusted, "incomplete")
    assert len(server.requests) == 1
