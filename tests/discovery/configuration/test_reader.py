"""What a configuration may cost: a hostile one ends too, and says that it was cut short."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from services.discovery.configuration import apache, nginx, postfix
from services.discovery.configuration.files import MOST_FILES
from services.discovery.configuration.reader import Reader, host_and_port
from tests.discovery.configuration.held import HeldFiles


@dataclass(frozen=True)
class CountingFiles(HeldFiles):
    fetched: Counter[str] = field(default_factory=Counter)

    async def read(self, path: str) -> bytes:
        self.fetched[path] += 1
        return await super().read(path)


async def test_a_file_that_is_included_often_is_fetched_once():
    files = CountingFiles({"/a": "text"})
    reader = Reader(files)
    assert [await reader.text("/a") for _ in range(3)] == ["text"] * 3
    assert files.fetched["/a"] == 1


async def test_includes_that_multiply_end_and_leave_a_gap():
    # Ten in each of ten: ten thousand million, were they all followed.
    levels = {f"/etc/nginx/{n}": f"include {n + 1};" * 10 for n in range(10)}
    files = HeldFiles({"/etc/nginx/nginx.conf": "include 0;"} | levels)
    reading = await nginx.read(files, "/etc/nginx/nginx.conf")
    assert "All includes together are too much." in {gap.reason for gap in reading.gaps}


async def test_more_files_than_are_read_leave_a_gap():
    reader = Reader(HeldFiles({f"/{n}": "" for n in range(MOST_FILES + 1)}))
    for n in range(MOST_FILES + 1):
        await reader.text(f"/{n}")
    assert [gap.scope for gap in reader.reading([]).gaps] == [f"/{MOST_FILES}"]


async def test_variables_that_double_one_another_stay_small():
    pairs = list(pairwise(f"v{n}" for n in range(60)))
    main = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = $v59\nv0 = xxxxxxxxxx\n"
    main += "\n".join(f"{after} = ${before}${before}" for before, after in pairs)
    files = HeldFiles({"/p/main.cf": main, "/p/master.cf": "smtp inet n - y - - smtpd\n"})
    reading = await postfix.read(files, "/p/main.cf")
    assert all(len(use.certificate) < 1_000_000 for use in reading.uses)

    defines = "\n".join(f"Define {after} ${{{before}}}${{{before}}}" for before, after in pairs)
    httpd = f"Define v0 xxxxxxxxxx\n{defines}\nListen 443\nSSLEngine on\nSSLCertificateFile ${{v59}}"
    assert (await apache.read(HeldFiles({"/h.conf": httpd}), "/h.conf")).uses == ()


def test_addresses_and_ports_are_read_as_servers_write_them():
    assert host_and_port("443") == (None, 443)
    assert host_and_port("*:443") == host_and_port("[::]:443") == host_and_port("0.0.0.0:443") == (None, 443)
    assert host_and_port("[2001:DB8::1]:8443") == ("2001:db8::1", 8443)
    assert [host_and_port(text) for text in ("", "0", "65536", "unix:/run/x", "a:b:1", "²")] == [None] * 6
