"""`everleaf configured` beside real nginx, Apache and HAProxy: what they are told to serve, and what they serve."""

import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from services.cli import main
from tests.servers.apache import Apache
from tests.servers.caddy import Caddy
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import HaProxy
from tests.servers.nginx import StartNginx
from tests.servers.postfix import Postfix
from tests.servers.s_server import openssl_server
from tests.servers.ssh import HostCertificate
from tests.servers.starttls import StartPlain
from tests.servers.stunnel import Stunnel
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.tomcat import Tomcat

Compared = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compared:
    """Calls the command; returns its exit code and its rows."""

    def call(**starts: Path) -> tuple[int, list[dict[str, Any]]]:
        configs = [f"--config={product}={path}" for product, path in starts.items()]
        monkeypatch.setattr(sys, "argv", ["everleaf", "configured", *configs, "--jsonl"])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr().out
        return int(ended.value.code or 0), [json.loads(line) for line in printed.splitlines()]

    return call


@pytest.fixture
def apache(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Apache]:
    server = Apache(tmp_path / "apache", ca=lab_ca)
    with ExitStack() as running:
        running.callback(server.stop)
        yield server


@pytest.fixture
def haproxy(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[HaProxy]:
    server = HaProxy(tmp_path / "haproxy", ca=lab_ca)
    with ExitStack() as running:
        running.callback(server.stop)
        yield server


@pytest.fixture
def stunnel(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Stunnel]:
    server = Stunnel(tmp_path / "stunnel", ca=lab_ca)
    with ExitStack() as running:
        running.callback(server.stop)
        yield server


@pytest.fixture
def tomcat(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Tomcat]:
    server = Tomcat(tmp_path / "tomcat", ca=lab_ca)
    with ExitStack() as running:
        running.callback(server.stop)
        yield server


@pytest.fixture
def caddy(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Caddy]:
    server = Caddy(tmp_path / "caddy", ca=lab_ca)
    with ExitStack() as running:
        running.callback(server.stop)
        yield server


def served(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["server_name"]: row["served"][0]["fingerprint"] for row in rows}


def test_nginx_apache_and_haproxy_serve_what_they_are_told_to(
    start_nginx: StartNginx, apache: Apache, haproxy: HaProxy, compared: Compared
):
    nginx = start_nginx("a.test", "b.test")
    apache.write("c.test", "d.test")
    apache.start()
    haproxy.write("e.test", "f.test")
    haproxy.start()
    code, rows = compared(
        nginx=nginx.directory / "nginx.conf", apache=apache.start_file, haproxy=haproxy.start_file
    )
    assert [(row["product"], row["server_name"]) for row in rows] == [
        ("nginx", "a.test"),
        ("nginx", "b.test"),
        ("apache", "c.test"),
        ("apache", "d.test"),
        ("haproxy", "e.test"),
        ("haproxy", "f.test"),
    ]
    given = {site.server_name: site.issued.fingerprint for site in nginx.sites}
    given |= {name: one.fingerprint for server in (apache, haproxy) for name, one in server.issued.items()}
    assert served(rows) == given
    assert {row["server_name"]: row["configured"]["fingerprint"] for row in rows} == given
    assert [row["findings"] for row in rows] == [[]] * 6
    assert all(row["key"]["is_match"] and not row["key"]["is_exposed"] for row in rows)
    assert code == 0


def test_postfix_and_dovecot_present_what_they_are_told_to_after_starttls(
    start_plain: StartPlain, issued: Issued, compared: Compared
):
    postfix, dovecot = start_plain(Postfix, tls=issued), start_plain(Dovecot, tls=issued)
    code, rows = compared(postfix=postfix._directory / "main.cf", dovecot=dovecot._directory / "dovecot.conf")
    assert {(row["product"], row["port"], row["starttls"]) for row in rows} == {
        ("postfix", postfix.port, "smtp"),
        ("dovecot", dovecot.imap_port, "imap"),
        ("dovecot", dovecot.pop3_port, "pop3"),
        ("dovecot", dovecot.sieve_port, "sieve"),
        ("dovecot", dovecot.lmtp_port, "lmtp"),
    }
    assert {row["served"][0]["fingerprint"] for row in rows} == {issued.fingerprint}
    assert (code, [row["findings"] for row in rows]) == (0, [[]] * 5)


def test_apache_itself_names_the_same_virtual_hosts(apache: Apache, compared: Compared):
    apache.write("c.test", "d.test")
    said = apache.virtual_hosts()
    _, rows = compared(apache=apache.start_file)
    for row in rows:
        where = f"({row['file']}:{row['line']})"
        assert any(row["server_name"] in line and where in line for line in said.splitlines()), said


def test_a_forgotten_reload_is_found_until_it_is_made_up_for(
    start_nginx: StartNginx, lab_ca: CertificateAuthority, compared: Compared
):
    nginx = start_nginx("a.test", "b.test")
    site, renewed = nginx.sites[0], lab_ca.issue("a.test")
    renewed.write(site.certificate.parent)
    code, rows = compared(nginx=nginx.directory / "nginx.conf")
    assert (code, [row["findings"] for row in rows]) == (3, [["not-served"], []])
    assert rows[0]["configured"]["fingerprint"] == renewed.fingerprint
    assert rows[0]["served"][0]["fingerprint"] == site.issued.fingerprint
    nginx.reload()
    # For a moment after it, workers with the old certificate still take connections.
    deadline = time.monotonic() + 30
    while compared(nginx=nginx.directory / "nginx.conf")[0] != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_key_that_everybody_may_read_and_one_that_does_not_fit_are_found(
    start_nginx: StartNginx, lab_ca: CertificateAuthority, compared: Compared
):
    nginx = start_nginx("a.test", "b.test")
    nginx.sites[0].key.chmod(0o644)
    nginx.sites[1].key.write_bytes(lab_ca.issue("other.test").key_pem)
    code, rows = compared(nginx=nginx.directory / "nginx.conf")
    assert (code, [row["findings"] for row in rows]) == (3, [["key-exposed"], ["key-mismatch"]])
    assert "PRIVATE KEY" not in json.dumps(rows)


def test_a_server_that_is_down_and_a_file_that_is_gone_are_found(haproxy: HaProxy, compared: Compared):
    haproxy.write("e.test")
    assert [row["findings"] for row in compared(haproxy=haproxy.start_file)[1]] == [["no-answer"]]
    haproxy.start_file.write_text(f"frontend www\n bind 127.0.0.1:{haproxy.port} ssl crt /gone.pem\n")
    code, rows = compared(haproxy=haproxy.start_file)
    assert (code, rows[0]["findings"]) == (3, ["unreadable", "no-answer"])


def test_a_configuration_that_cannot_be_read_is_a_gap(tmp_path: Path, compared: Compared):
    code, rows = compared(nginx=tmp_path / "gone.conf")
    assert code == 1
    assert [row["gap"]["scope"] for row in rows] == [str(tmp_path / "gone.conf")]


def test_a_product_that_nobody_reads_is_refused(compared: Compared):
    assert compared(iis=Path("/x")) == (2, [])


def test_stunnel_serves_each_name_what_it_is_told_to(stunnel: Stunnel, compared: Compared):
    stunnel.write("first.test", "a.test", "b.test")
    stunnel.start()
    code, rows = compared(stunnel=stunnel.start_file)
    assert (code, [row["findings"] for row in rows]) == (0, [[], [], []])
    names = {None: "first.test", "a.test": "a.test", "b.test": "b.test"}
    assert served(rows) == {asked: stunnel.issued[name].fingerprint for asked, name in names.items()}


@pytest.mark.parametrize("keystores", [False, True])
def test_tomcat_serves_each_host_name_what_it_is_told_to(keystores: bool, tomcat: Tomcat, compared: Compared):
    tomcat.write("a.test", "b.test", keystores=keystores)
    tomcat.start()
    code, rows = compared(tomcat=tomcat.start_file)
    assert (code, [row["findings"] for row in rows]) == (0, [[], []])
    assert served(rows) == {name: one.fingerprint for name, one in tomcat.issued.items()}


def test_caddy_serves_the_files_that_it_is_given_and_what_it_obtains_by_itself(
    caddy: Caddy, compared: Compared
):
    caddy.write("a.test", "b.test", obtained=("c.test",))
    caddy.start()
    deadline = time.monotonic() + 20
    while not (obtained := list(caddy.storage.glob("certificates/local/c.test/c.test.crt"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    code, rows = compared(caddy=caddy.start_file)
    assert [(row["server_name"], row["findings"]) for row in rows] == [
        ("a.test", []),
        ("b.test", []),
        ("c.test", []),
    ]
    assert rows[0]["served"][0]["fingerprint"] == caddy.issued["a.test"].fingerprint
    assert rows[2]["certificate"] == str(obtained[0])
    assert code == 0


def test_a_host_certificate_of_sshd_is_shown_with_its_end_and_its_key(tmp_path: Path, compared: Compared):
    host = HostCertificate(tmp_path, valid="20260101000000Z:20361231000000Z")
    (tmp_path / "sshd_config").write_text(f"HostKey {host.key}\nHostCertificate {host.certificate}\n")
    code, [row] = compared(sshd=tmp_path / "sshd_config")
    assert (code, row["findings"], row["served"]) == (0, [], [])
    assert row["configured"]["not_after"] == "2036-12-31T00:00:00+00:00"
    assert (row["key"]["path"], row["key"]["is_match"]) == (str(host.key), True)


def bigip_files(form: str, folder: Path, *, certificate: Issued, port: int) -> Path:
    """Write what a BIG-IP keeps: a configuration beside the certificate's file, or an archive of both."""
    in_archive = "/config/filestore/files_d/Common_d/certificate_d/:Common:shop.crt_1_1"
    kept = folder / "shop.crt_1_1"
    text = f"""
sys file ssl-cert /Common/shop.crt {{
    cache-path {in_archive if form == "ucs" else kept}
}}
ltm profile client-ssl /Common/shop {{
    cert-key-chain {{
        default {{
            cert /Common/shop.crt
        }}
    }}
    defaults-from /Common/clientssl
}}
ltm virtual /Common/shop {{
    destination /Common/127.0.0.1:{port}
    profiles {{
        /Common/shop {{ }}
    }}
}}
"""
    kept.write_bytes(certificate.certificate_pem)
    plain = folder / "bigip.conf"
    plain.write_text(text)
    if form != "ucs":
        return plain
    with tarfile.open(folder / "backup.ucs", mode="w:gz") as archive:
        archive.add(plain, "config/bigip.conf")
        archive.add(kept, in_archive.replace("/config/filestore", "var/tmp/filestore_temp"))
    plain.unlink()
    kept.unlink()
    return folder / "backup.ucs"


@pytest.mark.parametrize("form", ["conf", "ucs"])
def test_what_a_bigip_is_configured_to_serve_is_compared_with_what_answers(
    form: str, tmp_path: Path, lab_ca: CertificateAuthority, compared: Compared
):
    served, renewed = lab_ca.issue("shop.test"), lab_ca.issue("shop.test")
    with openssl_server(issued=served, folder=tmp_path / "server") as port:
        code, [row] = compared(bigip=bigip_files(form, tmp_path, certificate=renewed, port=port))
    assert (code, row["findings"], row["product"]) == (3, ["not-served"], "bigip")
    assert (row["configured"]["fingerprint"], row["served"][0]["fingerprint"]) == (
        renewed.fingerprint,
        served.fingerprint,
    )
