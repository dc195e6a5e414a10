"""PostgreSQL's configuration: the last word of all files counts, and that of ALTER SYSTEM after them."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import postgres
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/postgresql/15/main/postgresql.conf"


async def read(text: str, **files: str) -> Reading:
    others = {path.replace("__", "/"): body for path, body in files.items()}
    return await postgres.read(
        HeldFiles({START: text} | {f"/{p}.conf": body for p, body in others.items()}), START
    )


async def test_relative_files_are_in_the_data_directory():
    reading = await read("""
data_directory = '/var/lib/pg'   # where it is
listen_addresses = '192.0.2.1, *'
port 5433
SSL = on
ssl_key_file = '/etc/it''s.key'
ssl_ca_file 'root.crt'
ssl_min_protocol_version = 'TLSv1.2'
""")
    [use] = reading.uses
    assert (use.certificate, use.key, use.trusted_ca) == (
        "/var/lib/pg/server.crt",
        "/etc/it's.key",
        "/var/lib/pg/root.crt",
    )
    assert use.listeners == (
        Listener(address="192.0.2.1", port=5433, starttls="postgres"),
        Listener(port=5433, starttls="postgres"),
    )
    assert use.protocols == ("ssl_min_protocol_version TLSv1.2",)


async def test_the_last_word_counts_and_alter_system_has_it():
    reading = await read(
        "data_directory = '/data'\nssl = on\nssl_cert_file = '/a.pem'\ninclude_dir 'conf.d'\ninclude_if_exists 'no.conf'",
        etc__postgresql__15__main__conf_d="",
        data__postgresql_auto="",
    )
    assert [use.certificate for use in reading.uses] == ["/a.pem"]
    files = {
        START: "data_directory = '/data'\nssl = off\ninclude_dir 'conf.d'",
        "/etc/postgresql/15/main/conf.d/10.conf": "ssl = on\nssl_cert_file = '/b.pem'",
        "/data/postgresql.auto.conf": "ssl_cert_file = '/c.pem'",
    }
    [use] = (await postgres.read(HeldFiles(files), START)).uses
    assert (use.certificate, use.file, use.line) == ("/c.pem", "/data/postgresql.auto.conf", 1)


async def test_without_ssl_or_without_an_address_nothing_is_presented():
    assert (await read("ssl_cert_file = '/a.pem'")).uses == ()
    assert (await read("ssl = on\nlisten_addresses = ''")).uses == ()


async def test_by_default_it_listens_on_this_host_only():
    assert [use.listeners for use in (await read("ssl = on")).uses] == [
        (Listener(address="localhost", port=5432, starttls="postgres"),)
    ]


async def test_an_include_that_is_not_there_is_a_gap():
    assert [gap.scope for gap in (await read("include 'gone.conf'")).gaps] == [
        "/etc/postgresql/15/main/gone.conf"
    ]


@given(st.text() | st.text(alphabet="='\\# \nab1"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(f"ssl = on\nport = {text}\nssl_cert_file = {text}")
