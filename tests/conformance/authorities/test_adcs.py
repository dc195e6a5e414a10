"""What AD CS does beside what every kind does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.renewal.connectors import NotNow
from shared.errors import Refused
from tests.conformance.authorities.adcs import AdcsBench, adcs_bench
from tests.servers.adcs import DENIED
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def adcs(tmp_path: Path, lab_ca: CertificateAuthority) -> AsyncIterator[AdcsBench]:
    """A CA of AD CS."""
    async with adcs_bench(tmp_path, lab_ca) as opened:
        yield opened


@pytest.mark.parametrize(("template", "said"), [("NoSuch", "not supported"), ("Restricted", "do not allow")])
async def test_a_template_that_cannot_be_used_is_refused_in_the_words_of_the_policy(
    adcs: AdcsBench, template: str, said: str
) -> None:
    adcs.profile = template
    with pytest.raises(Refused, match=f"Denied by Policy Module.*{said}"):
        await adcs.issue(adcs.request("www.example.test"))


async def test_what_the_manager_denies_has_failed(adcs: AdcsBench) -> None:
    assert adcs.server is not None
    adcs.hold()
    request = adcs.request("www.example.test")
    async with adcs.opened() as authority:
        told = await adcs.step(authority, request, None, resumed=False)
    adcs.server.decide(DENIED)
    with pytest.raises(Refused, match="Denied by"):
        await adcs.issue(request, told.state)  # type: ignore[union-attr] # a submission is pending


async def test_basic_authentication_is_spoken_where_that_is_enabled(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with adcs_bench(tmp_path, lab_ca, by_basic=True) as bench:
        request = bench.request("www.example.test")
        bench.check(request, await bench.issue(request))


async def test_a_server_that_asks_for_something_else_than_ntlm_gets_no_password(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with adcs_bench(tmp_path, lab_ca, by_basic=True) as bench:
        assert bench.server is not None
        del bench.options["authentication"]
        bench.__post_init__()
        with pytest.raises(Refused, match="401"):
            await bench.issue(bench.request("www.example.test"))
        assert not any("authorization" in asked.headers for asked in bench.server.api.asked)


async def test_a_connection_is_logged_in_once(adcs: AdcsBench) -> None:
    assert adcs.server is not None
    await adcs.issue(adcs.request("www.example.test"))
    shown = [asked.path for asked in adcs.server.api.asked if "authorization" in asked.headers]
    assert shown == ["/certsrv/certfnsh.asp"] * 2


async def test_a_channel_that_leads_through_somebody_else_is_not_logged_in(
    adcs: AdcsBench, lab_ca: CertificateAuthority
) -> None:
    """The server was bound to another certificate than the one that we saw: somebody sits between us."""
    assert adcs.server is not None
    adcs.server.certificate = lab_ca.issue("localhost").certificate
    with pytest.raises(Refused, match="401"):
        await adcs.issue(adcs.request("www.example.test"))


@pytest.mark.parametrize("challenge", ["NTLM !!", "NTLM bm9uc2Vuc2U=", "NTLM"])
async def test_a_challenge_that_makes_no_sense_ends_the_login(adcs: AdcsBench, challenge: str) -> None:
    assert adcs.server is not None
    adcs.server.api.twist = lambda _asked, told: replace(
        told, status=401, headers={"WWW-Authenticate": challenge}
    )
    with pytest.raises((Refused, NotNow)):
        await adcs.issue(adcs.request("www.example.test"))
