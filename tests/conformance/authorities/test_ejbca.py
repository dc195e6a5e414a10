"""What EJBCA does beside what every kind does."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.renewal.connectors.ejbca import EjbcaSecrets
from shared.errors import Refused
from tests.conformance.authorities.ejbca import ejbca_bench


async def test_a_client_certificate_is_shown_in_place_of_a_token(tmp_path: Path) -> None:
    async with ejbca_bench(tmp_path, by_token=False) as bench:
        request = bench.request("www.example.test")
        bench.check(request, await bench.issue(request))


async def test_a_ca_that_the_login_may_not_see_is_named(tmp_path: Path) -> None:
    async with ejbca_bench(tmp_path) as bench:
        bench.options["authority"] = "Another CA"
        bench.__post_init__()
        with pytest.raises(Refused, match="CA with name Another CA doesn't exist"):
            await bench.issue(bench.request("www.example.test"))


def test_a_token_and_a_certificate_are_not_taken_together() -> None:
    with pytest.raises(ValidationError, match="give either"):
        EjbcaSecrets.model_validate({"token": "t", "certificate": "c", "private_key": "k"})
