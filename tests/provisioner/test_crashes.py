"""The provisioner dies at every point there is; the next one ends what it had begun."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner import store
from services.provisioner.actions.attempt import Attempt
from services.provisioner.connectors import wire
from services.provisioner.connectors.sftp import Request, Sftp
from services.provisioner.connectors.ssh import Session
from services.provisioner.connectors.wire import Handshakes
from services.provisioner.domain import Phase, State
from shared.events.provisioner import CertificateDeployed
from tests.provisioner.conftest import endpoint, known, slot
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import CALLER, Workshop
from tests.servers.tls import Issued, fingerprint

CHANGES = ("go_on", "keep_in_place", "end")
"""What is remembered without `Attempt._change`."""


class Killed(BaseException):
    """No handler of ours catches it, so nothing is put right on the way out."""


class Countdown:
    """Counts what is done to the target and to the database, and kills before the nth."""

    def __init__(self, kill_at: int | None) -> None:
        self.count = 0
        self._kill_at = kill_at

    def __call__(self) -> None:
        self.count += 1
        if self._kill_at is not None and self.count >= self._kill_at:
            raise Killed


@contextmanager
def counting(kill_at: int | None, kind: type[Countdown] = Countdown) -> Iterator[Countdown]:
    countdown = kind(kill_at)
    with pytest.MonkeyPatch.context() as patch:
        count_touches(patch, countdown)
        for name in CHANGES:
            patch.setattr(store, name, _counted(getattr(store, name), countdown))
        patch.setattr(Attempt, "_change", _counted_change(Attempt._change, countdown))
        yield countdown


def count_touches(patch: pytest.MonkeyPatch, countdown: Callable[[], None]) -> None:
    """Count what is done to the target: each request by itself, also of those that would go out together."""
    patch.setattr(Session, "run", _counted(Session.run, countdown))
    whole = Sftp.each

    async def each(self: Sftp, *requests: Request) -> list[Any]:
        answers = []
        for request in requests:
            countdown()
            answers += await whole(self, request)
        return answers

    patch.setattr(Sftp, "each", each)


def _counted(method: Any, countdown: Callable[[], None]) -> Any:
    async def counted(*args: Any, **kwargs: Any) -> Any:
        countdown()
        return await method(*args, **kwargs)

    return counted


def _counted_change(method: Any, countdown: Countdown) -> Any:
    def counted(self: Attempt) -> Any:
        countdown()
        return method(self)

    return counted


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host changes its certificate at once, so there is nothing to wait for."""
    monkeypatch.setattr(wire, "_PAUSE", 0.005)


async def test_killed_at_any_point_a_deployment_ends_in_place(
    shop: Workshop, host: SshHost, old: Issued, new: Issued
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    with counting(None) as whole:
        await shop.renew(old)
        await shop.work_off()
    for kill_at in range(1, whole.count + 1):
        wanted = (new, old)[kill_at % 2]
        order = await shop.renew(wanted)
        await _die(shop, kill_at)
        await shop.work.forget_leases()
        await shop.work_off()
        await _is_in_place(shop, host, wanted, order=order, kill_at=kill_at)


@pytest.mark.parametrize("broken", ["test_command", "reload_command"])
async def test_killed_on_the_way_back_the_old_one_is_in_place(
    shop: Workshop, host: SshHost, old: Issued, new: Issued, broken: str
):
    target = await known(shop, host)
    # It fails as long as anything but the old certificate is in the file.
    (host.certificate.parent.parent / "old").write_bytes(old.chain_pem)
    check = f"cmp {host.certificate.parent.parent}/old {host.certificate}"
    commands = {"reload_command": "reload", broken: check}
    await shop.bind(target, slot={**slot(host), **commands}, endpoints=[endpoint(host)])
    with counting(None) as whole:
        await shop.renew(new)
        await shop.work_off()
    for kill_at in range(1, whole.count + 1):
        order = await shop.renew(new)
        await _die(shop, kill_at)
        await shop.work.forget_leases()
        await shop.work_off()
        [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=order)
        assert (row.state, row.phase, row.restored) == (State.RESTORED, Phase.START, True), kill_at
        assert await _served_and_filed(host) == (old.fingerprint, old.fingerprint), kill_at


async def test_a_killed_process_is_replaced_when_its_lease_has_run_out(
    shop: Workshop, host: SshHost, new: Issued
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    order = await shop.renew(new)
    await _die(shop, kill_at=9)
    assert await shop.work.claim(now=shop.time()) is None
    shop.time.passes(timedelta(seconds=31))
    await shop.work_off()
    await _is_in_place(shop, host, new, order=order, kill_at=9)


@pytest.mark.parametrize("kill_at", [6, 11, 16])
async def test_a_process_that_was_really_killed_is_replaced(
    shop: Workshop, host: SshHost, new: Issued, tmp_path: Path, kill_at: int
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    order = await shop.renew(new)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.provisioner.killed",
        str(tmp_path / "provisioner.db"),
        str(kill_at),
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    await child.communicate(new.key_pem)
    assert child.returncode == -signal.SIGKILL
    await shop.work.forget_leases()
    await shop.work_off()
    await _is_in_place(shop, host, new, order=order, kill_at=kill_at)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_database_that_is_away_for_a_moment_is_no_failure_of_the_target(
    shop: Workshop, host: SshHost, new: Issued, monkeypatch: pytest.MonkeyPatch, change: str
):
    target = await known(shop, host)
    await shop.bind(target, slot=slot(host), endpoints=[endpoint(host)])
    order = await shop.renew(new)

    async def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(store, change, refuse)
        await shop.work_off()
    shop.time.passes(timedelta(seconds=31))
    await shop.work_off()
    await _is_in_place(shop, host, new, order=order, kill_at=0)
    row, steps = await shop.only()
    assert (row.attempt, [step.text for step in steps if not step.ok]) == (0, [])


async def _die(shop: Workshop, kill_at: int) -> None:
    claim = await shop.work.claim(now=shop.time())
    assert claim is not None
    with counting(kill_at), suppress(Killed, BaseExceptionGroup):
        await shop.work.run(claim)


async def _is_in_place(shop: Workshop, host: SshHost, wanted: Issued, *, order: str, kill_at: int) -> None:
    [row] = await shop.deployments.page(after=None, limit=10, caller=CALLER, order_id=order)
    assert (row.state, row.phase) == (State.DEPLOYED, Phase.OVER), (kill_at, row.reason)
    assert await _served_and_filed(host) == (wanted.fingerprint, wanted.fingerprint), kill_at
    told = [event for event in await shop.events(CertificateDeployed) if event.order_id == order]
    assert len(told) == 1


async def _served_and_filed(host: SshHost) -> tuple[str | None, str]:
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])
    certificate = x509.load_pem_x509_certificate(host.certificate.read_bytes())
    assert certificate.public_key() == load_pem_private_key(host.key.read_bytes(), None).public_key()
    return await Handshakes().served(endpoint(host)), fingerprint(certificate)
