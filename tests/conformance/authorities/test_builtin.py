"""What the built-in authority does beside what every kind does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from services.renewal.domain.keys import KeyType
from shared.x509 import load
from tests.conformance.authorities.bench import Bench
from tests.conformance.authorities.builtin import builtin_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with builtin_bench(tmp_path) as opened:
        yield opened


async def test_the_builtin_authority_issues_for_no_second_longer_than_asked(bench: Bench) -> None:
    """The second of `notAfter` is part of the validity (RFC 5280 §4.1.2.5, CA/B Baseline Requirements §6.3.2)."""
    request = bench.request("exact.example.test")
    leaf = load((await bench.issue(request)).chain[0])
    validity = leaf.not_valid_after_utc - leaf.not_valid_before_utc + timedelta(seconds=1)
    assert validity == request.terms.lifetime


@pytest.mark.parametrize("key_type", list(KeyType))
async def test_the_builtin_authority_signs_every_kind_of_key(bench: Bench, key_type: KeyType) -> None:
    request = bench.request("kind.example.test", "10.1.2.3", key_type=key_type)
    leaf, *above = [load(der) for der in bench.check(request, await bench.issue(request))]
    assert leaf.serial_number.bit_length() <= 159
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    verifier = (
        PolicyBuilder()
        .store(Store([load(bench.identity.roots[0])]))
        .build_server_verifier(x509.DNSName("kind.example.test"))
    )
    if key_type is not KeyType.ED25519:  # the verifier knows the Web PKI's algorithms only
        assert len(verifier.verify(leaf, above)) == 3
