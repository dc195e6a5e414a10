"""The program's key-encryption key in a real token."""

from pathlib import Path

import pytest

from services.program import Program
from shared.errors import Invalid
from shared.ids import new_id
from shared.sealing import Sealer
from tests.servers.softhsm import LABEL, PIN, SoftHsm


def program(folder: Path, softhsm: SoftHsm, **environ: str) -> Program:
    (folder / "pin").write_text(PIN)
    given = {
        "EVERLEAF_PKCS11_MODULE": softhsm.module,
        "EVERLEAF_PKCS11_TOKEN": LABEL,
        "EVERLEAF_PKCS11_PIN_FILE": str(folder / "pin"),
        **environ,
    }
    kept = {name: value for name, value in given.items() if value}
    return Program(kept, toml_path=folder / "none.toml", data_dir=folder)


def test_secrets_go_from_the_file_into_the_token_and_no_key_file_is_made(
    tmp_path: Path, softhsm: SoftHsm
) -> None:
    before = program(tmp_path, softhsm).sealer().seal(b"secret", row="r")
    label = new_id()
    both = {"EVERLEAF_KEK_PKCS11_LABEL": label, "EVERLEAF_OLD_KEK_FILES": str(tmp_path / "kek")}
    moved = program(tmp_path, softhsm, **both).sealer().rewrap(before)
    (tmp_path / "kek").unlink()
    alone = program(tmp_path, softhsm, EVERLEAF_KEK_PKCS11_LABEL=label).sealer()
    assert alone.open(moved, row="r") == b"secret"
    assert not (tmp_path / "kek").exists()
    back: Sealer = program(tmp_path, softhsm, EVERLEAF_OLD_KEK_PKCS11_LABELS=label).sealer()
    assert back.open(moved, row="r") == b"secret"


@pytest.mark.parametrize("missing", ["EVERLEAF_PKCS11_MODULE", "EVERLEAF_PKCS11_PIN_FILE"])
def test_a_token_that_is_half_set_says_what_is_missing(
    tmp_path: Path, softhsm: SoftHsm, missing: str
) -> None:
    with pytest.raises(Invalid, match=r"PKCS11|token") as told:
        program(tmp_path, softhsm, EVERLEAF_KEK_PKCS11_LABEL="x", **{missing: ""}).sealer()
    assert missing in told.value.next_step
