from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from shared.settings import CommaList, Settings, SettingsSource, WrongSetting, variable


class Top(Settings):
    name: str = "everleaf"
    networks: CommaList = Field(default=[])


class Garden(Settings):
    trees: int = 3
    kind: Literal["oak", "elm"] = "oak"
    gate_code: SecretStr | None = None


SECTIONS: dict[str, type[Settings]] = {"": Top, "garden": Garden}


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "everleaf.toml"
    path.write_text(text)
    return path


def test_the_default_holds_where_nothing_is_said():
    assert SettingsSource(environ={}).load(Garden, section="garden") == Garden()


def test_toml_beats_the_default_a_file_beats_toml_and_the_environment_beats_both(tmp_path: Path):
    path = toml(tmp_path, "[garden]\ntrees = 4\n")
    (tmp_path / "trees").write_text("5\n")
    from_file = {"EVERLEAF_GARDEN_TREES_FILE": str(tmp_path / "trees")}
    both = {**from_file, "EVERLEAF_GARDEN_TREES": "6"}

    def trees(environ: dict[str, str]) -> int:
        return SettingsSource.read(environ, toml_path=path).load(Garden, section="garden").trees

    assert [trees({}), trees(from_file), trees(both)] == [4, 5, 6]


def test_the_top_section_is_above_all_tables_and_has_no_name_in_the_environment(tmp_path: Path):
    source = SettingsSource.read({}, toml_path=toml(tmp_path, 'name = "leaf"\n[garden]\ntrees = 1\n'))
    assert source.load(Top).name == "leaf"
    assert SettingsSource(environ={"EVERLEAF_NAME": "bud"}).load(Top).name == "bud"
    assert variable("", "bus_url") == "EVERLEAF_BUS_URL"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10.0.0.0/8, ::1/128,", ["10.0.0.0/8", "::1/128"]), ("", []), ("one", ["one"])],
)
def test_a_list_is_written_with_commas_in_the_environment(text: str, expected: list[str]):
    assert SettingsSource(environ={"EVERLEAF_NETWORKS": text}).load(Top).networks == expected


def test_a_list_is_a_list_in_toml(tmp_path: Path):
    source = SettingsSource.read({}, toml_path=toml(tmp_path, 'networks = ["a", "b"]\n'))
    assert source.load(Top).networks == ["a", "b"]


def test_a_wrong_one_is_one_line_with_its_name_and_the_environment_as_origin():
    with pytest.raises(WrongSetting) as raised:
        SettingsSource(environ={"EVERLEAF_GARDEN_TREES": "many"}).load(Garden, section="garden")
    assert raised.value.detail.startswith("EVERLEAF_GARDEN_TREES (from the environment): ")
    assert "\n" not in str(raised.value)


def test_a_wrong_one_from_a_file_names_the_file(tmp_path: Path):
    (tmp_path / "trees").write_text("many")
    environ = {"EVERLEAF_GARDEN_TREES_FILE": str(tmp_path / "trees")}
    with pytest.raises(WrongSetting, match=r"EVERLEAF_GARDEN_TREES \(from the file .*/trees\): "):
        SettingsSource(environ=environ).load(Garden, section="garden")


def test_a_wrong_one_from_toml_names_that_file(tmp_path: Path):
    source = SettingsSource.read({}, toml_path=toml(tmp_path, '[garden]\nkind = "fern"\n'))
    with pytest.raises(
        WrongSetting, match=r"EVERLEAF_GARDEN_KIND \(from .*everleaf\.toml\): .*'oak' or 'elm'"
    ):
        source.load(Garden, section="garden")


def test_two_wrong_ones_are_two_lines():
    environ = {"EVERLEAF_GARDEN_TREES": "many", "EVERLEAF_GARDEN_KIND": "fern"}
    with pytest.raises(WrongSetting) as raised:
        SettingsSource(environ=environ).load(Garden, section="garden")
    assert [line.split(" ")[0] for line in raised.value.detail.split("\n")] == list(environ)


def test_the_value_of_a_wrong_secret_is_not_shown(tmp_path: Path):
    source = SettingsSource.read({}, toml_path=toml(tmp_path, "[garden]\ngate_code = 424242\n"))
    with pytest.raises(WrongSetting, match="EVERLEAF_GARDEN_GATE_CODE") as raised:
        source.load(Garden, section="garden")
    assert "424242" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_secret_hides_itself_once_it_is_read():
    garden = SettingsSource(environ={"EVERLEAF_GARDEN_GATE_CODE": "sesame"}).load(Garden, section="garden")
    assert garden.gate_code is not None
    assert garden.gate_code.get_secret_value() == "sesame"
    assert "sesame" not in repr(garden)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_one_line_without_its_bytes(tmp_path: Path, content: bytes | None):
    path = tmp_path / "code"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        WrongSetting, match=r"EVERLEAF_GARDEN_GATE_CODE_FILE \(from the environment\)"
    ) as raised:
        SettingsSource(environ={"EVERLEAF_GARDEN_GATE_CODE_FILE": str(path)}).load(Garden, section="garden")
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["EVERLEAF_GARDEN_TREE", "EVERLEAF_NAMEE", "EVERLEAF_GARDEN_TREES_FIL"])
def test_an_unknown_name_in_the_environment_is_refused(name: str):
    with pytest.raises(WrongSetting, match=rf"{name} \(from the environment\) is not a setting"):
        SettingsSource(environ={name: "x"}).refuse_unknown(SECTIONS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("namee = 1", "namee"),
        ("[garden]\ntree = 1", r"garden\.tree"),
        ("[gardn]\ntrees = 1", "gardn"),
        ("[gardn]", "gardn"),
        ("garden = 1", "garden"),
    ],
)
def test_an_unknown_name_in_toml_is_refused(tmp_path: Path, text: str, name: str):
    source = SettingsSource.read({}, toml_path=toml(tmp_path, text))
    with pytest.raises(WrongSetting, match=rf"^{name} \(from .*everleaf\.toml\) is not a setting"):
        source.refuse_unknown(SECTIONS)


def test_known_names_and_those_of_other_programs_pass(tmp_path: Path):
    environ = {"EVERLEAF_GARDEN_TREES_FILE": "x", "EVERLEAF_NAME": "x", "PATH": "/bin"}
    source = SettingsSource.read(environ, toml_path=toml(tmp_path, 'name = "x"\n[garden]\ntrees = 1\n'))
    source.refuse_unknown(SECTIONS)


@pytest.mark.parametrize("content", [b"name = ", b'name = "\xff"'])
def test_a_file_that_is_not_toml_is_one_line_with_its_path(tmp_path: Path, content: bytes):
    path = tmp_path / "everleaf.toml"
    path.write_bytes(content)
    with pytest.raises(WrongSetting, match=r"everleaf\.toml: ") as raised:
        SettingsSource.read({}, toml_path=path)
    assert "\n" not in str(raised.value)


def test_without_the_toml_file_everything_else_works(tmp_path: Path):
    assert SettingsSource.read({}, toml_path=tmp_path / "none").load(Top) == Top()
