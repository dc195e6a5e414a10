"""What Vault's PKI engine does beside what every kind does."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.renewal.connectors import Issued, Pending
from services.renewal.connectors import vault as connector
from shared.errors import Refused
from shared.x509 import read
from tests.conformance.authorities.vault import vault_bench
from tests.servers.tls import CertificateAuthority


async def test_an_approle_logs_in_and_gives_its_token_back(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with vault_bench(tmp_path, lab_ca, by_role=True) as bench:
        assert bench.vault is not None
        before = set(bench.vault.tokens)
        request = bench.request("www.example.test")
        bench.check(request, await bench.issue(request))
        assert set(bench.vault.tokens) == before


async def test_what_a_policy_lacks_is_said_as_the_line_to_add(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with vault_bench(tmp_path, lab_ca) as bench:
        assert bench.vault is not None
        bench.vault.policies["everleaf"] = {}
        with pytest.raises(Refused) as caught:
            await bench.issue(bench.request("www.example.test"))
        assert 'path "pki/sign/web" { capabilities = ["update"] }' in caught.value.next_step


async def test_the_role_cuts_what_is_too_long(tmp_path: Path, lab_ca: CertificateAuthority) -> None:
    async with vault_bench(tmp_path, lab_ca) as bench:
        bench.lifetime = timedelta(days=700)
        request = bench.request("www.example.test")
        facts = read(bench.check(request, await bench.issue(request))[0])
        assert facts.not_after - facts.not_before < timedelta(days=366)


async def test_a_key_is_never_asked_for(tmp_path: Path, lab_ca: CertificateAuthority) -> None:
    async with vault_bench(tmp_path, lab_ca) as bench:
        assert bench.vault is not None
        await bench.issue(bench.request("www.example.test"))
        assert [each.path for each in bench.vault.requests if "/issue" in each.path] == []


async def test_where_too_much_was_issued_to_look_through_it_is_said_and_signed_anew(
    tmp_path: Path, lab_ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "MOST_LOOKED_AT", 1)
    async with vault_bench(tmp_path, lab_ca) as bench:
        for _ in range(2):
            await bench.issue(bench.request("www.example.test"))
        request = bench.request("www.example.test")
        async with bench.opened() as authority:
            told = await bench.step(authority, request, None, resumed=True)
            assert isinstance(told, Pending)
            assert "not looked for" in (told.text or "")
            assert isinstance(await bench.step(authority, request, told.state, resumed=False), Issued)
