"""The bench of a Windows host: a simulator with OpenSSH that takes the scripts of ours, and a real TLS listener as Schannel's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.provisioner.connectors.devices.windows import Windows
from services.provisioner.connectors.wire import Endpoint
from services.provisioner.domain import Failure, State
from shared.ssh import Credential
from tests.conformance.targets.bench import NAME, Bench, Fault, Fixtures, Outcome, Row
from tests.conformance.targets.devices import NO_BREAK, OURS, in_force, setting
from tests.conformance.targets.ssh import SSH_FAULTS, through_ssh
from tests.servers.presenting import Presenting
from tests.servers.tls import Issued
from tests.servers.windows import PASSWORD, USER, WindowsHost

SITE = ("iis", "Default Web Site", f"*:443:{NAME}")


async def windows_host(old: Issued) -> WindowsHost:
    """Return a host with a site of IIS that is bound to a certificate."""
    host = WindowsHost()
    thumbprint = host.changes.hold(old, readers=("IIS AppPool\\shop",))
    host.changes.bindings[SITE] = (thumbprint, "My")
    await host.start()
    return host


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    host = await windows_host(fixtures("lab_ca").issue(NAME))
    changes = host.changes
    presenting = Presenting(lambda _: changes.served(*SITE))

    def present() -> str:
        ours = [
            each.thumbprint for held in changes.stores.values() for each in held if each.name.startswith(OURS)
        ]
        return in_force(changes.served(*SITE), ours, bound=changes.bindings[SITE][0] or "")

    try:
        yield Bench(
            target={
                "kind": Windows.kind,
                "host": "127.0.0.1",
                "port": host.port,
                "username": USER,
                "host_key": host.host_key,
                "credential": Credential.model_validate({"password": PASSWORD}),
                "options": {},
            },
            slot={"use": SITE[0], "site": SITE[1], "binding": SITE[2]},
            endpoint=Endpoint(address="127.0.0.1", port=presenting.port, server_name=NAME),
            present=present,
            breaks={
                **SSH_FAULTS,
                Fault.PERMISSION: setting(changes, "is_administrator", False),
                Fault.DISK_FULL: setting(changes, "is_full", True),
                Fault.REFUSED: setting(changes, "refuses_bindings", "The parameter is incorrect."),
                Fault.NO_EFFECT: setting(changes, "ignores_bindings", True),
            },
            upstream=("127.0.0.1", host.port),
            through=through_ssh,
        )
    finally:
        presenting.close()
        await host.close()


ROWS = {
    "windows": Row(
        kind=Windows,
        server="a simulator of OpenSSH and PowerShell, IIS",
        open=_opened,
        senseless=NO_BREAK,
        otherwise={Fault.REFUSED: Outcome(state=State.RESTORED, failure=Failure.REJECTED)},
        cuts=(8, 24),
    )
}
