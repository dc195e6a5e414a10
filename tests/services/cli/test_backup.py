"""A platform is backed up while it runs, lost, and brought back: with its key, and without."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.backup import back_up, restore
from services.cli.forget import forget_all
from services.program import NAMES, Program, migrate, open_services, require_key
from services.run import front_door
from shared.clock import utc_now
from shared.errors import Conflict, Invalid
from shared.service import Lanes, Service

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"
SHOWN = ("/renewal/v1/authorities", "/renewal/v1/profiles", "/renewal/v1/orders", "/notifier/v1/channels")


def program(data: Path, **environ: str) -> Program:
    return Program(
        {"EVERLEAF_OUTBOUND_ALLOW": "127.0.0.0/8", **environ}, toml_path=data / "none", data_dir=data
    )


@asynccontextmanager
async def running(data: Path) -> AsyncIterator["Running"]:
    """Do what `everleaf up` does, but for the workers."""
    made = program(data)
    made.prepare_data_dir()
    await migrate(made, NAMES)
    await require_key(made, NAMES)
    async with made.open_bus() as bus, open_services(made, NAMES, bus) as services:
        token = (data / "admin.token").read_text().strip()
        transport = httpx.ASGITransport(front_door(services, bus), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as client:
            yield Running(client, services)


class Running:
    """A platform, and how it is asked."""

    def __init__(self, client: httpx.AsyncClient, services: list[Service]) -> None:
        self.client = client
        self._renewal = next(service for service in services if service.name == "renewal")

    async def make(self, path: str, body: Any) -> dict[str, Any]:
        answer = await self.client.post(path, json=body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def shown(self) -> dict[str, Any]:
        """Return what is there, as people are shown it."""
        answers = {path: await self.client.get(path) for path in SHOWN}
        return {path: answer.json()["items"] for path, answer in answers.items()}

    async def issue(self) -> dict[str, Any]:
        """Order a certificate, have it issued, and return the order."""
        order = await self.make("/renewal/v1/orders", {"names": ["www.garden.test"], "profile": "web"})
        owners = [getattr(job, "__self__", None) for job in self._renewal.jobs]
        for lanes in (owner for owner in owners if isinstance(owner, Lanes)):
            while (claim := await lanes._work.claim(now=utc_now())) is not None:
                await lanes._work.run(claim)
        answer = await self.client.get(f"/renewal/v1/orders/{order['id']}")
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A platform with secrets of several kinds, backed up while it was open; its folder is gone."""
    folder = tmp_path_factory.mktemp("kept")
    data = folder / "data"
    async with running(data) as platform:
        await platform.make("/renewal/v1/authorities", {"name": "house", "kind": "builtin"})
        profile = {"name": "web", "authority": "house", "allowed_names": ["*.garden.test"]}
        await platform.make("/renewal/v1/profiles", profile)
        options = {"url": "http://127.0.0.1:1/hook"}
        channel = {
            "name": "hook",
            "kind": "webhook",
            "options": options,
            "secrets": {"signing_secret": SECRET},
        }
        await platform.make("/notifier/v1/channels", channel)
        order = await platform.issue()
        shown = await platform.shown()
        back_up(program(data), folder / "backup")
        # What comes later is not in it.
        await platform.make("/renewal/v1/authorities", {"name": "later", "kind": "builtin"})
    shutil.copy(data / "kek", folder / "kek")
    shutil.rmtree(data)
    return {"backup": folder / "backup", "kek": folder / "kek", "shown": shown, "order": order}


async def test_what_is_restored_is_what_was_backed_up_and_its_secrets_open(
    kept: dict[str, Any], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(kept["kek"], data / "kek")
    restore(program(data), kept["backup"], without_key=False)
    assert all((data / f"{name}.db").stat().st_mode & 0o777 == 0o600 for name in (*NAMES, "bus"))
    async with running(data) as platform:
        assert await platform.shown() == kept["shown"]
        issued = await platform.issue()
        assert issued["state"] == "renewed", issued
        assert issued["fingerprint"] != kept["order"]["fingerprint"]


async def test_a_lost_key_is_said_before_anything_is_made_and_all_but_the_secrets_can_be_had_again(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    with pytest.raises(
        Invalid, match=r"sealed with a key-encryption key that is not at hand: \d+ with [0-9a-f]{16}"
    ):
        restore(program(data), kept["backup"], without_key=False)
    assert not data.exists()
    restore(program(data), kept["backup"], without_key=True)
    with pytest.raises(Invalid, match="Secrets of inventory are sealed with the key-encryption key"):
        async with running(data):
            pass
    await forget_all(program(data), NAMES, really=False)
    assert "Nothing was changed" in capsys.readouterr().out
    await forget_all(program(data), NAMES, really=True)
    told = capsys.readouterr().out
    assert "notifier: channels.secrets: 1, to be given again where it is still needed" in told
    assert "inventory: signing_keys.private_key: 1, made anew by itself" in told
    async with running(data) as platform:
        assert await platform.shown() == kept["shown"]
        lost = await platform.issue()
        assert lost["state"] != "renewed"
        assert "does not open" in json.dumps(lost)
        await platform.make("/renewal/v1/authorities", {"name": "new house", "kind": "builtin"})
    await forget_all(program(data), NAMES, really=False)
    assert "Every secret can be opened." in capsys.readouterr().out


def test_nothing_is_overwritten_and_what_is_not_whole_is_not_restored(
    kept: dict[str, Any], tmp_path: Path
) -> None:
    data, broken = tmp_path / "data", tmp_path / "broken"
    data.mkdir()
    (data / "renewal.db").write_bytes(b"somebody's")
    with pytest.raises(Conflict, match="There is a database already"):
        restore(program(data), kept["backup"], without_key=True)
    assert (data / "renewal.db").read_bytes() == b"somebody's"
    with pytest.raises(Conflict, match="is there already"):
        back_up(program(data), kept["backup"])
    (data / "renewal.db").unlink()
    shutil.copytree(kept["backup"], broken)
    content = bytearray((broken / "notifier.db").read_bytes())
    content[-1] ^= 1
    (broken / "notifier.db").write_bytes(content)
    with pytest.raises(Invalid, match="is not as it was when the backup was made"):
        restore(program(data), broken, without_key=True)
    (broken / "manifest.json").unlink()
    with pytest.raises(Invalid, match="is no whole backup"):
        restore(program(data), broken, without_key=True)
    assert not list(data.glob("*.db"))


def test_a_backup_holds_no_secret_and_no_key(kept: dict[str, Any]) -> None:
    content = b"".join(path.read_bytes() for path in kept["backup"].iterdir())
    assert {path.name for path in kept["backup"].iterdir()} == {
        *(f"{name}.db" for name in (*NAMES, "bus")),
        "manifest.json",
    }
    for secret in (SECRET.encode(), b"PRIVATE KEY", kept["kek"].read_bytes().strip()):
        assert secret not in content


def test_what_is_on_servers_is_left_to_their_own_tools(tmp_path: Path) -> None:
    for name, url in (("BUS_URL", "amqp://u@h/v"), ("RENEWAL_DATABASE_URL", "postgresql://u@h/renewal")):
        with pytest.raises(Invalid, match="embedded platform only"):
            back_up(program(tmp_path / "data", **{f"EVERLEAF_{name}": url}), tmp_path / "backup")
