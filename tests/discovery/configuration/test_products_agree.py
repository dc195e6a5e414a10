"""What our readers make of a configuration, beside what the product's own command says of the same files."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.host_files import LocalFiles
from services.discovery.configuration.registry import PRODUCTS, SSHD
from services.discovery.domain.holdings import Use
from tests.servers.processes import free_port, program
from tests.servers.ssh import PRIVILEGE_SEPARATION, HostCertificate
from tests.servers.tls import CertificateAuthority

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def said(*command: str | Path, user: str | None = None) -> str:
    """Return what a command prints; it may not fail."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        user=user,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def uses(product: str, start: Path) -> tuple[Use, ...]:
    [reader] = [each for each in (*PRODUCTS, SSHD) if each.name == product]
    reading = await reader.read(LocalFiles(), str(start))
    assert reading.gaps == ()
    return reading.uses


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may come to."""
    with tempfile.TemporaryDirectory(prefix="everleaf-open-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_postconf_says_the_same_of_variables_overrides_and_lines_that_go_on(tmp_path: Path):
    (tmp_path / "main.cf").write_text(
        """
compatibility_level = 3.6
tls_folder = /etc/tls
which = ${certbot?live}${certbot:own}
smtpd_tls_cert_file = $tls_folder/${which}/
    cert.pem
smtpd_tls_key_file = $(tls_folder)/$which/key.pem
smtpd_tls_security_level = may
smtpd_tls_mandatory_protocols = >=TLSv1.2
""".replace("/\n    cert.pem", "/cert.pem")
    )
    (tmp_path / "master.cf").write_text(
        """smtp inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o { smtpd_tls_cert_file = /other/cert.pem }
  -o smtpd_tls_key_file=/other/key.pem
"""
    )
    postconf = program("postconf", package="postfix")
    plain, submission = await uses("postfix", tmp_path / "main.cf")
    files = said(postconf, "-c", tmp_path, "-xh", "smtpd_tls_cert_file", "smtpd_tls_key_file").splitlines()
    assert [plain.certificate, plain.key] == files
    overridden = said(postconf, "-c", tmp_path, "-Px", "submission/inet/*").splitlines()
    given = dict(line.split(" = ") for line in overridden)
    assert given["submission/inet/smtpd_tls_cert_file"] == submission.certificate
    assert given["submission/inet/smtpd_tls_key_file"] == submission.key
    assert [use.listeners[0].port for use in (plain, submission)] == [25, 587]


async def test_doveconf_says_the_same_of_includes_and_names(tmp_path: Path, lab_ca: CertificateAuthority):
    main, _ = lab_ca.issue("mail.test").write(tmp_path / "main")
    named, _ = lab_ca.issue("shop.test").write(tmp_path / "shop")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10-ssl.conf").write_text(
        f"ssl_cert = <{main}\nssl_key = <{main.parent}/key.pem\n"
        f"local_name shop.test {{\n  ssl_cert = <{named}\n  ssl_key = <{named.parent}/key.pem\n}}\n"
    )
    start = tmp_path / "dovecot.conf"
    start.write_text(
        f"protocols = imap\nssl = required\n!include conf.d/*.conf\n!include_try {tmp_path}/no.conf\n"
    )
    doveconf = program("doveconf", package="dovecot-core")
    found = {use.server_names: use.certificate for use in await uses("dovecot", start)}
    assert said(doveconf, "-c", start, "-h", "ssl_cert").removeprefix("<") == found[()]
    of_name = said(doveconf, "-c", start, "-f", "lname=shop.test", "-h", "ssl_cert")
    assert of_name.removeprefix("<") == found[("shop.test",)]


async def test_postgres_says_the_same_of_includes_and_of_what_alter_system_has_set(open_folder: Path):
    data = open_folder / "data"
    (data / "conf.d").mkdir(parents=True)
    port = free_port()
    (data / "postgresql.conf").write_text(
        "port = 1 # not this\nlisten_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = 'it''s.crt'\n"
        "include_dir 'conf.d'\nssl_min_protocol_version = 'TLSv1.2'\n"
    )
    (data / "conf.d" / "10-port.conf").write_text(f"PORT {port}\nssl_key_file='/etc/tls/key.pem'\n")
    (data / "postgresql.auto.conf").write_text("ssl_cert_file = '/etc/tls/cert.pem'\n")
    (data / "PG_VERSION").write_text(f"{POSTGRES[-1].parts[-3]}\n")
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    [use] = await uses("postgresql", data / "postgresql.conf")

    def setting(name: str) -> str:
        return said(POSTGRES[-1], "-D", data, "-C", name, user="postgres")

    assert (use.certificate, use.key) == (setting("ssl_cert_file"), setting("ssl_key_file"))
    assert [str(listener.port) for listener in use.listeners] == [setting("port")]
    assert use.protocols == (f"ssl_min_protocol_version {setting('ssl_min_protocol_version')}",)


async def test_sshd_says_the_same_of_its_listeners_and_host_certificates(tmp_path: Path):
    HostCertificate(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text("Port 2201\nListenAddress [127.0.0.1]:2202\n")
    start = tmp_path / "sshd_config"
    start.write_text(
        f"Include {tmp_path}/more/*.conf\nport=2203\nListenAddress ::1\nHostKey {tmp_path}/host_key\n"
        f'HostCertificate "{tmp_path}/host_key-cert.pub" # here\nMatch User x\n  X11Forwarding no\n'
    )
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    told = said(program("sshd", package="openssh-server"), "-T", "-f", start).splitlines()
    [use] = await uses("sshd", start)
    assert f"hostcertificate {use.certificate}" in told
    assert f"hostkey {use.key}" in told
    heard = {line.split()[1] for line in told if line.startswith("listenaddress")}
    assert heard == {
        f"[{each.address}]:{each.port}" if ":" in (each.address or "") else f"{each.address}:{each.port}"
        for each in use.listeners
    }
