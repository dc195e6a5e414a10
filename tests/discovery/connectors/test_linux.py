"""A Linux host as an account with few rights sees it, over a real sshd."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr

from services.discovery.connectors import Access
from services.discovery.connectors.linux import LinuxCredential, LinuxHost, LinuxSettings
from services.discovery.connectors.linux import source as linux
from services.discovery.domain.holdings import Listener, Page
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority

ACCOUNT = "postgres"
"""An account that is not root; the tests' database brings it."""


@pytest.fixture
def open_sshd() -> Iterator[Sshd]:
    """An sshd that runs as that account, and lets in nobody else."""
    with tempfile.TemporaryDirectory(prefix="everleaf-sshd-") as folder:
        Path(folder).chmod(0o755)
        server = Sshd(Path(folder), user=ACCOUNT)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def store() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="everleaf-store-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@asynccontextmanager
async def opened(
    sshd: Sshd, folder: Path, *, store_passwords: Sequence[str] = ()
) -> AsyncIterator[LinuxHost]:
    settings = LinuxSettings(
        host=sshd.host,
        port=sshd.port,
        username=sshd.username,
        host_key=sshd.host_key,
        folders=[str(folder)],
        configurations={"nginx": str(folder / "nginx.conf")},
    )
    credential = LinuxCredential.model_validate(
        {"private_key": sshd.client_key, "store_passwords": list(store_passwords)}
    )
    async with LinuxHost.open(Access(settings=settings, credential=credential)) as host:
        yield host


async def pages(host: LinuxHost, *, after: str | None = None) -> list[Page]:
    return [page async for page in host.read(after=after)]


def gaps(found: list[Page]) -> set[tuple[str, str]]:
    return {(gap.scope, gap.reason) for page in found for gap in page.gaps}


async def test_what_the_account_may_not_read_is_a_gap_each(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority
):
    shut, folder, configuration = store / "shut.pem", store / "folder", store / "nginx.conf"
    (store / "open.pem").write_bytes(lab_ca.issue("open.test").certificate_pem)
    for path in (shut, configuration):
        path.write_text("")
        path.chmod(0o600)
    folder.mkdir(mode=0o700)
    async with opened(open_sshd, store) as host:
        found = await pages(host)
        checks = {check.name: check.ok for check in await host.check()}
    assert [holding.path for page in found for holding in page.holdings] == [str(store / "open.pem")]
    assert gaps(found) == {
        (str(shut), "It may not be read."),
        (str(folder), "It may not be listed."),
        (str(configuration), "It may not be read."),
    }
    assert checks == {"login": True, "openssl": True, "folder": True}


async def test_reading_goes_on_after_a_position(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(linux, "FILES_PER_PAGE", 2)
    pem = lab_ca.issue("a.test").certificate_pem
    paths = [store / f"{number}.pem" for number in range(5)]
    for path in paths:
        path.write_bytes(pem)
    (store / "nginx.conf").write_text("")
    async with opened(open_sshd, store) as host:
        whole = await pages(host)
        rest = await pages(host, after=whole[0].position)
    assert [page.position for page in whole] == [str(paths[1]), str(paths[3]), None]
    assert [holding.path for page in rest for holding in page.holdings] == list(map(str, paths[2:]))


async def test_a_name_with_a_line_break_in_a_configuration_is_a_gap(open_sshd: Sshd, store: Path):
    name = f"{store}/two\nlines.pem"
    (store / "nginx.conf").write_text(f'http {{ server {{ listen 443 ssl; ssl_certificate "{name}"; }} }}')
    async with opened(open_sshd, store) as host:
        found = await pages(host)
    assert gaps(found) == {(name, "Its name is not plain UTF-8.")}


async def test_a_bigip_is_read_as_the_host_that_it_is(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority
):
    issued = lab_ca.issue("shop.test")
    kept = store / ":Common:shop.crt_62234_1"
    kept.write_bytes(issued.certificate_pem)
    (store / "bigip.conf").write_text(
        f"sys file ssl-cert /Common/shop.crt {{\n    cache-path {kept}\n}}\n"
        "ltm profile client-ssl /Common/shop {\n    cert-key-chain {\n        a {\n            cert /Common/shop.crt\n"
        "        }\n    }\n    defaults-from /Common/clientssl\n}\n"
        "ltm virtual /Common/shop {\n    destination /Common/192.0.2.1:443\n    profiles {\n        /Common/shop { }\n    }\n}\n"
    )
    settings = LinuxSettings(
        host=open_sshd.host,
        port=open_sshd.port,
        username=open_sshd.username,
        host_key=open_sshd.host_key,
        folders=[],
        configurations={"bigip": str(store / "bigip.conf")},
    )
    credential = LinuxCredential(private_key=SecretStr(open_sshd.client_key))
    async with LinuxHost.open(Access(settings=settings, credential=credential)) as host:
        [page] = await pages(host)
    [held] = page.holdings
    assert (held.path, held.chain) == (str(kept), (issued.certificate.public_bytes(Encoding.DER),))
    assert [(use.product, use.listeners) for use in held.uses] == [
        ("bigip", (Listener(address="192.0.2.1", port=443),))
    ]


async def test_a_key_in_a_folder_that_everybody_may_write_to_is_told(
    open_sshd: Sshd, store: Path, lab_ca: CertificateAuthority
):
    for name, mode in (("closed", 0o755), ("open", 0o777), ("sticky", 0o1777)):
        _, key = lab_ca.issue(f"{name}.test").write(store / name, key_mode=0o644)
        key.parent.chmod(mode)
    async with opened(open_sshd, store) as host:
        keys = [each.key for page in await pages(host) for each in page.holdings]
    assert [key and (key.is_match, key.is_replaceable) for key in keys] == [
        (True, False),
        (True, True),
        (True, False),
    ]
