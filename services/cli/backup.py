"""`everleaf backup` and `everleaf restore`: the embedded platform, kept and brought back.

A backup is a folder: an SQLite file of each service and of the embedded bus, all of one instant, and `manifest.json`. The
key-encryption key is not in it: who has a backup and not that key has no secret.
"""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from services.program import NAMES, Program, service_module
from shared.clock import utc_now
from shared.errors import Conflict, Invalid
from shared.store.rewrapping import PREFIX, sealed_columns
from shared.store.snapshots import snapshot

MANIFEST = "manifest.json"
BUS = "bus"


class Kept(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    bytes: int
    version: str | None
    """Of the schema: the number of its last migration; the bus has none."""


class Manifest(BaseModel):
    """What a backup holds; written last, so that a backup without it is none."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    made_at: datetime
    files: dict[str, Kept]
    """By name of the service, and `bus`."""
    sealed_with: dict[str, int]
    """How many secrets are sealed with which key-encryption key, by its id in hexadecimal digits."""


def back_up(program: Program, folder: Path) -> Manifest:
    """Make a backup in a new folder, beside a running platform. Raises `Conflict`, `Invalid` or `Unavailable`."""
    files = _files(program)
    if folder.exists():
        raise Conflict(f"{folder} is there already.", next_step="Name a folder that is not there yet.")
    draft = folder.with_name(f".{folder.name}.draft")
    if draft.exists():  # of one that was broken off
        shutil.rmtree(draft)
    draft.mkdir(parents=True, mode=0o700)
    snapshot({file: draft / f"{name}.db" for name, file in files.items()})
    kept = {name: _kept(draft / f"{name}.db") for name in files}
    manifest = Manifest(made_at=utc_now(), files=kept, sealed_with=_sealed_with(draft))
    _write(draft / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")
    draft.rename(folder)
    _sync(folder.parent)
    return manifest


def restore(program: Program, folder: Path, *, without_key: bool) -> Manifest:
    """Bring a backup back to where the settings say. Raises `Conflict`, `Invalid` or `Unavailable`, and changes nothing then.

    `without_key` does so where a key is missing that something is sealed with.
    """
    files = _files(program)
    manifest = _read(folder, expected=set(files))
    for name, file in files.items():
        if file.exists():
            raise Conflict(
                f"There is a database already: {file}.",
                next_step="Restore into another data folder (--data), or move this one away.",
            )
        _check(folder / f"{name}.db", manifest.files[name], name=name)
    if not without_key:
        _require_keys(program, manifest)
    program.prepare_data_dir()
    with program.only_one():
        drafts = {file.with_name(f".{file.name}.draft"): file for file in files.values()}
        for draft, name in zip(drafts, files, strict=True):
            shutil.copyfile(folder / f"{name}.db", draft)
            draft.chmod(0o600)
            _sync(draft)
        for draft, file in drafts.items():
            draft.rename(file)
            _sync(file.parent)
    return manifest


def _files(program: Program) -> dict[str, Path]:
    """Return the SQLite files of a platform. Raises `Invalid` where something of it is kept elsewhere."""
    if program.settings.bus_url is not None:
        raise _kept_elsewhere("The bus is RabbitMQ")
    urls = {name: program.database_url(name) for name in NAMES}
    for name, url in urls.items():
        if url.get_backend_name() != "sqlite" or not url.database:
            raise _kept_elsewhere(f"The database of {name} is no SQLite file")
    paths = {name: Path(url.database or "").resolve() for name, url in urls.items()}
    return {**paths, BUS: program.data_dir / "bus.db"}


def _kept_elsewhere(what: str) -> Invalid:
    return Invalid(
        f"{what}, and this is for the embedded platform only.",
        next_step="Use pg_dump for each database: see docs/how-to/back-up-and-restore.md.",
    )


def _kept(file: Path) -> Kept:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        has_versions = database.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchone()
        row = database.execute("SELECT version_num FROM alembic_version").fetchone() if has_versions else None
    return Kept(sha256=_digest(file), bytes=file.stat().st_size, version=row[0] if row else None)


def _sealed_with(folder: Path) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name in NAMES:
        with closing(sqlite3.connect(f"{(folder / name).as_uri()}.db?mode=ro", uri=True)) as database:
            for column in sealed_columns(service_module(name).SCHEMA.metadata):
                found.update(_prefixes(database, table=column.table.name, column=column.name))
    return dict(found)


def _prefixes(database: sqlite3.Connection, *, table: str, column: str) -> Mapping[str, int]:
    names = {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
    if column not in names:  # of an earlier version, which had no such secrets yet
        return {}
    rows = database.execute(
        f'SELECT substr("{column}", 2, {PREFIX - 1}), count(*) FROM "{table}" WHERE length("{column}") > {PREFIX} GROUP BY 1'  # noqa: S608 - names of our own tables
    )
    return {bytes(key).hex(): count for key, count in rows}


def _read(folder: Path, *, expected: set[str]) -> Manifest:
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise Invalid(
            f"{folder} is no whole backup: {MANIFEST} is missing, or cannot be read.",
            next_step="Name the folder that `everleaf backup` has made.",
        ) from error
    if set(manifest.files) != expected:
        raise Invalid(
            f"The backup holds {', '.join(sorted(manifest.files))}, and not {', '.join(sorted(expected))}.",
            next_step="Restore it with the version of Everleaf that made it.",
        )
    return manifest


def _check(file: Path, kept: Kept, *, name: str) -> None:
    if not file.exists() or file.stat().st_size != kept.bytes or _digest(file) != kept.sha256:
        raise Invalid(
            f"{file} is not as it was when the backup was made.", next_step="Restore from another copy of it."
        )
    known = name == BUS or any(service_module(name).SCHEMA.versions.glob(f"{kept.version}_*.py"))
    if not known:
        raise Invalid(
            f"{file.name} is at version {kept.version}, which this program does not know.",
            next_step="Restore it with the version of Everleaf that made it, or a newer one.",
        )


def _require_keys(program: Program, manifest: Manifest) -> None:
    """Raise `Invalid` where a key is missing; make none, since one made now opens nothing."""
    sealer = program.sealer_at_hand() if manifest.sealed_with else None
    at_hand = {prefix[1:].hex() for prefix in sealer.prefixes} if sealer is not None else set()
    missing = {key: count for key, count in manifest.sealed_with.items() if key not in at_hand}
    if missing:
        told = ", ".join(f"{count:,} with {key}" for key, count in sorted(missing.items()))
        raise Invalid(
            f"Secrets are sealed with a key-encryption key that is not at hand: {told}.",
            next_step="Put the copy of the key where EVERLEAF_KEK_FILE says (by default `kek` in the data folder). "
            "If there is none any more, restore with --without-key and run `everleaf forget-unreadable`.",
        )


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _write(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
