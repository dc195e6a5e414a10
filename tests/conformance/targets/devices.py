"""The benches of network devices: simulators that were written from their vendors' documents, each with a real TLS listener."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner.connectors.devices.bigip import BigIp as BigIpTarget
from services.provisioner.connectors.devices.citrix import CitrixAdc as CitrixAdcTarget
from services.provisioner.connectors.devices.fortigate import FortiGate as FortiGateTarget
from services.provisioner.connectors.devices.pan_os import PanOs as PanOsTarget
from services.provisioner.connectors.registry import Kind
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import Failure, State
from tests.conformance.targets.bench import NAME, NO_KEYS, Bench, Break, Fault, Fixtures, Opens, Outcome, Row
from tests.servers import bigip, citrix_adc, fortigate, pan_os
from tests.servers.presenting import Bound, Pair, Presenting
from tests.servers.tls import CertificateAuthority, Issued, fingerprint

OURS = "everleaf-"


def setting(device: Any, name: str, value: Any) -> Break:
    """Set something of a simulator for the time of a block."""

    @asynccontextmanager
    async def broken(_bench: Bench) -> AsyncIterator[None]:
        before = getattr(device, name)
        setattr(device, name, value)
        yield
        setattr(device, name, before)

    return broken


def credential(wrong: Mapping[str, Any]) -> Break:
    """Log in with a wrong credential."""

    @asynccontextmanager
    async def broken(bench: Bench) -> AsyncIterator[None]:
        kind = bench.target["credential"].__class__
        bench.target["credential"] = kind.model_validate(wrong)
        yield

    return broken


@asynccontextmanager
async def _impostor(bench: Bench) -> AsyncIterator[None]:
    """Trust another CA than the one of the web interface."""
    stranger = CertificateAuthority("Strangers").pem.decode()
    bench.target["options"] = {**bench.target["options"], "trusted_ca": stranger}
    yield


def _through(bench: Bench, port: int) -> None:
    bench.target["options"] = {**bench.target["options"], "url": f"https://127.0.0.1:{port}"}


def in_force(pair: Pair | None, ours: list[str], *, bound: str) -> str:
    """Return the fingerprint of what is in force, its key matches, and of ours nothing is left over beside it."""
    assert [name for name in ours if name != bound] == []
    assert pair is not None
    leaf = x509.load_pem_x509_certificate(pair.chain)
    assert leaf.public_key() == load_pem_private_key(pair.key, None).public_key()
    return fingerprint(leaf)


@contextmanager
def _presenting(bound: Bound) -> Iterator[Endpoint]:
    presenting = Presenting(bound)
    try:
        yield Endpoint(address="127.0.0.1", port=presenting.port, server_name=NAME)
    finally:
        presenting.close()


def _bench(
    kind: Kind,
    *,
    slot: dict[str, Any],
    port: int,
    ca: str,
    credentials: tuple[Mapping[str, Any], Mapping[str, Any]],
    endpoint: Endpoint,
    present: Callable[[], str],
    breaks: Mapping[Fault, Break],
) -> Bench:
    right, wrong = credentials
    return Bench(
        target={
            "kind": kind.kind,
            "host": None,
            "port": None,
            "username": None,
            "host_key": None,
            "credential": kind.credential_type.model_validate(right),
            "options": {"url": f"https://127.0.0.1:{port}", "trusted_ca": ca},
        },
        slot=slot,
        endpoint=endpoint,
        present=present,
        breaks={Fault.CREDENTIAL: credential(wrong), Fault.IMPOSTOR: _impostor, **breaks},
        upstream=("127.0.0.1", port),
        through=_through,
    )


def passwords(username: str, password: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return a right and a wrong credential."""
    right = {"username": username, "password": password}
    return right, {**right, "password": "not-the-word-for-it"}


PROFILE, VIRTUAL = "/Common/shop-clientssl", "/Common/shop-https"


def big_ip(directory: Path, old: Issued) -> bigip.BigIp:
    """Return a BIG-IP that serves a certificate with one of its profiles."""
    device = bigip.BigIp(directory)
    device.roles = {"all-partitions": "admin"}
    device.keep("/Common/shop-2020.crt", old)
    device.profile(
        PROFILE, {"cert": "/Common/shop-2020.crt", "key": "/Common/shop-2020.key"}, sniDefault="true"
    )
    device.virtual(VIRTUAL, "/Common/192.0.2.1:443", PROFILE)
    return device


@asynccontextmanager
async def _big_ip(fixtures: Fixtures) -> AsyncIterator[Bench]:
    device = big_ip(fixtures("tmp_path") / "bigip", fixtures("lab_ca").issue(NAME))
    control = device.control

    def present() -> str:
        cert = device.collections["ltm/profile/client-ssl"][PROFILE]["certKeyChain"][0]["cert"]
        names = [*device.certificates, *device.keys, *control.uploads]
        stems = [name.removesuffix(".key").removesuffix("-chain.crt").removesuffix(".crt") for name in names]
        ours = [stem for stem in stems if OURS in stem]
        return in_force(control.served(VIRTUAL, NAME), ours, bound=cert.removesuffix(".crt"))

    try:
        with _presenting(lambda name: control.served(VIRTUAL, name)) as endpoint:
            yield _bench(
                BigIpTarget,
                slot={"profile": PROFILE},
                port=device.interface.port,
                ca=device.interface.trusted_ca,
                credentials=passwords(bigip.USERNAME, bigip.PASSWORD),
                endpoint=endpoint,
                present=present,
                breaks={
                    Fault.PERMISSION: setting(device, "roles", {"all-partitions": "guest"}),
                    Fault.DISK_FULL: setting(control, "is_full", True),
                    Fault.REFUSED: _refused_profile(control),
                    Fault.NO_EFFECT: setting(control, "ignores_profiles", True),
                },
            )
    finally:
        device.interface.stop()


def _refused_profile(control: Any) -> Break:
    """Refuse the transaction that changes the profile; the one that makes objects is taken."""

    @asynccontextmanager
    async def broken(_bench: Bench) -> AsyncIterator[None]:
        control.refuses_profiles = (
            "01070734:3: Configuration error: the cipher list has no cipher for this key."
        )
        yield
        control.refuses_profiles = None

    return broken


PAIR, VSERVER = "shop", "shop-https"


def citrix(directory: Path, old: Issued) -> citrix_adc.CitrixAdc:
    """Return an appliance with a pair that is bound to a virtual server."""
    appliance = citrix_adc.CitrixAdc(directory)
    appliance.may_change = True
    appliance.pair(PAIR, old)
    appliance.virtual(VSERVER, "192.0.2.1", 443)
    appliance.bind(VSERVER, PAIR)
    return appliance


@asynccontextmanager
async def _citrix(fixtures: Fixtures) -> AsyncIterator[Bench]:
    appliance = citrix(fixtures("tmp_path") / "adc", fixtures("lab_ca").issue(NAME))
    control = appliance.control

    def present() -> str:
        item = next(each for each in appliance.resources["sslcertkey"] if each["certkey"] == PAIR)
        files = [path.rpartition("/")[2] for path in appliance.files]
        ours = [name[:-4] for name in files if name.startswith(OURS) and not name.startswith(f"{OURS}ca-")]
        return in_force(control.served(VSERVER, NAME), ours, bound=item["cert"].removesuffix(".cer"))

    try:
        with _presenting(lambda name: control.served(VSERVER, name)) as endpoint:
            yield _bench(
                CitrixAdcTarget,
                slot={"certkey": PAIR, "virtual_servers": [{"name": VSERVER}]},
                port=appliance.interface.port,
                ca=appliance.interface.trusted_ca,
                credentials=passwords(citrix_adc.USERNAME, citrix_adc.PASSWORD),
                endpoint=endpoint,
                present=present,
                breaks={
                    Fault.PERMISSION: setting(appliance, "may_change", False),
                    Fault.DISK_FULL: setting(control, "is_full", True),
                    Fault.REFUSED: setting(
                        control, "refuses_updates", (1562, "Certificate with this key size is not supported")
                    ),
                    Fault.NO_EFFECT: setting(control, "ignores_updates", True),
                },
            )
    finally:
        appliance.interface.stop()


PORTAL = "portal"


def palo_alto(directory: Path, old: Issued) -> pan_os.PanOsSimulator:
    """Return a firewall whose SSL/TLS service profile names a certificate, all of it committed."""
    device = pan_os.PanOsSimulator(directory)
    device.may_change = True
    device.hold("/config/shared", "portal-2020", old.certificate_pem.decode())
    device.changes.keys["portal-2020"] = old.key_pem
    profile = f'<entry name="{PORTAL}"><certificate>portal-2020</certificate></entry>'
    device.put("/config/shared/ssl-tls-service-profile", profile)
    device.changes.settle()
    device.start()
    return device


@asynccontextmanager
async def _palo_alto(fixtures: Fixtures) -> AsyncIterator[Bench]:
    device = palo_alto(fixtures("tmp_path") / "pan-os", fixtures("lab_ca").issue(NAME))
    changes = device.changes

    def present() -> str:
        named = device.found(f"/config/shared/ssl-tls-service-profile/entry[@name='{PORTAL}']/certificate")
        assert named is not None
        assert changes.locks.get("shared") in (None, "fred")
        held = [each.get("name", "") for each in device.at("/config/shared/certificate")]
        ours = [name for name in held if name.startswith(OURS)]
        return in_force(changes.served("/config/shared", PORTAL), ours, bound=named.text or "")

    try:
        with _presenting(lambda _: changes.served("/config/shared", PORTAL)) as endpoint:
            yield _bench(
                PanOsTarget,
                slot={"profile": PORTAL},
                port=device.port,
                ca=device.ca,
                credentials=passwords(pan_os.USER, pan_os.PASSWORD),
                endpoint=endpoint,
                present=present,
                breaks={
                    Fault.PERMISSION: setting(device, "may_change", False),
                    Fault.DISK_FULL: setting(changes, "is_full", True),
                    Fault.BROKEN_BEFORE: setting(changes, "locks", {"shared": "fred"}),
                    Fault.REFUSED: setting(changes, "fails_commits", "Validation Error: portal is invalid"),
                    Fault.NO_EFFECT: setting(changes, "ignores_commits", True),
                },
            )
    finally:
        device.close()


def forti_gate(directory: Path, old: Issued) -> fortigate.FortiGateSimulator:
    """Return a FortiGate with a virtual server that names a certificate."""
    device = fortigate.FortiGateSimulator(directory)
    device.may_change = True
    device.hold("root", "shop-2020", old)
    vip = {"name": "shop", "extip": "192.0.2.1", "extport": "443", "ssl-certificate": "shop-2020"}
    device.tables["root", "firewall/vip"] = [vip]
    device.tables["global", "system/global"] = [{"admin-sport": 443, "cfg-save": "automatic"}]
    device.start()
    return device


@asynccontextmanager
async def _forti_gate(fixtures: Fixtures) -> AsyncIterator[Bench]:
    device = forti_gate(fixtures("tmp_path") / "fortigate", fixtures("lab_ca").issue(NAME))
    changes = device.changes

    def present() -> str:
        row = changes.row("root", "firewall/vip", "shop")
        ours = [each["name"] for each in device.certificates["root"] if each["name"].startswith(OURS)]
        return in_force(changes.served("root", "firewall/vip", "shop"), ours, bound=row["ssl-certificate"])

    try:
        with _presenting(lambda _: changes.served("root", "firewall/vip", "shop")) as endpoint:
            yield _bench(
                FortiGateTarget,
                slot={"use": "vip", "name": "shop"},
                port=device.port,
                ca=device.ca,
                credentials=({"token": fortigate.TOKEN}, {"token": "0123456789wrongwrongwrong"}),
                endpoint=endpoint,
                present=present,
                breaks={
                    Fault.PERMISSION: setting(device, "is_read_only", True),
                    Fault.DISK_FULL: setting(changes, "most_certificates", 1),
                    Fault.REFUSED: setting(changes, "refuses_bindings", "the key type is not supported here"),
                    Fault.NO_EFFECT: setting(changes, "ignores_bindings", True),
                },
            )
    finally:
        device.close()


VALID = (
    "It refuses what would break its configuration; the configuration that is in force is never a broken one."
)
AT_ONCE = "What is configured there is in force at once: nothing is reloaded."
COMMITTED = "A commit is what puts it in force: that it fails is in the column before."
NO_BREAK = {Fault.BROKEN_BEFORE: VALID, Fault.RELOAD_FAILS: AT_ONCE, Fault.MADE_THERE: NO_KEYS}
ELSEWHERE = {
    Fault.IMPOSTOR: Outcome(state=State.WAITING, failure=Failure.UNREACHABLE),
    Fault.REFUSED: Outcome(state=State.RESTORED, failure=Failure.REJECTED),
}
"""Its certificate is not the trusted CA's, so nothing is sent to it; what it does not take, it says."""


def _row(kind: Kind, opens: Opens, *, server: str, **more: Any) -> Row:
    described = {"senseless": NO_BREAK, "otherwise": ELSEWHERE, "cuts": (8, 24), **more}
    return Row(kind=kind, server=f"a simulator of {server}", open=opens, **described)


ROWS = {
    "f5-bigip": _row(BigIpTarget, _big_ip, server="iControl REST"),
    "citrix-adc": _row(CitrixAdcTarget, _citrix, server="NITRO"),
    "pan-os": _row(
        PanOsTarget,
        _palo_alto,
        server="the XML API",
        senseless={Fault.RELOAD_FAILS: COMMITTED, Fault.MADE_THERE: NO_KEYS},
        otherwise={**ELSEWHERE, Fault.BROKEN_BEFORE: Outcome(state=State.WAITING, failure=Failure.CONFLICT)},
    ),
    "fortigate": _row(FortiGateTarget, _forti_gate, server="the REST API of FortiOS"),
}
