"""What is made of holdings before they are told."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.domain.holdings import (
    Gap,
    Holding,
    Use,
    is_hidden,
    is_replaceable,
    storable,
    with_names,
)
from tests.servers.tls import CertificateAuthority


def held(*names: str, ca: CertificateAuthority, is_by_certificate: bool) -> Holding:
    use = Use(product="haproxy", file="/f", certificate="/c", is_by_certificate=is_by_certificate)
    leaf = ca.issue(*names).certificate.public_bytes(Encoding.DER)
    return Holding(address="h", path="/c", chain=(leaf,), format="pem", uses=(use,))


def test_a_use_that_answers_to_the_names_in_its_certificate_says_them(lab_ca: CertificateAuthority):
    found = with_names(held("a.test", "*.b.test", "192.0.2.1", ca=lab_ca, is_by_certificate=True))
    assert [use.server_names for use in found.uses] == [("*.b.test", "a.test")]


def test_a_use_with_names_of_its_own_keeps_them(lab_ca: CertificateAuthority):
    holding = held("a.test", ca=lab_ca, is_by_certificate=False)
    assert with_names(holding) is holding


def test_a_gap_hides_what_is_under_it_and_nothing_beside():
    gap = Gap(scope="/tls", reason="", next_step="")
    assert is_hidden("/tls/a.pem", is_used=False, gaps=[gap])
    assert not is_hidden("/tls2/a.pem", is_used=False, gaps=[gap])


def test_no_text_of_a_holding_holds_what_no_database_takes(lab_ca: CertificateAuthority):
    holding = held("a.test", ca=lab_ca, is_by_certificate=False)
    use = replace(holding.uses[0], server_names=("a\0.test",))
    found = storable(replace(holding, path="/c\0", uses=(use,)))
    assert (found.path, found.uses[0].server_names) == (
        "/c\N{REPLACEMENT CHARACTER}",
        ("a\N{REPLACEMENT CHARACTER}.test",),
    )
    assert found.chain == holding.chain


def test_a_gap_in_a_configuration_hides_what_it_may_name_and_another_gap_does_not():
    configuration = Gap(scope="/etc/nginx", reason="", next_step="", hides_names=True)
    denied = Gap(scope="iam", reason="", next_step="")
    assert is_hidden("/tls/a.pem", is_used=True, gaps=[configuration])
    assert not is_hidden("/tls/a.pem", is_used=False, gaps=[configuration])
    assert not is_hidden("acm/1", is_used=True, gaps=[denied])


@pytest.mark.parametrize(
    ("mode", "folder", "replaceable"),
    [
        (0o600, 0o755, False),
        (0o602, 0o755, True),
        (0o600, 0o777, True),
        (0o600, 0o1777, False),
        (0o620, 0o775, False),
    ],
)
def test_a_file_is_replaceable_where_others_may_write_to_it_or_rename_in_its_folder(
    mode: int, folder: int, *, replaceable: bool
):
    assert is_replaceable(mode, folder=folder) is replaceable
