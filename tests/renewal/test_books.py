"""The books of our own authorities, on both databases."""

from datetime import timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal import store
from services.renewal.actions.books import Books
from services.renewal.connectors import Entry, Ledger
from shared.errors import Conflict
from shared.events.renewal import RevocationReason
from tests.renewal.workshop import Workshop
from tests.servers.tls import CertificateAuthority

NUMBERS = count()


@pytest.fixture
async def books(shop: Workshop) -> Ledger:
    """The books of an authority."""
    return Books(shop.database, public_url="http://pki.example.test/").of((await authority(shop)).id)


async def authority(shop: Workshop) -> store.Authority:
    return await shop.authority(f"house {next(NUMBERS)}")


def entry(lab_ca: CertificateAuthority, name: str) -> tuple[Entry, x509.Certificate]:
    certificate = lab_ca.issue(f"{name}.example.test").certificate
    return Entry(request=name, certificate=certificate.public_bytes(Encoding.DER)), certificate


async def test_what_is_written_down_is_found_by_its_request_and_listed_by_its_time(
    shop: Workshop, books: Ledger, lab_ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.renewal.store.builtin._PAGE", 2)
    assert (books.url or "").startswith("http://pki.example.test/v1/authorities/")
    entries = [entry(lab_ca, name)[0] for name in ("a", "b", "c", "d", "e")]
    first, later = shop.time(), shop.time() + timedelta(seconds=1)
    await books.add(entries[:3], now=first)
    await books.add(entries[3:], now=later)
    assert await books.find(["b", "x"]) == {"b": entries[1].certificate}
    listed = [each async for each in books.since(first)]
    assert {each.certificate for each in listed} == {each.certificate for each in entries}
    assert [each.issued_at for each in listed] == sorted(each.issued_at for each in listed)
    assert len([each async for each in books.since(later)]) == 2


async def test_a_request_has_one_certificate_whoever_is_first(
    books: Ledger, shop: Workshop, lab_ca: CertificateAuthority
) -> None:
    one, other = (entry(lab_ca, "a")[0] for _ in range(2))
    await books.add([one], now=shop.time())
    with pytest.raises(sa.exc.IntegrityError):
        await books.add([other], now=shop.time())
    assert await books.find(["a"]) == {"a": one.certificate}


async def test_a_certificate_is_revoked_once_and_only_by_its_own_authority(
    books: Ledger, shop: Workshop, lab_ca: CertificateAuthority
) -> None:
    made, certificate = entry(lab_ca, "a")
    now = shop.time()
    await books.add([made], now=now)
    others = Books(shop.database, public_url=None).of((await authority(shop)).id)
    assert others.url is None
    assert not await others.revoke(certificate.serial_number, reason=RevocationReason.SUPERSEDED, now=now)
    for reason in (RevocationReason.KEY_COMPROMISE, RevocationReason.SUPERSEDED):
        assert await books.revoke(certificate.serial_number, reason=reason, now=now)
        now += timedelta(hours=1)
    async with shop.database.read() as session:
        row = await session.get_one(store.BuiltinCertificate, f"{certificate.serial_number:x}")
    assert row.reason == RevocationReason.KEY_COMPROMISE
    assert row.revoked_at is not None
    assert row.revoked_at < now - timedelta(hours=1)


async def test_an_authority_whose_name_is_taken_has_no_keys_made(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await authority(shop)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("services.renewal.connectors.builtin.Builtin.found_here", never)
    with pytest.raises(Conflict):
        await shop.authority(taken.name)
