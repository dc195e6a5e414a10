"""Apache's configuration: virtual hosts, what they take from the server, and sections that may not count."""

from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import apache
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/etc/apache2/apache2.conf"


async def read(text: str, **others: str) -> Reading:
    files = {START: text} | {
        f"/etc/apache2/{name.replace('__', '/')}.conf": body for name, body in others.items()
    }
    return await apache.read(HeldFiles(files), START)


async def test_a_virtual_host_presents_its_certificate_where_the_server_listens():
    reading = await read("""
        Listen 80
        Listen 192.0.2.1:443 https
        SSLProtocol -all +TLSv1.2
        <VirtualHost *:443>
            ServerName https://Example.org:443
            ServerAlias www.example.org \\
                *.example.net
            sslengine ON
            SSLCertificateFile "tls/cert.pem"
            SSLCertificateKeyFile /etc/keys/key.pem
            SSLCertificateChainFile tls/chain.pem
            SSLCACertificateFile tls/ca.pem
            SSLVerifyClient require
            SSLCipherSuite HIGH
            SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256
        </VirtualHost>
        <VirtualHost *:80>
            ServerName plain.test
            SSLCertificateFile never.pem
        </VirtualHost>""")
    [use] = reading.uses
    assert use.listeners == (Listener(address="192.0.2.1", port=443),)
    assert use.server_names == ("example.org", "www.example.org", "*.example.net")
    assert (use.certificate, use.key) == ("/etc/apache2/tls/cert.pem", "/etc/keys/key.pem")
    assert (use.chain, use.trusted_ca) == ("/etc/apache2/tls/chain.pem", "/etc/apache2/tls/ca.pem")
    assert (use.client_verification, use.ciphers) == ("required", "HIGH")
    assert use.protocols == ("-all", "+TLSv1.2")
    assert (use.file, use.line) == (START, 5)


async def test_certificates_of_the_server_hold_where_a_virtual_host_has_none():
    reading = await read("""
        Listen 443
        SSLEngine on
        SSLCertificateFile main.pem
        <VirtualHost _default_:443>
        </VirtualHost>
        <VirtualHost *:443>
            ServerName own.test
            SSLCertificateFile own.pem
        </VirtualHost>
        <VirtualHost *:443>
            ServerName off.test
            SSLEngine off
        </VirtualHost>""")
    assert [(use.server_names, use.certificate) for use in reading.uses] == [
        ((), "/etc/apache2/main.pem"),
        (("own.test",), "/etc/apache2/own.pem"),
    ]


async def test_a_server_without_virtual_hosts_presents_its_own_certificate():
    reading = await read("Listen 8443\nSSLEngine on\nSSLCertificateFile main.pem")
    assert [(use.listeners, use.key) for use in reading.uses] == [
        ((Listener(port=8443),), "/etc/apache2/main.pem")
    ]


async def test_sections_count_where_the_module_is_loaded_and_the_name_defined():
    reading = await read(
        """
        ServerRoot /srv/httpd
        LoadModule ssl_module modules/mod_ssl.so
        Define HOME /srv/tls
        Listen 443
        <IfModule mod_ssl.c>
          <IfModule !ssl_module>
            Listen 444
          </IfModule>
          <IfDefine HOME>
            <VirtualHost *:443>
              SSLEngine on
              SSLCertificateFile ${HOME}/a.pem
              <Directory />
                SSLCertificateFile in-a-folder.pem
              </Directory>
            </VirtualHost>
          </IfDefine>
        </IfModule>
        <IfModule mod_gnutls.c>
          Include nowhere.conf
        </IfModule>"""
    )
    [use] = reading.uses
    assert (use.certificate, use.listeners) == ("/srv/tls/a.pem", (Listener(port=443),))
    assert reading.gaps == ()


async def test_includes_may_be_patterns_and_folders_and_only_the_optional_may_be_missing():
    host = "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile {}.pem\n</VirtualHost>"
    reading = await read(
        "Listen 443\nIncludeOptional sites/*.conf\nIncludeOptional none.conf\nInclude more\nInclude gone.conf",
        sites__a=host.format("a"),
        more__b=host.format("b"),
    )
    assert [use.certificate for use in reading.uses] == ["/etc/apache2/a.pem", "/etc/apache2/b.pem"]
    assert [gap.scope for gap in reading.gaps] == ["/etc/apache2/gone.conf"]


async def test_what_mod_md_manages_is_in_its_store():
    reading = await read("""
        Listen 443
        MDomain example.org www.example.org
        <VirtualHost *:443>
            ServerName www.example.org
            SSLEngine on
        </VirtualHost>""")
    assert [use.certificate for use in reading.uses] == ["/etc/apache2/md/domains/example.org/pubcert.pem"]


async def test_unknown_variables_and_macros_are_gaps():
    reading = await read("""
        Listen 443
        Use TlsHost example.org
        <VirtualHost *:443>
            SSLEngine on
            SSLCertificateFile ${WHERE}/a.pem
        </VirtualHost>""")
    assert reading.uses == ()
    assert sorted("macro" in gap.reason for gap in reading.gaps) == [False, True]


async def test_the_first_virtual_host_of_an_address_answers_for_names_that_nobody_has():
    host = "<VirtualHost *:{}>\nSSLEngine on\nSSLCertificateFile a.pem\n</VirtualHost>\n"
    reading = await read("Listen 443\nListen 444\n" + host.format(443) + host.format(443) + host.format(444))
    assert [use.is_default for use in reading.uses] == [True, False, True]


@given(st.text() | st.text(alphabet="<>/\"'\\ \nab${}"))
async def test_any_text_is_read_without_an_exception(text: str):
    await read(f"Listen 443\n<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile {text}")
