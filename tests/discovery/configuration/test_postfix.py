"""Postfix's configuration: variables, services and what they override, and certificates by name."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import postfix
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/postfix/main.cf"
SMTP = "smtp inet n - y - - smtpd\n"


async def read(main: str, master: str = SMTP, **others: str) -> Reading:
    files = {START: main, "/etc/postfix/master.cf": master}
    return await postfix.read(
        HeldFiles(files | {f"/etc/postfix/{n}": text for n, text in others.items()}), START
    )


async def test_a_service_presents_what_main_cf_names_with_its_variables_put_in():
    reading = await read(
        """
# comment
home = /etc/tls
smtpd_tls_security_level = may
smtpd_tls_cert_file = ${home}/
   cert.pem
smtpd_tls_key_file = $home/${missing:fallback}.key
smtpd_tls_CAfile = ca.pem
smtpd_tls_ask_ccert = yes
smtpd_tls_protocols = !SSLv2, !SSLv3
inet_interfaces = loopback-only, 192.0.2.1
""".replace("${home}/\n   cert.pem", "$(home)/cert.pem")
    )
    [use] = reading.uses
    assert (use.certificate, use.key) == ("/etc/tls/cert.pem", "/etc/tls/fallback.key")
    assert use.listeners == (
        Listener(address="127.0.0.1", port=25, starttls="smtp"),
        Listener(address="192.0.2.1", port=25, starttls="smtp"),
    )
    assert (use.trusted_ca, use.client_verification) == ("/etc/postfix/ca.pem", "optional")
    assert use.protocols == ("!SSLv2", "!SSLv3")


async def test_services_override_settings_and_wrapped_ones_speak_tls_at_once():
    reading = await read(
        "smtpd_tls_cert_file = /a.pem\n",
        SMTP
        + "submission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n"
        + "submissions inet n - y - - smtpd -o smtpd_tls_wrappermode=yes\n -o { smtpd_tls_cert_file = /b.pem }\n"
        + "[::1]:2525 inet n - y - - smtpd -o smtpd_tls_security_level=may\n"
        + "pickup unix n - y 60 1 pickup\n",
    )
    assert [(use.listeners, use.certificate, use.line) for use in reading.uses] == [
        ((Listener(port=587, starttls="smtp"),), "/a.pem", 2),
        ((Listener(port=465),), "/b.pem", 4),
        ((Listener(address="::1", port=2525, starttls="smtp"),), "/a.pem", 6),
    ]


async def test_chain_files_and_two_kinds_of_key():
    chain = (
        "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /k/rsa.key.pem, /c/rsa.pem, /all/ec.pem\n"
    )
    assert [(use.certificate, use.key) for use in (await read(chain)).uses] == [
        ("/c/rsa.pem", "/k/rsa.key.pem"),
        ("/all/ec.pem", "/all/ec.pem"),
    ]
    kinds = (
        "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /rsa.pem\nsmtpd_tls_eccert_file = /ec.pem\n"
    )
    assert [use.certificate for use in (await read(kinds)).uses] == ["/rsa.pem", "/ec.pem"]


async def test_certificates_by_name_come_from_the_source_of_the_table():
    main = "smtpd_tls_security_level = may\ntls_server_sni_maps = hash:/etc/postfix/sni, ldap:x\n"
    reading = await read(main, sni="mail.a.test /k/a.key /c/a.pem\n.b.test /all/b.pem\n")
    assert [(use.server_names, use.certificate, use.key) for use in reading.uses] == [
        (("mail.a.test",), "/c/a.pem", "/k/a.key"),
        (("*.b.test",), "/all/b.pem", "/all/b.pem"),
    ]
    assert [gap.scope for gap in reading.gaps] == ["ldap:x"]


async def test_a_postfix_without_tls_presents_nothing():
    assert (await read("smtpd_tls_cert_file = /a.pem")).uses == ()


async def test_variables_that_name_each_other_end():
    assert (
        await read("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = $a$a\na = $b$b\nb = $a$a")
    ).gaps == ()


@given(st.text() | st.text(alphabet="=${}()?:-o \n\tab,"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(
        f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {text}", f"25 inet n - y - - smtpd {text}"
    )
