"""Every server that tests rely on is real, and does what its fixture promises."""

import asyncio
import smtplib
import stat
import subprocess
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import asyncssh
import dns.name
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import httpx
import pytest
from cryptography import x509

from tests.servers.bind import Bind
from tests.servers.nginx import StartNginx
from tests.servers.pebble import Pebble, StartPebble, new_eab_key
from tests.servers.processes import MissingServer, NotStarted, Process, free_port, program
from tests.servers.smtp import Smtp
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, fingerprint, served_certificate
from tests.servers.webhook import Answer, StartWebhook, Webhook


def test_a_missing_server_names_its_debian_package():
    with pytest.raises(MissingServer, match="apt-get install some-package"):
        program("no-such-server", package="some-package")


def test_a_process_that_ends_early_says_so_with_its_log(tmp_path: Path):
    process = Process(["sh", "-c", "echo no such option; exit 3"], log=tmp_path / "log")
    with pytest.raises(NotStarted, match=r"ended with 3.*no such option"):
        process.wait_port(free_port())


def test_a_stopped_process_is_gone(tmp_path: Path):
    process = Process(["sleep", "60"], log=tmp_path / "log")
    process.stop()
    assert not Path(f"/proc/{process.pid}").exists()


def test_an_intermediates_certificate_comes_with_its_chain(lab_ca: CertificateAuthority):
    issued = lab_ca.intermediate().issue("a.test", "127.0.0.1", kind="rsa")
    leaf, intermediate = x509.load_pem_x509_certificates(issued.chain_pem)
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(lab_ca.certificate)


def test_pebble_gives_a_directory_and_its_root(pebble: Pebble, lab_ca: CertificateAuthority):
    directory = httpx.get(pebble.dir_url, verify=lab_ca.client_context()).json()
    assert directory["newOrder"].startswith("https://localhost:")
    root = x509.load_pem_x509_certificate(pebble.roots()[0].encode())
    assert "Pebble Root" in root.subject.rfc4514_string()


def test_pebble_takes_its_options(start_pebble: StartPebble, lab_ca: CertificateAuthority, bind: Bind):
    server = start_pebble(eab={"kid-1": new_eab_key()}, dns_server=bind.address, alternate_roots=1)
    directory = httpx.get(server.dir_url, verify=lab_ca.client_context()).json()
    assert directory["meta"]["externalAccountRequired"] is True
    assert len(set(server.roots())) == 2


def test_bind_takes_signed_txt_records_and_nothing_else(bind: Bind):
    keyring = dns.tsigkeyring.from_text({bind.key_name: bind.secret})
    signed = dns.update.Update(bind.zone, keyring=keyring, keyalgorithm=bind.algorithm)
    signed.replace("_acme-challenge.signed", 1, "TXT", "value")
    unsigned = dns.update.Update(bind.zone)
    unsigned.replace("_acme-challenge.unsigned", 1, "TXT", "value")
    assert _sent(signed, bind) == dns.rcode.NOERROR
    assert _sent(unsigned, bind) == dns.rcode.REFUSED
    assert bind.txt("_acme-challenge.signed.example.test") == ["value"]
    assert bind.txt("_acme-challenge.unsigned.example.test") == []


def _sent(update: dns.update.UpdateMessage, bind: Bind) -> dns.rcode.Rcode:
    return dns.query.tcp(update, bind.host, port=bind.port, timeout=5).rcode()


async def test_sshd_runs_commands_for_the_authorised_key_only(sshd: Sshd):
    async with _connected(sshd) as connection:
        assert (await connection.run("id -un", check=True)).stdout == f"{sshd.username}\n"
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(asyncssh.PermissionDenied):
        async with _connected(sshd, client_key=stranger):
            pass


async def test_a_replaced_host_key_is_noticed(sshd: Sshd):
    before = sshd.known_hosts
    sshd.replace_host_key()
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        async with _connected(sshd, known_hosts=before):
            pass
    async with _connected(sshd):
        pass


async def test_dropped_sessions_are_gone_and_new_ones_come(sshd: Sshd):
    async with _connected(sshd) as connection:
        sshd.drop_sessions()
        await asyncio.wait_for(connection.wait_closed(), 5)
    async with _connected(sshd):
        pass


def _connected(sshd: Sshd, *, client_key: str | None = None, known_hosts: str | None = None):
    return asyncssh.connect(
        sshd.host,
        sshd.port,
        username=sshd.username,
        client_keys=[asyncssh.import_private_key(client_key or sshd.client_key)],
        known_hosts=asyncssh.import_known_hosts(known_hosts or sshd.known_hosts),
        config=None,
        agent_path=None,
    )


def test_nginx_serves_each_name_its_own_certificate(start_nginx: StartNginx):
    nginx = start_nginx("a.test", "b.test")
    assert [fingerprint(site.served()) for site in nginx.sites] == [
        site.issued.fingerprint for site in nginx.sites
    ]
    assert stat.S_IMODE(nginx.sites[0].key.stat().st_mode) == 0o600


def test_nginx_serves_ipv6(start_nginx: StartNginx):
    site = start_nginx("six.test", address="::1").sites[0]
    assert fingerprint(served_certificate("::1", site.port, "six.test")) == site.issued.fingerprint


def test_nginx_serves_new_files_after_its_reload_command_only(
    start_nginx: StartNginx, lab_ca: CertificateAuthority
):
    nginx = start_nginx("a.test")
    renewed = lab_ca.issue("a.test")
    renewed.write(nginx.sites[0].key.parent)
    assert fingerprint(nginx.served(server_name="a.test")) == nginx.sites[0].issued.fingerprint
    subprocess.run(nginx.reload_command, shell=True, check=True, capture_output=True)
    nginx.until_served(nginx.sites[0], renewed)


def test_nginx_says_when_certificate_and_key_do_not_match(
    start_nginx: StartNginx, lab_ca: CertificateAuthority
):
    nginx = start_nginx("a.test")
    assert nginx.test().returncode == 0
    nginx.sites[0].certificate.write_bytes(lab_ca.issue("a.test").chain_pem)
    assert "key values mismatch" in nginx.test().stderr


def test_nginx_takes_a_further_site_while_it_runs(start_nginx: StartNginx):
    site = start_nginx("a.test").add_site("late.test", port=free_port(), key_mode=0o640)
    assert fingerprint(site.served()) == site.issued.fingerprint
    assert stat.S_IMODE(site.key.stat().st_mode) == 0o640


async def test_smtp_keeps_mail_sent_with_tls_and_the_password(smtp: Smtp, lab_ca: CertificateAuthority):
    await aiosmtplib.send(_mail(), **_login(smtp, lab_ca))
    assert smtp.inbox[0].recipients == ("ops@example.test",)
    assert smtp.inbox[0].message["Subject"] == "Expiry"


@pytest.mark.parametrize(
    "change", [{"start_tls": False, "username": None, "password": None}, {"password": "wrong"}]
)
async def test_smtp_refuses_mail_without_tls_or_password(smtp: Smtp, lab_ca: CertificateAuthority, change):
    with pytest.raises(aiosmtplib.SMTPResponseException):
        await aiosmtplib.send(_mail(), **{**_login(smtp, lab_ca), **change})
    assert smtp.inbox == []


async def test_smtp_refuses_single_addresses(smtp: Smtp, lab_ca: CertificateAuthority):
    smtp.refuse("ops@example.test", "451 4.3.0 try later")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await aiosmtplib.send(_mail(), **_login(smtp, lab_ca))
    assert refused.value.recipients[0].code == 451


async def test_smtp_comes_back_on_its_port(smtp: Smtp, lab_ca: CertificateAuthority):
    smtp.stop()
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await aiosmtplib.send(_mail(), **_login(smtp, lab_ca))
    smtp.start()
    await aiosmtplib.send(_mail(), **_login(smtp, lab_ca))


def test_smtp_serves_its_certificate_after_starttls(smtp: Smtp):
    names = served_certificate(smtp.host, smtp.port, starttls="smtp").extensions
    assert "localhost" in names.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value.get_values_for_type(x509.DNSName)


def test_smtp_stops_while_a_client_is_connected(smtp: Smtp):
    with smtplib.SMTP(smtp.host, smtp.port, timeout=5) as client:
        smtp.stop()
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.ehlo()


def _mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "everleaf@example.test", "ops@example.test", "Expiry"
    mail.set_content("soon")
    return mail


def _login(smtp: Smtp, ca: CertificateAuthority):
    return {
        "hostname": smtp.host,
        "port": smtp.port,
        "start_tls": True,
        "username": smtp.user,
        "password": smtp.password,
        "tls_context": ca.client_context(),
        "timeout": 10,
    }


async def test_a_webhook_records_the_request_and_answers_by_script(webhook: Webhook):
    webhook.answer(Answer(status=503, headers={"Retry-After": "1"}), Answer(body=b"ok"))
    async with httpx.AsyncClient() as client:
        answers = [
            await client.post(f"{webhook.url}/in?x=1", content=b"raw", headers={"X-Id": "7"}) for _ in "ab"
        ]
    assert [answer.status_code for answer in answers] == [503, 200]
    first = (await webhook.received(2))[0]
    assert (first.method, first.path, first.headers["x-id"], first.body) == ("POST", "/in?x=1", "7", b"raw")


async def test_a_webhook_can_be_slow_or_hang_up(webhook: Webhook):
    webhook.answer(Answer(delay=timedelta(seconds=30)), Answer(hang_up=True))
    async with httpx.AsyncClient(timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(webhook.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(webhook.url)


def test_a_webhook_speaks_tls_and_survives_an_outage(
    start_webhook: StartWebhook, lab_ca: CertificateAuthority
):
    receiver = start_webhook(tls=True)
    with httpx.Client(verify=lab_ca.client_context()) as client:
        assert client.get(receiver.url).status_code == 200
        receiver.stop()
        with pytest.raises(httpx.TransportError):
            client.get(receiver.url)
        receiver.start()
        assert client.get(receiver.url).status_code == 200
