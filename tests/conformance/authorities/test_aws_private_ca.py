"""What AWS Private CA does beside what every kind does."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.errors import Invalid, Refused
from shared.x509 import read
from tests.conformance.authorities.aws_private_ca import aws_bench
from tests.conformance.authorities.bench import Bench


@pytest.fixture
async def aws() -> AsyncIterator[Bench]:
    """A private CA."""
    async with aws_bench() as opened:
        yield opened


async def test_a_template_that_is_not_there_is_refused(aws: Bench) -> None:
    aws.profile = "arn:aws:acm-pca:::template/NoSuch/V1"
    with pytest.raises(Refused, match="InvalidArgsException"):
        await aws.issue(aws.request("www.example.test"))


async def test_a_lifetime_of_hours_is_asked_for_by_its_end(aws: Bench) -> None:
    aws.lifetime = timedelta(hours=6)
    request = aws.request("www.example.test")
    facts = read(aws.check(request, await aws.issue(request))[0])
    assert facts.not_after - facts.not_before <= timedelta(hours=7, seconds=1)


async def test_a_profile_that_names_no_arn_is_not_made(aws: Bench) -> None:
    aws.profile = "EndEntityServerAuthCertificate"
    with pytest.raises(Invalid, match="by its ARN"):
        aws.check_terms()
