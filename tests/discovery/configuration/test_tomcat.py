"""Tomcat's server.xml: hosts of a connector, files and keystores, properties, and the old way of saying it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.configuration import tomcat
from services.discovery.domain.holdings import Listener, Reading
from tests.discovery.configuration.held import HeldFiles

START = "/opt/tomcat/conf/server.xml"


async def read(connectors: str, **files: str) -> Reading:
    text = f'<Server port="-1"><Service name="Catalina">\n{connectors}\n</Service></Server>'
    return await read_text(text, **files)


async def read_text(text: str, **files: str) -> Reading:
    beside = {f"/opt/tomcat/conf/{name}": body for name, body in files.items()}
    return await tomcat.read(HeldFiles({START: text} | beside), START)


def connector(inner: str, attributes: str = "") -> str:
    return f'<Connector port="8443" SSLEnabled="true" {attributes}>\n{inner}\n</Connector>'


async def test_each_host_has_its_certificates_and_the_unnamed_one_answers_where_no_name_fits():
    reading = await read(
        connector(
            """<SSLHostConfig protocols="+TLSv1.2+TLSv1.3" ciphers="HIGH" certificateVerification="required"
                 caCertificateFile="conf/ca.pem">
                 <Certificate certificateFile="conf/rsa.pem" certificateKeyFile="conf/rsa.key" type="RSA"/>
                 <Certificate certificateFile="/ec.pem" certificateChainFile="/chain.pem" type="EC"/>
               </SSLHostConfig>
               <SSLHostConfig hostName="Shop.test"><Certificate certificateFile="/shop.pem"/></SSLHostConfig>""",
            'address="192.0.2.1"',
        )
    )
    rsa, ec, shop = reading.uses
    assert (rsa.certificate, rsa.key, rsa.line) == ("/opt/tomcat/conf/rsa.pem", "/opt/tomcat/conf/rsa.key", 5)
    assert (rsa.protocols, rsa.ciphers) == (("+TLSv1.2", "+TLSv1.3"), "HIGH")
    assert (rsa.client_verification, rsa.trusted_ca) == ("required", "/opt/tomcat/conf/ca.pem")
    assert (ec.certificate, ec.key, ec.chain) == ("/ec.pem", "/ec.pem", "/chain.pem")
    assert (rsa.server_names, rsa.is_default, shop.server_names, shop.is_default) == (
        (),
        True,
        ("shop.test",),
        False,
    )
    assert {use.listeners for use in reading.uses} == {(Listener(address="192.0.2.1", port=8443),)}


async def test_another_host_may_be_the_default():
    host = '<SSLHostConfig hostName="a.test"><Certificate certificateFile="/a.pem"/></SSLHostConfig>'
    [use] = (await read(connector(host, 'defaultSSLHostConfigName="a.test"'))).uses
    assert (use.server_names, use.is_default) == (("a.test",), True)


async def test_up_to_tomcat_9_the_connector_itself_may_say_it():
    [use] = (
        await read(connector("", 'keystoreFile="conf/k.jks" clientAuth="want" sslEnabledProtocols="TLSv1.2"'))
    ).uses
    assert (use.certificate, use.key) == ("/opt/tomcat/conf/k.jks", "/opt/tomcat/conf/k.jks")
    assert (use.client_verification, use.protocols, use.is_default) == ("optional", ("TLSv1.2",), True)


async def test_an_entry_of_a_keystore_is_named_with_it():
    certificate = '<Certificate certificateKeystoreFile="conf/k.p12" certificateKeyAlias="www"/>'
    [use] = (await read(connector(f"<SSLHostConfig>{certificate}</SSLHostConfig>"))).uses
    assert (use.certificate, use.key) == ("/opt/tomcat/conf/k.p12#www", "/opt/tomcat/conf/k.p12")


async def test_properties_are_replaced_and_those_of_the_environment_are_a_gap():
    hosts = "".join(
        f'<SSLHostConfig hostName="{name}"><Certificate certificateFile="{path}"/></SSLHostConfig>'
        for name, path in {
            "a": "${catalina.base}/a.pem",
            "b": "${tls.folder}/b.pem",
            "c": "${nowhere:-/etc/c.pem}",
            "d": "${HOME}/d.pem",
            "e": "file:///etc/my%20tls/e.pem",
        }.items()
    )
    reading = await read(connector(hosts), **{"catalina.properties": "# here\ntls.folder = /srv/tls\n"})
    assert [use.certificate for use in reading.uses] == [
        "/opt/tomcat/a.pem",
        "/srv/tls/b.pem",
        "/etc/c.pem",
        "/etc/my tls/e.pem",
    ]
    assert [gap.scope for gap in reading.gaps] == [START]


async def test_what_speaks_no_tls_or_listens_nowhere_presents_nothing():
    host = '<SSLHostConfig><Certificate certificateFile="/a.pem"/></SSLHostConfig>'
    assert (await read(f'<Connector port="8080">{host}</Connector>')).uses == ()
    assert (await read(connector(host).replace("8443", "-1"))).uses == ()
    assert (await read(f"<!-- {connector(host)} -->")).uses == ()


@pytest.mark.parametrize(
    "certificate",
    ['certificateKeystoreType="PKCS11" certificateKeystoreFile="x"', 'certificateKeyAlias="www"'],
)
async def test_a_certificate_in_no_file_is_a_gap(certificate: str):
    reading = await read(connector(f"<SSLHostConfig><Certificate {certificate}/></SSLHostConfig>"))
    assert (reading.uses, len(reading.gaps)) == ((), 1)


async def test_entities_are_not_followed():
    reading = await read_text('<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><Server>&x;</Server>')
    assert (reading.uses, [gap.scope for gap in reading.gaps]) == ((), [START])


async def test_what_is_before_a_mistake_is_read_and_the_mistake_is_a_gap():
    host = '<SSLHostConfig><Certificate certificateFile="/a.pem"/></SSLHostConfig>'
    reading = await read_text(f"<Server>{connector(host)}<Service")
    assert ([use.certificate for use in reading.uses], len(reading.gaps)) == (["/a.pem"], 1)


@given(st.text())
async def test_any_text_ends_without_an_exception(text: str):
    await read_text(text)
    await read(text)
    await read(connector(text))
