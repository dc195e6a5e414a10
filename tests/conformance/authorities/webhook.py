"""The bench of an authority behind a webhook."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.renewal.connectors.webhook import WebhookAuthority
from tests.conformance.authorities.bench import NO_WAIT, Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.authority_hook import AuthorityHook
from tests.servers.tls import LOOPBACK, CertificateAuthority, names_of


@dataclass
class WebhookBench(Bench):
    """One with a receiver of its own."""

    server: AuthorityHook | None = None


@asynccontextmanager
async def webhook_bench(directory: Path, lab_ca: CertificateAuthority) -> AsyncIterator[WebhookBench]:
    """Open a receiver that issues for example.test."""
    server = AuthorityHook(lab_ca.issue(*LOOPBACK).server_context(directory))

    async def count(name: str) -> int:
        return sum(one is not None and name in names_of(one) for one in server.orders.values())

    async def is_revoked(der: bytes) -> bool:
        return der in server.revoked

    with running(server):
        yield WebhookBench(
            kind=WebhookAuthority,
            options={
                "url": server.url,
                "trusted_ca": lab_ca.pem.decode(),
                "root_pem": server.root.pem.decode(),
            },
            secrets={"signing_secret": server.secret_text()},
            network=on_loopback(),
            longest_wait=NO_WAIT,
            count=count,
            refused=("www.example.org",),
            is_revoked=is_revoked,
            hold=lambda: setattr(server, "holds", True),
            release=server.release,
            expire=lambda: setattr(server, "secret", b"another secret"),
            stop=server.stop,
            server=server,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with webhook_bench(fixtures("tmp_path"), fixtures("lab_ca")) as bench:
        yield bench


ROWS = {"webhook": Row(kind=WebhookAuthority, open=_opened, powers=frozenset(Power))}
