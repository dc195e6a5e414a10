"""What an ACME authority decides without asking anybody."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from services.renewal.connectors.acme import Acme, AcmeOptions, AcmeSecrets
from services.renewal.connectors.acme.chains import PreferredRoot
from services.renewal.connectors.acme.renewal_info import certificate_id, clamped
from services.renewal.connectors.acme.session import _alternates
from services.renewal.connectors.dns.cloudflare import CloudflareOptions
from services.renewal.connectors.dns.rfc2136 import Rfc2136Options
from services.renewal.connectors.dns.servers import Server
from shared.errors import Invalid
from tests.servers.tls import CertificateAuthority

NOW = datetime(2026, 11, 27, tzinfo=UTC)
DIRECTORY = {"directory_url": "https://ca.example.test/dir"}


def certificate(serial: int, *, signer: bytes | None) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if signer is not None:
        named = x509.AuthorityKeyIdentifier(signer, None, None)
        builder = builder.add_extension(named, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_certificate_is_called_as_the_rfc_calls_it() -> None:
    """RFC 9773 §4.1 and appendix A."""
    signer = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    der = certificate(0x0087654321, signer=signer)
    assert certificate_id(der) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_a_serial_whose_first_bit_is_clear_has_no_zero_before_it() -> None:
    assert certificate_id(certificate(0x01, signer=b"a")) == "YQ.AQ"


@pytest.mark.parametrize("der", [certificate(1, signer=None), b"no certificate"])
def test_what_does_not_name_its_issuers_key_has_no_name_to_ask_by(der: bytes) -> None:
    assert certificate_id(der) is None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (timedelta(), timedelta(minutes=1)),
        (timedelta(hours=6), timedelta(hours=6)),
        (timedelta(days=30), timedelta(days=1)),
    ],
)
def test_when_to_ask_again_is_kept_between_a_minute_and_a_day(asked: timedelta, kept: timedelta) -> None:
    assert clamped(asked) == kept


def test_every_alternate_chain_is_found_in_however_many_headers() -> None:
    headers = [
        ("link", '<https://ca.test/dir>;rel="index", </c/1>; rel="alternate"'),
        ("link", '<https://ca.test/c/2>;title="x";rel=alternate'),
        ("link", '<https://ca.test/up>;rel="up"'),
    ]
    answer = httpx.Response(200, headers=headers, request=httpx.Request("POST", "https://ca.test/c/0"))
    assert _alternates(answer) == ("https://ca.test/c/1", "https://ca.test/c/2")


def test_a_root_is_found_by_its_name_its_subject_or_its_fingerprint(lab_ca: CertificateAuthority) -> None:
    root = lab_ca.certificate.public_bytes(Encoding.DER)
    chain = (lab_ca.issue("a.example.test").certificate.public_bytes(Encoding.DER),)
    fingerprint = lab_ca.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    for wanted in ("Test root", "CN=Test root", fingerprint):
        assert PreferredRoot(wanted, roots=[root]).is_end_of(chain), wanted
    assert not PreferredRoot("Another root", roots=[root]).is_end_of(chain)
    assert not PreferredRoot(fingerprint, roots=[]).is_end_of(chain)


def test_options_of_before_there_were_several_dns_services_are_still_right() -> None:
    zone = {"server": "ns1.example.test", "zone": "example.test", "key_name": "k"}
    for given in (zone, {**zone, "provider": "rfc2136"}, {**zone, "kind": "rfc2136"}):
        options = AcmeOptions.model_validate({**DIRECTORY, "dns": given})
        assert isinstance(options.dns, Rfc2136Options)
        kept = options.model_dump(mode="json", exclude_unset=True)
        assert AcmeOptions.model_validate(kept) == options
    other = AcmeOptions.model_validate({**DIRECTORY, "dns": {"kind": "cloudflare"}})
    assert isinstance(other.dns, CloudflareOptions)


@pytest.mark.parametrize("dns", [{"kind": "bind"}, {"kind": "cloudflare", "zone": "x"}, "cloudflare"])
def test_an_unknown_dns_service_and_an_option_it_does_not_have_are_refused(dns: object) -> None:
    with pytest.raises(ValidationError):
        AcmeOptions.model_validate({**DIRECTORY, "dns": dns})


@pytest.mark.parametrize(
    ("dns", "secret"),
    [
        ({"kind": "cloudflare"}, None),
        (None, "secret"),
        ({"kind": "rfc2136", "server": "ns1", "zone": "z.test", "key_name": "k"}, "abc"),
    ],
)
def test_a_dns_service_and_its_secret_go_together(dns: object, secret: str | None) -> None:
    options = AcmeOptions.model_validate({**DIRECTORY, "dns": dns})
    with pytest.raises(Invalid):
        Acme.found(options, secrets=AcmeSecrets.model_validate({"dns_secret": secret}), name="x", now=NOW)


def test_a_command_needs_no_secret() -> None:
    options = AcmeOptions.model_validate({**DIRECTORY, "dns": {"kind": "command", "program": "update-dns"}})
    assert Acme.found(options, secrets=AcmeSecrets(), name="x", now=NOW).private


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("ns1.example.test", Server("ns1.example.test", 53)),
        ("192.0.2.1:5353", Server("192.0.2.1", 5353)),
        ("[2001:db8::1]:5353", Server("2001:db8::1", 5353)),
    ],
)
def test_a_name_server_is_written_with_or_without_its_port(text: str, server: Server) -> None:
    assert Server.parse(text) == server
