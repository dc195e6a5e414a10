import stat
from datetime import timedelta
from pathlib import Path

import pytest

from services.program import NAMES, Program, sections
from shared.bus.sqlite import SqliteBus
from shared.errors import Conflict, Invalid
from shared.sealing import CannotOpen, KeyEncryptionKey
from shared.settings import WrongSetting


def program(tmp_path: Path, toml: str = "", **environ: str) -> Program:
    path = tmp_path / "everleaf.toml"
    path.write_text(toml)
    return Program(environ, toml_path=path, data_dir=tmp_path / "data")


def test_without_any_setting_it_can_start(tmp_path: Path):
    made = program(tmp_path)
    assert made.data_dir == tmp_path / "data"
    assert made.retry_after == (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10))


def test_every_service_has_a_section(tmp_path: Path):
    assert set(sections()) == {"", *NAMES}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVERLEAF_LOG_LEVEL", "loud"),
        ("EVERLEAF_DISCOVERY_NOTHING", "1"),
        ("EVERLEAF_INVENTORY_DATABASE_URLL", "sqlite:///x.db"),
    ],
)
def test_a_wrong_setting_of_any_section_is_one_line_before_anything_starts(
    tmp_path: Path, name: str, value: str
):
    with pytest.raises(WrongSetting, match=rf"{name} \(from the environment\)") as raised:
        program(tmp_path, **{name: value})
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "data").exists()


def test_a_wrong_table_in_toml_is_one_line(tmp_path: Path):
    with pytest.raises(WrongSetting, match=r"discoverry \(from .*everleaf\.toml\)"):
        program(tmp_path, "[discoverry]\ndatabase_url = 'sqlite:///x.db'\n")


@pytest.mark.parametrize(("name", "value"), [("RETRY_AFTER", "5,soon"), ("OUTBOUND_ALLOW", "10.0.0.0/99")])
def test_a_list_with_a_wrong_part_is_one_line_that_names_it(tmp_path: Path, name: str, value: str):
    with pytest.raises(Invalid, match=name.lower() if name == "OUTBOUND_ALLOW" else name):
        program(tmp_path, **{f"EVERLEAF_{name}": value})


def test_the_data_folder_is_for_its_owner_only(tmp_path: Path):
    made = program(tmp_path)
    made.prepare_data_dir()
    made.prepare_data_dir()
    assert stat.S_IMODE(made.data_dir.stat().st_mode) == 0o700


def test_a_data_folder_is_for_one_process(tmp_path: Path):
    first, second = program(tmp_path), program(tmp_path)
    first.prepare_data_dir()
    with first.only_one(), pytest.raises(Conflict, match="Another `everleaf up`"), second.only_one():
        pass
    with second.only_one():
        pass


def test_former_keys_open_and_the_present_one_seals(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        KeyEncryptionKey.load_or_make(path)
    before = program(tmp_path, EVERLEAF_KEK_FILE=str(old)).sealer().seal(b"leaf", row="r")
    rotated = program(tmp_path, EVERLEAF_KEK_FILE=str(new), EVERLEAF_OLD_KEK_FILES=str(old)).sealer()
    assert rotated.open(before, row="r") == b"leaf"
    alone = program(tmp_path, EVERLEAF_KEK_FILE=str(new)).sealer()
    assert alone.open(rotated.seal(b"leaf", row="r"), row="r") == b"leaf"
    with pytest.raises(CannotOpen):
        alone.open(before, row="r")


def test_a_key_that_was_named_and_is_not_there_is_never_made_anew(tmp_path: Path):
    named = tmp_path / "kek-of-production"
    with pytest.raises(Invalid, match="EVERLEAF_KEK_FILE: there is no"):
        program(tmp_path, EVERLEAF_KEK_FILE=str(named)).sealer()
    assert not named.exists()


def test_every_service_has_a_queue_for_what_its_contract_receives(tmp_path: Path):
    queues = {queue.name: queue for queue in program(tmp_path, EVERLEAF_RETRY_AFTER="1,2").queues()}
    assert queues.keys() == {f"{name}.events" for name in NAMES}
    assert "certificate.found" in queues["inventory.events"].types
    assert all(queue.backoff == (timedelta(seconds=1), timedelta(seconds=2)) for queue in queues.values())


async def test_the_bus_is_the_embedded_one_unless_told_otherwise(tmp_path: Path):
    made = program(tmp_path)
    made.prepare_data_dir()
    async with made.open_bus() as bus:
        assert isinstance(bus, SqliteBus)
        await bus.ready()


async def test_a_bus_of_another_kind_is_one_clear_line(tmp_path: Path):
    with pytest.raises(Invalid, match="EVERLEAF_BUS_URL"):
        async with program(tmp_path, EVERLEAF_BUS_URL="kafka://localhost").open_bus():
            pass
