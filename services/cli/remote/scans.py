"""`everleaf scans`: looks at the network by the platform, kept there."""

from typing import Annotated

import typer

from everleaf import Call, Listing, waiting
from everleaf.contracts import discovery
from services.cli.remote.commands import does, lists

app = typer.Typer(help="Scans of the network by the platform. (`everleaf scan` needs none.)")

Scan = Annotated[str, typer.Argument(metavar="SCAN", help="Its id.")]


def _wait(scan: discovery.ScanView) -> waiting.Wait[discovery.ScanView]:
    return waiting.scan(scan["id"])


@lists(
    app,
    {
        "ID": "id",
        "STATE": "state",
        "DONE": lambda scan: f"{scan['percent']:.0f} %",
        "FOUND": lambda scan: scan["counts"].get("found"),
        "TARGETS": "targets",
        "BEGAN": "started_at",
    },
)
def scans() -> Listing[discovery.ScanView]:
    """List scans, the newest first."""
    return discovery.list_scans()


@does(app, "start", wait=_wait)
def start(
    targets: Annotated[list[str], typer.Argument(help="Networks, ranges, addresses, names, URLs.")],
    *,
    ports: Annotated[str, typer.Option(help="As 443,8443,9000-9010.")] = "443",
    sni: Annotated[list[str] | None, typer.Option(help="A server name to ask each address for.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="What to leave out.")] = None,
    depth: Annotated[discovery.Reach, typer.Option()] = "fast",
    group: Annotated[list[str] | None, typer.Option(help="Whose it is.")] = None,
) -> Call[discovery.ScanView]:
    """Start a scan."""
    return discovery.create_scan(
        {
            "targets": targets,
            "ports": ports,
            "server_names": sni or [],
            "exclude": exclude or [],
            "depth": depth,
            "groups": group or [],
        }
    )


@does(app, "show")
def show(scan: Scan) -> Call[discovery.ScanView]:
    """Show a scan."""
    return discovery.get_scan(scan)


@lists(
    app,
    {"ADDRESS": "address", "PORT": "port", "NAME": "server_name", "OUTCOME": "outcome", "REASON": "reason"},
    "results",
)
def results(scan: Scan) -> Listing[discovery.ResultView]:
    """List what a scan has seen, place by place."""
    return discovery.list_scan_results(scan)


@does(app, "pause")
def pause(scan: Scan) -> Call[discovery.ScanView]:
    """Pause a scan."""
    return discovery.pause_scan(scan)


@does(app, "resume", wait=_wait)
def resume(scan: Scan) -> Call[discovery.ScanView]:
    """Go on with a scan."""
    return discovery.resume_scan(scan)


@does(app, "cancel")
def cancel(scan: Scan) -> Call[discovery.ScanView]:
    """End a scan before its end."""
    return discovery.cancel_scan(scan)


@does(app, "explain")
def explain(
    target: Annotated[str, typer.Argument(help="As host:port.")],
    *,
    server_name: Annotated[str | None, typer.Option()] = None,
) -> Call[discovery.ExplanationView]:
    """Say why something was found there, or was not."""
    return discovery.explain_target(target=target, server_name=server_name)
