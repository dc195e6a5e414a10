"""sshd_config: what it includes, what ends it, and how its words are written."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import sshd
from services.discovery.domain.holdings import SSH, Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/ssh/sshd_config"


async def read(text: str, files: dict[str, str] | None = None) -> Reading:
    return await sshd.read(HeldFiles({START: text} | (files or {})), START)


async def test_each_host_certificate_is_a_use_with_the_key_that_it_is_for():
    reading = await read(
        "HostKey /k/ed\nHostCertificate /k/ed-cert.pub\nhostcertificate=/k/rsa-cert.pub\nHostCertificate other\n"
    )
    assert [(use.certificate, use.key, use.line) for use in reading.uses] == [
        ("/k/ed-cert.pub", "/k/ed", 2),
        ("/k/rsa-cert.pub", "/k/rsa", 3),
    ]
    assert reading.uses[0].listeners == (Listener(port=22, starttls=SSH),)


async def test_included_files_are_read_and_nothing_within_a_match_is():
    files = {"/etc/ssh/sshd_config.d/1.conf": "Port 2222\nMatch all\nHostCertificate /no-cert.pub\n"}
    reading = await read(
        "Include sshd_config.d/*.conf\nHostCertificate /a-cert.pub\nMatch User x\nPort 1\n", files
    )
    assert [(use.certificate, use.listeners[0].port) for use in reading.uses] == [("/a-cert.pub", 2222)]


async def test_a_host_without_certificates_uses_none():
    assert (await read("HostKey /k\nHostCertificate\nPort\n")).uses == ()


@given(st.text())
async def test_any_text_ends_without_an_exception(text: str):
    await read(text)
    await read(f"HostCertificate {text}\nPort {text}\nListenAddress {text}\n")
