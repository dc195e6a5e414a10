"""A running platform that the commands ask, with a few certificates and an authority."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.journeys.platforms import PROGRAM, Embedded, Platform, accepted, until
from tests.servers.tls import CertificateAuthority

SHOP, OLD = "www.example.test", "old.example.test"


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, lab_ca: CertificateAuthority) -> Iterator[Platform]:
    """`everleaf up`, with a certificate that ends in three days and one that does not."""
    started = Embedded(tmp_path_factory.mktemp("command-line"), environ={})
    started.start()
    try:
        _fill(started, lab_ca)
        yield started
    finally:
        started.stop()


def _fill(platform: Platform, ca: CertificateAuthority) -> None:
    soon = datetime.now(UTC) + timedelta(days=3)
    issued = (ca.issue(SHOP), ca.issue(OLD, not_after=soon))
    with platform.client() as client:
        accepted(
            client.post(
                "/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin", "options": {}}
            )
        )
        terms = {"name": "web", "authority": "house-ca", "allowed_names": ["*.example.test"]}
        accepted(client.post("/renewal/v1/profiles", json=terms))
        me = accepted(client.get("/inventory/v1/principals"))["items"][0]["id"]
        upload = {"name": "mainframe", "kind": "upload", "settings": {"uploaders": [me]}}
        source = accepted(client.post("/discovery/v1/sources", json=upload))["id"]
        holdings = [
            {"address": "mainframe", "path": f"ring/{n}", "format": "racf", "pem": each.chain_pem.decode()}
            for n, each in enumerate(issued)
        ]
        accepted(client.post(f"/discovery/v1/sources/{source}/uploads", json={"holdings": holdings}))
        until(
            lambda: accepted(client.get("/inventory/v1/certificates/count"))["count"] >= len(issued),
            what="the certificates' way into the inventory",
            within=300,
        )


@pytest.fixture
def person(platform: Platform, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has nothing but the program: no settings, no profile, no token."""
    others = ("EVERLEAF_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {
        **kept,
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "COLUMNS": "100",
        "URL": platform.url,
        "ADMIN_TOKEN": str(platform.data / "admin.token"),
    }
