"""What deployments to network devices and Windows hosts would do: each request that changes something, before it is sent."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from services.provisioner.connectors import Slot
from services.provisioner.connectors.devices import SHORT, prefix
from services.provisioner.connectors.planning import Coming, PlannedCall

NOT_THERE = "it is not there yet"
OLDER = "the certificate before was put there from here"


def new_name(slot: Slot, coming: Coming) -> str:
    """Return what a new object would be called."""
    return prefix(slot) + coming.part(SHORT)


def nitro_file(name: str, *, when: str | None = None) -> PlannedCall:
    """Return the upload of a file to a Citrix ADC."""
    return PlannedCall(request="POST /nitro/v1/config/systemfile", about=name, when=when)


def nitro_issuers(coming: Coming) -> Iterator[PlannedCall]:
    """Yield what makes a Citrix ADC know the issuers, from the top, each linked to the one above."""
    above = None
    for fingerprint in reversed(coming.issuers):
        name = f"everleaf-ca-{fingerprint[:SHORT]}"
        yield nitro_file(f"{name}.cer", when=NOT_THERE)
        yield PlannedCall(request="POST /nitro/v1/config/sslcertkey", about=name, when=NOT_THERE)
        if above is not None:
            yield PlannedCall(
                request="POST /nitro/v1/config/sslcertkey?action=link",
                about=f"{name} to {above}",
                when="it is linked to none yet",
            )
        above = name


def xml_api(request: str, *, about: str | None = None, when: str | None = None) -> PlannedCall:
    """Return a request of the XML API of PAN-OS, by its parameters."""
    return PlannedCall(request=f"POST /api/ {request}", about=about, when=when)


def locked(calls: Sequence[PlannedCall]) -> tuple[PlannedCall, ...]:
    """Return requests of the XML API between taking the lock on the configuration and giving it back."""
    take, give = "config-lock add", "config-lock remove"
    return (xml_api("type=op", about=take), *calls, xml_api("type=op", about=give))


def transaction(*calls: PlannedCall) -> tuple[PlannedCall, ...]:
    """Return requests of iControl REST in one transaction."""
    begin = PlannedCall(request="POST /mgmt/tm/transaction")
    return (begin, *calls, PlannedCall(request="PATCH /mgmt/tm/transaction/{number}", about="commit it"))


def windows_binding(use: str, *, site: str | None, binding: str | None, store: str) -> PlannedCall:
    """Return what binds a certificate on a Windows host."""
    calls = {
        "iis": PlannedCall(request="ServerManager.CommitChanges", about=f"{site}, {binding}"),
        "http.sys": PlannedCall(
            request="netsh http update sslcert", about=f"{binding}, certstorename={store}"
        ),
        "rdp": PlannedCall(
            request="Set-CimInstance", about="Win32_TSGeneralSetting RDP-Tcp, SSLCertificateSHA1Hash"
        ),
        "winrm": PlannedCall(
            request="Set-WSManInstance", about="winrm/config/Listener, CertificateThumbprint"
        ),
    }
    return calls[use]


def quoted(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")
