"""A Windows host is read: its stores, its keys, and what uses them; what it says is held to be a stranger's word."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.discovery.connectors.windows import WindowsHost as Source
from services.discovery.connectors.windows.keys import is_exposed
from services.discovery.connectors.windows.scripts import CERTIFICATES, EVERY, USES
from services.discovery.domain.holdings import Gap, Holding, Listener
from shared.appliances.powershell import COMMAND, listed, texts, written
from shared.errors import Refused, Unavailable
from tests.discovery.connectors.devices import access, read
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority
from tests.servers.windows import ADMINISTRATORS_ONLY, PASSWORD, USER, Held, WindowsHost

IIS = "4dc3e181-e14b-4a21-b022-59fc669b0914"
WINRM = "afebb9ad-9b97-4a91-9ab5-daf4d59122f6"


@pytest.fixture
async def host() -> AsyncIterator[WindowsHost]:
    opened = WindowsHost()
    await opened.start()
    yield opened
    await opened.close()


async def read_all(host: WindowsHost, **settings: Any) -> tuple[dict[str, Holding], list[Gap]]:
    where = {"host": "127.0.0.1", "port": host.port, "username": USER, "host_key": host.host_key, **settings}
    return await read(Source, access(Source, settings=where, credential={"password": PASSWORD}))


async def test_a_host_behind_another_is_reached_through_it(host: WindowsHost, tmp_path: Path):
    jump = Sshd(tmp_path, options=["AllowTcpForwarding yes"])
    jump.start()
    try:
        thumbprint = host.hold("My", host.authority.issue("w.test"))
        where = {
            "host": "127.0.0.1",
            "port": host.port,
            "username": USER,
            "host_key": host.host_key,
            "jumps": [
                {
                    "host": jump.host,
                    "port": jump.port,
                    "username": jump.username,
                    "host_key": jump.host_key,
                }
            ],
        }
        secret = {"password": PASSWORD, "jumps": [{"private_key": jump.client_key}]}
        found, _ = await read(Source, access(Source, settings=where, credential=secret))
    finally:
        jump.stop()
    assert list(found) == [f"LocalMachine/My/{thumbprint}"]
    assert "Accepted publickey" in jump.log()


def binding(endpoint: str, thumbprint: str, **changes: Any) -> Mapping[str, Any]:
    told = {"Kind": "SslBindingInfo", "Endpoint": endpoint, "Hash": thumbprint, "Store": "My"}
    return {**told, "Application": IIS, **changes}


def site(name: str, written_as: str, thumbprint: str, **changes: Any) -> Mapping[str, Any]:
    return {"Site": name, "Binding": written_as, "Flags": 0, "Hash": thumbprint, "Store": "my", **changes}


def slots(holding: Holding) -> list[tuple[str, str, tuple[Listener, ...], tuple[str, ...]]]:
    return [(use.product, use.file, use.listeners, use.server_names) for use in holding.uses]


async def test_a_site_of_iis_says_where_and_by_what_name_it_serves_its_certificate(host: WindowsHost):
    shop, default = (host.hold("My", host.authority.issue(name)) for name in ("shop.test", "default.test"))
    host.state.uses = {
        "Iis": [
            site("Shop", "*:443:Shop.test", shop.lower(), Flags=1),
            site("Intern", "192.0.2.20:8443:", default),
            site("Broken", "443", default),
        ],
        "Http": [
            binding("shop.test:443", shop, Kind="SslSniBindingInfo"),
            binding("192.0.2.20:8443", default),
            binding("0.0.0.0:5986", default, Application=WINRM),
            binding("[::1]:9443", default, Application=None),
        ],
    }
    found, gaps = await read_all(host)
    assert gaps == []
    assert slots(found[f"LocalMachine/My/{shop}"]) == [
        ("iis", "iis/Shop", (Listener(port=443),), ("shop.test",))
    ]
    assert slots(found[f"LocalMachine/My/{default}"]) == [
        ("iis", "iis/Intern", (Listener(port=8443, address="192.0.2.20"),), ()),
        ("winrm", "http.sys/0.0.0.0:5986", (Listener(port=5986),), ()),
        ("http.sys", "http.sys/[::1]:9443", (Listener(port=9443, address="::1"),), ()),
    ]
    assert found[f"LocalMachine/My/{shop}"].addresses == ("127.0.0.1", "192.0.2.20")


async def test_remote_desktop_and_sql_server_use_certificates_before_tls_begins(host: WindowsHost):
    desktop = host.hold("Remote Desktop", host.authority.issue("rdp.test"))
    database = host.hold("My", host.authority.issue("sql.test"))
    host.state.uses = {
        "Rdp": [{"Name": "RDP-Tcp", "Hash": desktop, "Port": 3389}],
        "Sql": [
            {"Instance": "MSSQLSERVER", "Hash": database.lower(), "Port": "1433,1434"},
            {"Instance": "NONE", "Hash": "", "Port": "1500"},
        ],
    }
    found, _ = await read_all(host)
    [rdp] = found[f"LocalMachine/Remote Desktop/{desktop}"].uses
    [sql] = found[f"LocalMachine/My/{database}"].uses
    assert (rdp.product, rdp.listeners) == ("rdp", (Listener(port=3389, starttls="rdp"),))
    assert (sql.product, sql.listeners) == ("sql-server", (Listener(port=1433, starttls="mssql"),))


@pytest.mark.parametrize(
    ("uses", "in_use"),
    [
        ({}, False),
        ({"Role": 5}, None),  # a domain controller: its directory service picks a certificate by itself
        ({"Role": None}, None),
        ({"Gaps": [{"Scope": "iis", "Text": "Filename: redirection.config. Error: access denied"}]}, None),
    ],
)
async def test_unused_is_said_only_where_every_use_would_have_been_seen(
    host: WindowsHost, uses: Mapping[str, Any], in_use: bool | None
):
    thumbprint = host.hold("My", host.authority.issue("idle.test"))
    host.state.uses = dict(uses)
    found, gaps = await read_all(host)
    assert found[f"LocalMachine/My/{thumbprint}"].in_use is in_use
    assert [gap.scope for gap in gaps] == (["iis"] if "Gaps" in uses else [])


async def test_a_key_is_told_by_its_container_and_who_may_read_it(host: WindowsHost):
    open_to_all = ADMINISTRATORS_ONLY + "(A;;FR;;;BU)"
    issued = host.authority.issue("open.test")
    exposed = host.hold("My", issued, Sddl=open_to_all)
    closed = host.hold("My", host.authority.issue("closed.test"))
    other = host.hold("My", host.authority.issue("other.test"), IsMatch=False)
    none = Held(der=host.authority.issue("none.test").certificate.public_bytes(Encoding.DER))
    host.state.stores["My"].append(none)
    found, _ = await read_all(host)
    keys = [found[f"LocalMachine/My/{each}"].key for each in (exposed, closed, other, none.thumbprint)]
    assert [key and (key.is_exposed, key.is_match, key.owner) for key in keys] == [
        (True, True, "SYSTEM"),
        (False, True, "SYSTEM"),
        (False, False, "SYSTEM"),
        None,
    ]
    assert keys[0] is not None
    assert keys[0].path.endswith(r"Crypto\Keys\k1")
    assert keys[2] is not None
    assert keys[2].spki_sha256 is None


@pytest.mark.parametrize(
    ("sddl", "exposed"),
    [
        ("", False),
        (ADMINISTRATORS_ONLY, False),
        ("D:(A;;FR;;;WD)", True),
        ("D:(A;OICI;0x1200a9;;;S-1-5-32-545)", True),
        ("D:(A;;GAGR;;;AU)", True),
        ("D:(A;;0x100000;;;WD)", False),
        ("D:(D;;FA;;;WD)", False),
        ("D:(A;;FA;;;S-1-5-80-1)", False),
        ("D:(A;;0xzz;;;WD)((((", False),
    ],
)
def test_a_key_is_exposed_where_everybody_may_read_it(sddl: str, exposed: bool):
    assert is_exposed(sddl) is exposed


async def test_the_chain_is_made_of_the_intermediates_that_really_signed(host: WindowsHost):
    thumbprint = host.hold("My", host.authority.issue("chain.test"))
    namesake = CertificateAuthority("Windows root").intermediate("Windows issuing").certificate
    true = host.authority.certificate
    host.state.uses = {
        "Intermediates": [
            base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in (namesake, true)
        ]
        + ["", "AAAA", "%%%"]
    }
    found, _ = await read_all(host)
    assert found[f"LocalMachine/My/{thumbprint}"].chain[1:] == (true.public_bytes(Encoding.DER),)


async def test_what_iis_takes_from_its_central_store_is_a_gap(host: WindowsHost):
    host.state.uses = {"Iis": [site("Farm", "*:443:a.test", "", Flags=3)]}
    _, gaps = await read_all(host)
    assert [gap.scope for gap in gaps] == ["CentralCertificateStore"]


async def test_a_certificate_that_cannot_be_parsed_is_a_gap_of_its_own(
    host: WindowsHost, monkeypatch: pytest.MonkeyPatch
):
    good, bad = host.hold("My", host.authority.issue("good.test")), "A" * 40
    true = host._certificates

    def with_one_more(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        told = true(asked)
        broken = [
            {"Store": "My", "Thumbprint": bad, "Raw": "MAA="},
            {"Store": "My", "Thumbprint": "../../etc", "Raw": "MAA="},
            "no object",
        ]
        return {**told, "Certificates": [*told["Certificates"], *broken]}

    monkeypatch.setattr(host, "_certificates", with_one_more)
    found, gaps = await read_all(host)
    assert set(found) == {f"LocalMachine/My/{good}"}
    assert [gap.scope for gap in gaps] == [f"LocalMachine/My/{bad}"]


@pytest.mark.parametrize(
    "said",
    [
        b"PS C:\\> \r\n",
        b"#answer:%%%:answer#",
        b"#answer:" + base64.b64encode(b"[1]") + b":answer#",
        b"#answer:" + base64.b64encode(b'{"Certificates": []}') + b":answer#",
        b"#answer:" + base64.b64encode(b"\xff\xfe{\x00}\x00") + b":answer#",
        b"#answer:" + base64.b64encode(b"[" * 100_000) + b":answer#",
    ],
)
async def test_an_answer_that_is_none_is_said_to_be_none(host: WindowsHost, said: bytes):
    host.noise = said
    with pytest.raises(Unavailable):
        await read_all(host)


async def test_a_host_without_powershell_is_told_so(host: WindowsHost):
    host.state.is_plain_error = True
    with pytest.raises(Refused, match="does not run PowerShell"):
        await read_all(host)


async def test_another_host_key_is_not_logged_into(host: WindowsHost):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(Refused, match="another host key"):
        await read_all(host, host_key=other)


async def test_the_simulator_runs_nothing_but_the_scripts_it_knows(host: WindowsHost):
    """What is refused here would be refused in every other test too."""
    async with asyncssh.connect(
        "127.0.0.1", host.port, username=USER, password=PASSWORD, known_hosts=None
    ) as connection:
        for command, given in (
            ("cmd /c del x", ""),
            (COMMAND, written("Remove-Item C:\\x", {})),
            (COMMAND, written(USES + "\nRemove-Item x", {})),
        ):
            done = await connection.run(command, input=given)
            assert done.exit_status == 1
    assert host.writes == 3


def test_the_command_fits_into_a_line_of_cmd_and_the_scripts_are_ascii():
    assert len(COMMAND) < 1000  # cmd.exe takes 8191 characters
    assert all(script.isascii() for script in EVERY)
    hostile = "'); Remove-Item x; ('\u2019"
    sent = written(CERTIFICATES, {"stores": [hostile]})
    assert sent.isascii()
    assert "Remove-Item" not in sent
    encoded = re.search(r"FromBase64String\('([^']*)'\)", sent)
    assert encoded is not None
    assert json.loads(base64.b64decode(encoded[1])) == {"stores": [hostile]}


READING = {
    "ConvertFrom-Json",
    "ConvertTo-Json",
    "ForEach-Object",
    "Get-Acl",
    "Get-ChildItem",
    "Get-CimInstance",
    "Get-Item",
    "Get-ItemProperty",
    "Get-Module",
    "Get-WebBinding",
    "Import-Module",
    "Join-Path",
    "New-Object",
    "Select-Object",
    "Sort-Object",
    "Test-Path",
}


def test_the_scripts_call_nothing_that_writes():
    called = {name for script in EVERY for name in re.findall(r"\b[A-Z][a-z]+-[A-Z][A-Za-z]+\b", script)}
    assert called <= READING
    methods = {name for script in EVERY for name in re.findall(r"[.:](\w+)\(", script)}
    assert not [
        name for name in methods if re.match(r"(Set|Write|Delete|Remove|Add|Export(?!Parameters))", name)
    ]
    assert "ExportParameters($true)" not in "".join(EVERY)
    assert not re.search(r"[^>]>[^>=&]|Out-File|\bdel\b", re.sub(r"-replace|'[^']*'", "", "".join(EVERY)))


@pytest.mark.parametrize(
    ("written_as", "members"),
    [(None, []), ("a", ["a"]), (["a", "b"], ["a", "b"]), ({"value": ["a"], "Count": 1}, ["a"]), ([], [])],
)
def test_lists_are_read_as_powershell_may_write_them(written_as: Any, members: list[str]):
    assert listed(written_as) == members
    assert texts(written_as) == members
