"""`make demo`: fresh folder → platform and estate → the whole loop, watched, and a closing table."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.estate import HOST
from demo.processes import Child, DemoFailed, free_port, start_estate, start_platform
from demo.story import Story

FOLDER = Path("build/demo")
console = Console()


def main() -> int:
    """Tell the story; return 0 only if the loop closed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave platform and estate running")
    keep = parser.parse_args().keep
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    children: list[Child] = []
    try:
        story = _begin(children)
        _tell(story)
    except DemoFailed as failure:
        console.print(f"[red]✗ {failure}[/red]")
        console.print(f"The logs are in {FOLDER}.")
        keep = False
        return 1
    else:
        _close(story)
        if keep:
            _say_how_to_go_on(story, children)
        return 0
    finally:
        if not keep:
            for child in reversed(children):
                child.stop()


def _begin(children: list[Child]) -> Story:
    began = time.monotonic()
    with console.status("Starting four TLS sites, an SSH server, a mail server and a webhook receiver …"):
        child, estate = start_estate(FOLDER.resolve() / "estate")
    children.append(child)
    with console.status("Starting Everleaf: five services in one process …"):
        child, api = start_platform(FOLDER.resolve() / "data", port=free_port())
    children.append(child)
    console.print(
        f"[green]✓[/green] [bold]Start[/bold]     estate and platform on {HOST}, no root, no Docker"
    )
    return Story(api=api, estate=estate, began=began)


def _tell(story: Story) -> None:
    chapters: list[tuple[str, str, Callable[[], str]]] = [
        ("Tell", "Setting up who is told …", story.channels),
        ("Trust", "Making a CA and a profile …", story.authority),
        ("Discover", "Scanning the estate without credentials …", story.discover),
        ("Warn", "Waiting for the alert …", story.warn),
        ("Bind", "Saying where the certificate belongs …", story.bind),
        ("Renew", "Obtaining a new certificate …", story.renew),
        ("Deploy", "Putting it in place …", story.deploy),
        ("Observe", "Looking at the wire …", story.observe),
    ]
    for name, doing, chapter in chapters:
        began = time.monotonic()
        with console.status(doing):
            result = chapter()
        seconds = time.monotonic() - began
        console.print(f"[green]✓[/green] [bold]{name:<9}[/bold] {result} [dim]{seconds:.1f} s[/dim]")


def _close(story: Story) -> None:
    table = Table(title="Observed", title_justify="left")
    for heading in ("site", "found", "expires", "what was done", "on the wire"):
        table.add_column(heading)
    for site in story.estate.sites:
        known = story.found[site.name]
        is_shop = site is story.shop
        table.add_row(
            site.name,
            site.about,
            known["not_after"][:10],
            "alerted, renewed, deployed, alert resolved" if is_shop else "",
            f"{known['fingerprint'][:8]}…" + (" [green]new[/green]" if is_shop else ""),
        )
    console.print(table)
    console.print(f"The loop closed in {time.monotonic() - story.began:.0f} seconds.")


def _say_how_to_go_on(story: Story, children: list[Child]) -> None:
    pids = " ".join(str(child.pid) for child in children)
    console.print(f"Everleaf is at {story.api.base_url} (APIs: /inventory/docs, /discovery/docs, …).")
    console.print(f"The token is in {FOLDER}/data/admin.token. Stop everything with: kill {pids}")


if __name__ == "__main__":
    sys.exit(main())
