import ssl

import pytest

from services.provisioner.connectors.hello import NotShown, client_hello, leaf_in
from tests.servers.tls import CertificateAuthority


def answered(context: ssl.SSLContext, hello: bytes) -> bytes:
    """Return what OpenSSL answers to a hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    return outgoing.read()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server of `shop.test`, that refuses to be asked for another name."""

    def named(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if name in (None, "shop.test") else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    issued = CertificateAuthority().issue("shop.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write(tmp_path_factory.mktemp("tls")))
    context.sni_callback = named
    return context


@pytest.mark.parametrize("name", ["shop.test", None])
def test_the_leaf_is_found_as_soon_as_it_is_there_whole(context: ssl.SSLContext, name: str | None):
    answer = answered(context, client_hello(name))
    found = [leaf_in(answer[:length]) for length in range(len(answer) + 1)]
    leaf = found[-1]
    assert leaf is not None
    assert leaf in answer
    assert set(found) == {None, leaf}


def test_a_name_that_is_refused_shows_nothing(context: ssl.SSLContext):
    with pytest.raises(NotShown):
        leaf_in(answered(context, client_hello("other.test")))


def test_who_speaks_only_tls_13_shows_nothing(context: ssl.SSLContext):
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        with pytest.raises(NotShown):
            leaf_in(answered(context, client_hello("shop.test")))
    finally:
        context.minimum_version = ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request",
        b"\x16\x03\x03\x00\x0a\x0b\x00\x00\x06\x00\x00\x03\x00\x00\x00",  # a list of one that is empty
        b"\x16\x03\x03\x00\x0b\x0b\x00\x00\x07\x00\x00\x04\x00\x00\x09\x30",  # longer than its message
        b"\x16\x03\x03\xff\xff" * 60_000,
    ],
)
def test_what_makes_no_sense_shows_nothing(answer: bytes):
    with pytest.raises(NotShown):
        leaf_in(answer)
