"""What Certificate Manager does beside what every kind does."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.errors import Invalid, Refused
from tests.conformance.authorities.sectigo import sectigo_bench
from tests.servers.tls import CertificateAuthority


async def test_a_term_that_the_profile_does_not_offer_is_refused_in_its_words(
    tmp_path: Path, lab_ca: CertificateAuthority
) -> None:
    async with sectigo_bench(tmp_path, lab_ca) as bench:
        bench.lifetime = timedelta(days=47)
        with pytest.raises(Refused, match="The term is not one of"):
            await bench.issue(bench.request("www.example.test"))


async def test_a_profile_is_named_by_its_number(tmp_path: Path, lab_ca: CertificateAuthority) -> None:
    async with sectigo_bench(tmp_path, lab_ca) as bench:
        del bench.options["certificate_type"]
        bench.__post_init__()
        bench.profile = "OV SSL"
        with pytest.raises(Invalid, match="has a number"):
            bench.check_terms()
        bench.profile = "9001"
        bench.check_terms()
        request = bench.request("www.example.test")
        bench.check(request, await bench.issue(request))
