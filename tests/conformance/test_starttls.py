"""Every dialogue brings real servers to TLS, and the certificate they serve then is theirs."""

import shutil
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from services.discovery.domain.answers import Outcome
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import AUTO, Asked
from services.discovery.scanner.engine import Engine, Tempo
from services.discovery.scanner.look import Asker
from services.discovery.scanner.pace import Sockets
from services.provisioner.connectors.wire import Endpoint, Handshakes
from shared.starttls import PROTOCOLS, Framing, Refused, by_banner
from shared.x509 import fingerprint as x509_fingerprint
from tests.servers.dovecot import Dovecot
from tests.servers.inspircd import Inspircd
from tests.servers.mariadb import Mariadb
from tests.servers.nnrpd import Nnrpd
from tests.servers.postfix import Postfix
from tests.servers.postgres import ACCOUNT, Postgres
from tests.servers.prosody import Prosody
from tests.servers.slapd import Slapd
from tests.servers.starttls import SERVER_NAME, PlainServer, StartPlain
from tests.servers.tds import SqlServer
from tests.servers.tls import Issued, fingerprint
from tests.servers.vsftpd import Vsftpd
from tests.servers.xrdp import Xrdp

LIMIT = 10.0
GREETS = frozenset({"smtp", "imap", "pop3", "sieve", "ftp", "mysql", "nntp", "irc"})
"""Those whose servers here say first what they are; Dovecot's LMTP does not say."""


class Cluster(Postgres):
    """A PostgreSQL cluster that is made when it is started."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        super().__init__(directory / "cluster", tls=tls.write(directory / "tls") if tls else None)
        for path in (directory / "tls").glob("**/*"):
            shutil.chown(path, ACCOUNT)

    def start(self) -> None:
        self.create()
        super().start()


@dataclass(frozen=True)
class Speaker:
    """A product that speaks a protocol."""

    protocol: str
    product: type[PlainServer]
    refusal: str
    """What the reason holds when TLS is switched off."""
    port: Callable[..., int] = lambda server: server.port

    def __str__(self) -> str:
        return f"{self.protocol} of {self.product.__name__}"


SPEAKERS = (
    Speaker("smtp", Postfix, "not offered"),
    Speaker("imap", Dovecot, "not offered", lambda server: server.imap_port),
    Speaker("pop3", Dovecot, "STLS is not offered", lambda server: server.pop3_port),
    Speaker("sieve", Dovecot, "not offered", lambda server: server.sieve_port),
    Speaker("lmtp", Dovecot, "not offered", lambda server: server.lmtp_port),
    Speaker("ftp", Vsftpd, "530 Please login"),
    Speaker("ldap", Slapd, "protocolError (2): unsupported extended operation"),
    Speaker("xmpp", Prosody, "not offered", lambda server: server.client_port),
    Speaker("xmpp-server", Prosody, "No stream features to offer", lambda server: server.server_port),
    Speaker("postgres", Cluster, "not offered"),
    Speaker("mysql", Mariadb, "not offered by 5.5.5-10"),
    Speaker("mssql", SqlServer, "ENCRYPT_NOT_SUP"),
    Speaker("nntp", Nnrpd, "580"),
    Speaker("irc", Inspircd, "STARTTLS is not enabled"),
    Speaker("rdp", Xrdp, "only Standard RDP Security"),
)


@pytest.mark.parametrize("speaker", SPEAKERS, ids=str)
def test_the_dialogue_leads_to_the_servers_certificate(
    speaker: Speaker, start_plain: StartPlain, issued: Issued
):
    server = start_plain(speaker.product, tls=issued)
    assert served(speaker.protocol, port=speaker.port(server)) == issued.fingerprint


@pytest.mark.parametrize("speaker", SPEAKERS, ids=str)
async def test_a_deployment_sees_what_is_served_after_it(
    speaker: Speaker, start_plain: StartPlain, issued: Issued
):
    port = speaker.port(start_plain(speaker.product, tls=issued))
    endpoint = Endpoint(address="127.0.0.1", port=port, server_name=SERVER_NAME, starttls=speaker.protocol)
    assert await Handshakes().served(endpoint) == issued.fingerprint


@pytest.mark.parametrize("speaker", SPEAKERS, ids=str)
def test_a_server_without_tls_refuses(speaker: Speaker, start_plain: StartPlain):
    server = start_plain(speaker.product, tls=None)
    with pytest.raises(Refused) as refused:
        served(speaker.protocol, port=speaker.port(server))
    assert speaker.refusal in str(refused.value)


@pytest.mark.parametrize("speaker", [each for each in SPEAKERS if each.protocol in GREETS], ids=str)
def test_the_greeting_tells_the_protocol(speaker: Speaker, start_plain: StartPlain, issued: Issued):
    server = start_plain(speaker.product, tls=issued)
    with socket.create_connection(("127.0.0.1", speaker.port(server)), LIMIT) as connection:
        assert by_banner(connection.recv(4096)) == speaker.protocol


def test_what_is_sent_to_sql_server_breaks_no_rule(start_plain: StartPlain, issued: Issued):
    server: SqlServer = start_plain(SqlServer, tls=issued)
    served("mssql", port=server.port)
    assert server.faults == []


def served(protocol: str, *, port: int) -> str:
    """Drive the dialogue, shake hands, and return the fingerprint of the certificate served."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        framing = drive(protocol, connection=connection)
        return shake_hands(connection, framing=framing)


def drive(protocol: str, *, connection: socket.socket) -> Framing | None:
    dialogue = PROTOCOLS[protocol].dialogue(SERVER_NAME)
    to_send = next(dialogue)
    while True:
        connection.sendall(to_send)
        received = connection.recv(4096)
        assert received, "the server hung up"
        try:
            to_send = dialogue.send(received)
        except StopIteration as end:
            framing: Framing | None = end.value
            return framing


def shake_hands(connection: socket.socket, *, framing: Framing | None) -> str:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secure = context.wrap_bio(incoming, outgoing, server_hostname=SERVER_NAME)
    while True:
        try:
            secure.do_handshake()
        except ssl.SSLWantReadError:
            _exchange(connection, incoming=incoming, outgoing=outgoing, framing=framing)
        else:
            break
    der = secure.getpeercert(binary_form=True)
    assert der is not None
    return fingerprint(x509.load_der_x509_certificate(der))


def _exchange(
    connection: socket.socket, *, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, framing: Framing | None
) -> None:
    to_send = outgoing.read()
    if to_send:
        connection.sendall(framing.wrap(to_send) if framing else to_send)
    received = connection.recv(4096)
    assert received, "the server hung up"
    incoming.write(framing.unwrap(received) if framing else received)


def looked(port: int, *, starttls: str | None) -> Sighting:
    """Look with the scanner as a scan does."""
    asked = Asked(address="127.0.0.1", port=port, server_name=SERVER_NAME, starttls=starttls)
    asker = Asker()
    tempo = Tempo(timeout=LIMIT)
    with closing(
        Engine([asked], permits=lambda *_: True, inquire=asker.look, tempo=tempo, sockets=Sockets())
    ) as engine:
        while not engine.is_done:
            for sighting in engine.step(wait=0.1):
                return sighting
    raise AssertionError


@pytest.mark.parametrize("speaker", SPEAKERS, ids=str)
def test_a_scan_sees_the_certificate_behind_starttls(
    speaker: Speaker, start_plain: StartPlain, issued: Issued
):
    server = start_plain(speaker.product, tls=issued)
    sighting = looked(speaker.port(server), starttls=speaker.protocol)
    assert (sighting.outcome, sighting.starttls) == (Outcome.TLS, speaker.protocol)
    assert x509_fingerprint(sighting.chain[0]) == issued.fingerprint


@pytest.mark.parametrize("speaker", [each for each in SPEAKERS if each.protocol in GREETS], ids=str)
def test_a_scan_finds_out_by_the_greeting_which_starttls_to_speak(
    speaker: Speaker, start_plain: StartPlain, issued: Issued
):
    server = start_plain(speaker.product, tls=issued)
    sighting = looked(speaker.port(server), starttls=AUTO)
    assert (sighting.outcome, sighting.starttls) == (Outcome.TLS, speaker.protocol)
    assert x509_fingerprint(sighting.chain[0]) == issued.fingerprint


def test_a_scan_says_why_a_server_does_not_start_tls(start_plain: StartPlain):
    server: Postfix = start_plain(Postfix, tls=None)
    sighting = looked(server.port, starttls=AUTO)
    assert (sighting.outcome, sighting.protocol) == (Outcome.NO_TLS, "smtp")
    assert "not offered" in sighting.reason
