"""The benches of each product on a host: the real server, behind a real sshd.

A kind is deployed to with the commands that it has by default. Before each program that such a command starts stands one of
ours of the same name, which first does what the bench wants to go wrong, and then starts the product's own with the
configuration of this test, as `systemctl` would with the package's.
"""

import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.provisioner.connectors.keystores import java_store, pkcs12_store
from services.provisioner.connectors.registry import target_kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import pair
from shared.ssh import Credential
from tests.conformance.targets.bench import NAME, Bench, Break, Fault, Fixtures, Row
from tests.conformance.targets.ssh import SSH_FAULTS, held_pair, through_ssh
from tests.servers.apache import Apache
from tests.servers.caddy import Caddy
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import HaProxy
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix
from tests.servers.postgres import ACCOUNT, Postgres
from tests.servers.processes import SEARCH_PATH, free_port
from tests.servers.ssh import Sshd
from tests.servers.stunnel import Stunnel
from tests.servers.tls import CertificateAuthority, Issued
from tests.servers.tomcat import Tomcat

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
TEST, RELOAD, SFTP = "test", "reload", "sftp"
"""The gates: shell scripts, empty unless something shall go wrong, that are run before what they are named after."""


class Server(Protocol):
    """A product."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it."""


@dataclass(kw_only=True)
class Product:
    """How a product that runs is bound."""

    port: int
    slot: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    starttls: str | None = None
    name: str | None = NAME


class House:
    """A host: a folder, programs before the host's own, gates, and an sshd."""

    def __init__(self, folder: Path, *, ca: CertificateAuthority, running: ExitStack) -> None:
        self.folder = folder
        self.ca = ca
        self._running = running
        self._programs, self._gates = self.room("programs"), self.room("gates")
        self.open_gates()
        self.sshd = Sshd(
            self.room("sshd"),
            options=[f"SetEnv PATH={self._programs}:{SEARCH_PATH}"],
            sftp=f"/bin/sh {self._gates / SFTP}",
        )
        self.runs(self.sshd)

    def room(self, name: str) -> Path:
        """Make a folder."""
        made = self.folder / name
        made.mkdir()
        return made

    def runs(self, server: Server) -> None:
        """Start a server, and stop it at the end."""
        self._running.callback(server.stop)
        server.start()

    def program(self, name: str, actions: Mapping[str, tuple[str | None, str]]) -> None:
        """Put a program before the host's own of this name: by its arguments a gate, and what is started after it."""
        cases = "\n".join(
            f"{arguments}) {f'. {self._gates / gate};' if gate else ''} {command};;"
            for arguments, (gate, command) in actions.items()
        )
        path = self._programs / name
        path.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n*) exit 5;;\nesac\n')
        path.chmod(0o755)

    def open_gates(self) -> None:
        """Let nothing go wrong."""
        for name in (TEST, RELOAD):
            (self._gates / name).write_text("")
        (self._gates / SFTP).write_text(f"exec {SFTP_SERVER}\n")

    def closing(self, gate: str, script: Callable[[Bench], str]) -> Break:
        """Return what lets a gate do something for the time being."""

        @asynccontextmanager
        async def broken(bench: Bench) -> AsyncIterator[None]:
            (self._gates / gate).write_text(script(bench) + "\n")
            yield
            self.open_gates()

        return broken


def nginx(house: House) -> Product:
    server = Nginx(house.folder / "nginx", ca=house.ca)
    site = server.add_site(NAME)
    house.runs(server)
    house.program(
        "nginx",
        {
            "-t": (TEST, f"exec {server.test_command}"),
            "'-s reload'": (RELOAD, f"exec {server.reload_command}"),
        },
    )
    return Product(port=server.port, slot=_two(site.certificate, site.key))


def apache(house: House) -> Product:
    server = Apache(house.folder / "apache", ca=house.ca.intermediate())
    server.write(NAME, chain="chain.pem")
    house.runs(server)
    own = f"exec /usr/sbin/apache2 -f {server.start_file}"
    house.program(
        "apachectl", {"configtest": (TEST, f"{own} -t"), "graceful": (RELOAD, f"{own} -k graceful")}
    )
    folder = server.directory / NAME
    slot = _two(folder / "cert.pem", folder / "key.pem")
    return Product(port=server.port, slot={**slot, "chain_path": str(folder / "chain.pem"), "chain": False})


def haproxy(house: House) -> Product:
    server = HaProxy(house.folder / "haproxy", ca=house.ca)
    server.write(NAME)
    house.runs(server)
    _haproxy_test(house, server)
    house.program("systemctl", {"'reload haproxy'": (RELOAD, f"exec kill -USR2 {server.pid}")})
    return Product(port=server.port, slot={"certificate_path": str(server.directory / "tls" / f"{NAME}.pem")})


def haproxy_at_runtime(house: House) -> Product:
    socket = house.folder / "admin.sock"
    server = HaProxy(house.folder / "haproxy", ca=house.ca)
    server.write(NAME, socket=socket)
    house.runs(server)
    _haproxy_test(house, server)
    house.program("socat", {f"'-t60 - UNIX-CONNECT:{socket}'": (RELOAD, 'exec /usr/bin/socat "$@"')})
    slot = {"certificate_path": str(server.directory / "tls" / f"{NAME}.pem")}
    return Product(port=server.port, slot=slot, options={"runtime_socket": str(socket)})


def _haproxy_test(house: House, server: HaProxy) -> None:
    own = f"exec /usr/sbin/haproxy -c -f {server.start_file}"
    house.program("haproxy", {"'-c -f /etc/haproxy/haproxy.cfg'": (TEST, own)})


def caddy(house: House) -> Product:
    server = Caddy(house.folder / "caddy", ca=house.ca)
    server.write(NAME, admin=f"localhost:{free_port()}")
    house.runs(server)
    own, start = "exec /usr/bin/caddy", f"--adapter caddyfile --config {server.start_file}"
    house.program(
        "caddy",
        {"'validate --adapter caddyfile --config /etc/caddy/Caddyfile'": (TEST, f"{own} validate {start}")},
    )
    house.program("systemctl", {"'reload caddy'": (RELOAD, f"{own} reload --force {start}")})
    folder = server.directory / NAME
    return Product(port=server.port, slot=_two(folder / "cert.pem", folder / "key.pem"))


class CombinedPostfix(Postfix):
    is_combined = True


def postfix(house: House) -> Product:
    folder = house.room("postfix")
    server = CombinedPostfix(folder, tls=house.ca.issue(NAME))
    house.runs(server)
    own = f"exec /usr/sbin/postfix -c {folder}"
    house.program("postfix", {"check": (TEST, f"{own} check"), "reload": (RELOAD, f"{own} reload")})
    slot = {"certificate_path": str(folder / "tls" / "smtp.pem")}
    return Product(port=server.port, slot=slot, starttls="smtp", name=None)


def dovecot(house: House) -> Product:
    folder = house.room("dovecot")
    server = Dovecot(folder, tls=house.ca.issue(NAME))
    house.runs(server)
    start = f"-c {folder / 'dovecot.conf'}"
    house.program("doveconf", {"-n": (TEST, f"exec /usr/bin/doveconf {start} -n")})
    house.program("doveadm", {"reload": (RELOAD, f"exec /usr/bin/doveadm {start} reload")})
    slot = _two(folder / "tls" / "cert.pem", folder / "tls" / "key.pem")
    return Product(port=server.imap_port, slot=slot, starttls="imap", name=None)


def postgresql(house: House) -> Product:
    folder = house.room("postgres")
    certificate, key = house.ca.issue(NAME).write(folder / "tls")
    for path in (certificate, key):
        shutil.chown(path, ACCOUNT)
    server = Postgres(folder / "cluster", tls=(certificate, key))
    server.create()
    house.runs(server)
    house.program("systemctl", {"'reload postgresql'": (RELOAD, f"exec kill -HUP {server.pid}")})
    return Product(port=server.port, slot=_two(certificate, key), starttls="postgres", name=None)


def stunnel(house: House) -> Product:
    server = Stunnel(house.folder / "stunnel", ca=house.ca)
    server.write(NAME)
    house.runs(server)
    house.program("systemctl", {"'reload stunnel4'": (RELOAD, f"exec kill -HUP {server.pid}")})
    folder = server.directory / NAME
    return Product(port=server.port, slot=_two(folder / "cert.pem", folder / "key.pem"), name=None)


def tomcat(house: House) -> Product:
    return _tomcat(house, "pkcs12", reload="systemctl", arguments="'restart tomcat10'")


def java_keystore(house: House) -> Product:
    product = _tomcat(house, "jks", reload="reload-my-server", arguments="''")
    product.options["reload_command"] = "reload-my-server"
    return product


def _tomcat(house: House, store: str, *, reload: str, arguments: str) -> Product:
    """Run a Tomcat that is told by its Manager: a restart takes seconds, and does no more."""
    server = Tomcat(house.folder / "tomcat", ca=house.ca)
    keystore = server.write_one(NAME, keystore=_keystore(house.ca.issue(NAME), store), kind=store)
    house.runs(server)
    house.program(reload, {arguments: (RELOAD, f"exec {shlex.join(server.ssl_reload)} | grep ^OK")})
    return Product(port=server.port, slot={"certificate_path": str(keystore), "format": store})


def _keystore(issued: Issued, kind: str) -> bytes:
    chain = [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers)]
    material = pair(chain, issued.key_pem)
    if kind == "pkcs12":
        return pkcs12_store(None, alias="www", material=material, passwords=())
    return java_store(None, kind=kind, alias="www", material=material, passwords=())


def _two(certificate: Path, key: Path) -> dict[str, Any]:
    return {"certificate_path": str(certificate), "key_path": str(key)}


def _row(
    kind: str, product: Callable[[House], Product], *, server: str, idle: str = "exit 0", **changes: Any
) -> Row:
    """`idle` is what a reload says that does nothing."""

    @asynccontextmanager
    async def opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
        house, running = fixtures("houses")(product)
        house.open_gates()
        sshd, slot = house.sshd, dict(running.slot)
        yield Bench(
            target={
                "kind": kind,
                "host": sshd.host,
                "port": sshd.port,
                "username": sshd.username,
                "host_key": sshd.host_key,
                "credential": Credential(private_key=sshd.client_key),
                "options": running.options,
            },
            slot=slot,
            endpoint=Endpoint(
                address="127.0.0.1", port=running.port, server_name=running.name, starttls=running.starttls
            ),
            present=lambda: held_pair(slot),
            breaks={**SSH_FAULTS, **_faults(house, idle=idle)},
            upstream=(sshd.host, sshd.port),
            through=through_ssh,
        )

    return Row(kind=target_kind(kind), server=server, open=opened, **changes)


def _faults(house: House, *, idle: str) -> dict[Fault, Break]:
    return {
        Fault.PERMISSION: house.closing(SFTP, lambda _: _as_nobody()),
        Fault.DISK_FULL: house.closing(SFTP, lambda bench: _on_a_full_disk(_folder(bench))),
        Fault.BROKEN_BEFORE: house.closing(TEST, lambda _: "echo unknown directive; exit 1"),
        Fault.REFUSED: house.closing(TEST, lambda bench: _unless_as_it_is(house, bench)),
        Fault.RELOAD_FAILS: house.closing(RELOAD, lambda _: "echo no such process; exit 3"),
        Fault.NO_EFFECT: house.closing(RELOAD, lambda _: idle),
    }


def _folder(bench: Bench) -> Path:
    return Path(bench.slot["certificate_path"]).parent


def _as_nobody() -> str:
    return f"exec setpriv --reuid 65534 --regid 65534 --clear-groups {SFTP_SERVER}"


def _on_a_full_disk(folder: Path) -> str:
    """Let this session alone see the folder on a file system of its own, with no space left."""
    here, kept = shlex.quote(str(folder)), shlex.quote(f"{folder}.kept")
    filled = f"cp -a {kept}/. {here} && rm -r {kept}; head -c 64k /dev/zero > {here}/filler 2>/dev/null"
    inside = f"mount -t tmpfs -o size=32k tmpfs {here} && {{ {filled}; exec {SFTP_SERVER}; }}"
    return f"cp -a {here} {kept}; exec unshare --mount --propagation private /bin/sh -c {shlex.quote(inside)}"


def _unless_as_it_is(house: House, bench: Bench) -> str:
    before = house.folder / "before"
    before.write_bytes(Path(bench.slot["certificate_path"]).read_bytes())
    return f"cmp {before} {bench.slot['certificate_path']} || exit 1"


@pytest.fixture(scope="module")
def houses(
    lab_ca: CertificateAuthority,
) -> Iterator[Callable[[Callable[[House], Product]], tuple[House, Product]]]:
    """Give the house of a product, which is started when it is asked for first, and runs until the last test."""
    with ExitStack() as running:
        known: dict[Callable[[House], Product], tuple[House, Product]] = {}

        def house(product: Callable[[House], Product]) -> tuple[House, Product]:
            if product not in known:
                # Not in pytest's own folder: every account must get there, and sockets have short paths.
                folder = Path(tempfile.mkdtemp(prefix="everleaf-target-"))
                running.callback(shutil.rmtree, folder, ignore_errors=True)
                folder.chmod(0o711)
                opened = House(folder, ca=lab_ca, running=running)
                known[product] = (opened, product(opened))
            return known[product]

        yield house


def _no_test(what: str) -> Mapping[Fault, str]:
    reason = f"{what} has no command that tests its configuration; what it serves afterwards is looked at."
    return {Fault.BROKEN_BEFORE: reason, Fault.REFUSED: reason}


ROWS = {
    "nginx": _row("nginx", nginx, server="nginx"),
    "apache": _row("apache", apache, server="Apache httpd, the chain in a file of its own"),
    "haproxy": _row("haproxy", haproxy, server="HAProxy, a reload"),
    "haproxy (Runtime API)": _row(
        "haproxy",
        haproxy_at_runtime,
        server="HAProxy, its stats socket",
        idle="cat >/dev/null; echo Success!; exit 0",
    ),
    "caddy": _row("caddy", caddy, server="Caddy"),
    "postfix": _row("postfix", postfix, server="Postfix (SMTP), one file"),
    "dovecot": _row("dovecot", dovecot, server="Dovecot (IMAP)"),
    "postgresql": _row("postgresql", postgresql, server="PostgreSQL", senseless=_no_test("PostgreSQL")),
    "stunnel": _row("stunnel", stunnel, server="stunnel", senseless=_no_test("stunnel")),
    "tomcat": _row("tomcat", tomcat, server="Tomcat, PKCS#12", senseless=_no_test("Tomcat")),
    "java-keystore": _row(
        "java-keystore",
        java_keystore,
        server="Tomcat, JKS",
        senseless=_no_test("A Java server"),
    ),
}
