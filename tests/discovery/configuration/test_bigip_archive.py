"""UCS archives: configuration and certificates come out of them, and nothing else does, however they are made."""

import gzip
import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import bigip
from services.discovery.configuration.bigip import archive
from services.discovery.configuration.bigip.archive import opened
from shared.errors import Invalid
from tests.discovery.configuration.test_bigip import START, STORE, pair, profile, stored, virtual

CONFIGURATION = stored("cert", "/Common/web.crt") + profile("web", pair("web")) + virtual("v", "web")
CERTIFICATE = "var/tmp/filestore_temp/files_d/Common_d/certificate_d/:Common:web.crt_100_1"
KEY = "var/tmp/filestore_temp/files_d/Common_d/certificate_key_d/:Common:web.key_100_1"
PLAIN = {"config/bigip.conf": CONFIGURATION, CERTIFICATE: "PEM", KEY: "-----BEGIN PRIVATE KEY-----"}


def packed(files: dict[str, str], *members: tarfile.TarInfo, kind: int = tarfile.GNU_FORMAT) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=kind) as made:
        for member in members:
            made.addfile(member)
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            made.addfile(member, io.BytesIO(text.encode()))
    return io.BytesIO(buffer.getvalue())


def member(name: str, kind: bytes, *, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


async def test_an_archive_is_read_as_the_device_is():
    reading = await bigip.read(opened(packed(PLAIN)), START)
    assert [use.certificate for use in reading.uses] == [
        f"{STORE}/Common_d/certificate_d/:Common:web.crt_100_1"
    ]
    assert reading.gaps == ()


async def test_partitions_and_older_archives_are_read():
    sales = {
        "config/bigip.conf": "",
        "config/partitions/Sales/bigip.conf": CONFIGURATION,
        CERTIFICATE.replace("var/tmp/filestore_temp", "config/filestore"): "PEM",
    }
    files = opened(packed(sales))
    [use] = (await bigip.read(files, START)).uses
    assert (use.file, await files.read(use.certificate)) == ("/config/partitions/Sales/bigip.conf", b"PEM")


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_long_names_are_read(kind: int):
    long = CERTIFICATE.replace("web.crt", "w" * 150)
    files = opened(packed({**PLAIN, long: "LONG"}, kind=kind))
    assert await files.read(f"{STORE}/Common_d/certificate_d/:Common:{'w' * 150}_100_1") == b"LONG"


async def test_private_keys_are_passed_over_also_where_they_should_not_be():
    mixed = {**PLAIN, CERTIFICATE: "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"}
    files = opened(packed(mixed))
    assert await files.glob(f"{STORE}/Common_d/certificate_key_d/*") == []
    assert [await files.read(path) for path in await files.glob(f"{STORE}/Common_d/certificate_d/*")] == [b""]


async def test_links_devices_and_ways_out_are_passed_over():
    tricks = [
        member(CERTIFICATE, tarfile.SYMTYPE, target="/etc/shadow"),
        member(CERTIFICATE, tarfile.LNKTYPE, target="config/bigip.conf"),
        member("config/bigip_base.conf", tarfile.CHRTYPE),
        member("config/partitions/../bigip.conf", tarfile.REGTYPE),
        member("../../config/bigip.conf", tarfile.REGTYPE),
        member("etc/shadow", tarfile.REGTYPE),
    ]
    files = opened(packed({"config/bigip.conf": CONFIGURATION}, *tricks))
    for pattern in ("/*", "/*/*", "/*/*/*", "/*/*/*/*", "/*/*/*/*/*/*"):
        assert set(await files.glob(pattern)) <= {START}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no UCS archive"),
        (b"Salted__12345678", "no UCS archive"),
        (gzip.compress(b"nothing"), "no UCS archive"),
        (packed(PLAIN).getvalue()[:-200], "no UCS archive"),
        (packed({"etc/hosts": ""}).getvalue(), "no BIG-IP configuration"),
    ],
    ids=["empty", "encrypted", "no tar", "cut short", "of another"],
)
def test_what_is_no_archive_is_refused(content: bytes, reason: str):
    with pytest.raises(Invalid, match=reason):
        opened(io.BytesIO(content))


def test_an_archive_that_becomes_too_large_is_refused(monkeypatch: pytest.MonkeyPatch):
    huge = member("var/huge", b"x")
    huge.size = archive.LONGEST_HEADER + 1
    with pytest.raises(Invalid, match="too large"):
        opened(io.BytesIO(gzip.compress(huge.tobuf() + bytes(100_000))))
    for limit in ("MOST_UNPACKED", "MOST_KEPT", "MOST_MEMBERS"):
        with monkeypatch.context() as patched:
            patched.setattr(archive, limit, 2)
            with pytest.raises(Invalid, match="too large"):
                opened(packed(PLAIN))


def test_a_large_file_is_read_no_further_than_its_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "LARGEST_CERTIFICATE", 10)
    files = opened(packed({**PLAIN, CERTIFICATE: "x" * 100_000}))
    assert len(files.content(f"{STORE}/Common_d/certificate_d/:Common:web.crt_100_1")) == 11


@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject):
    plain = bytearray(gzip.decompress(packed(PLAIN).getvalue()))
    for at in data.draw(st.lists(st.integers(0, 2000), max_size=5)):
        plain[at] = data.draw(st.integers(0, 255))
    with suppress(Invalid):
        opened(io.BytesIO(gzip.compress(bytes(plain), 1)))
