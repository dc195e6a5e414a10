"""Reads a Linux host.

Only certificates leave the host. Of a private key it says path, owner, mode, and the SHA-256 of its public half,
which the host itself computes.
"""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar, Self, cast

from pydantic import BaseModel

from services.discovery.connectors import Access, Check
from services.discovery.connectors.apart import read_apart
from services.discovery.connectors.linux.options import LinuxCredential, LinuxSettings, login_of
from services.discovery.connectors.linux.slots import (
    Known,
    Slot,
    alias_in,
    is_file,
    is_meant,
    key_of,
    nowhere,
    path_of,
    slots_of,
)
from services.discovery.connectors.linux_files import (
    STORES,
    File,
    find_files,
    find_keys,
    find_stores,
    quoted,
    read_files,
    read_keys,
    read_refusals,
    read_stores,
    show_files,
    show_keys,
)
from services.discovery.connectors.shell import Shell, shell
from services.discovery.domain.holdings import Gap, Holding, Key, Page, Use
from services.discovery.domain.targets import is_address

FILES_PER_PAGE = 100
MOST_FOUND = 5_000
MOST_ADDRESSES = 100


class LinuxHost:
    """A host that we log into with SSH."""

    kind: ClassVar[str] = "linux-ssh"
    summary: ClassVar[str] = "Certificate files and server configurations of a Linux host, over SSH."
    settings_type: ClassVar[type[BaseModel]] = LinuxSettings
    credential_type: ClassVar[type[BaseModel]] = LinuxCredential

    def __init__(self, shell: Shell, *, settings: LinuxSettings, passwords: Sequence[str] = ()) -> None:
        self._shell = shell
        self._settings = settings
        self._passwords = passwords

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Connect and log in."""
        settings, credential = (
            cast("LinuxSettings", access.settings),
            cast("LinuxCredential", access.credential),
        )
        passwords = [each.get_secret_value() for each in credential.store_passwords]
        async with shell(login_of(access), sudo=settings.sudo, limits=access.limits) as opened:
            yield cls(opened, settings=settings, passwords=passwords)

    async def check(self) -> Sequence[Check]:
        """Say who we are there, which tools there are, and which folders may be read."""
        status, said = await self._shell.run(_CHECK.format(folders=quoted(self._settings.folders)))
        if status and self._settings.sudo:
            return [
                Check(name="sudo", ok=False, text="sudo refused: allow `sudo -n /bin/sh -s` for this user.")
            ]
        lines = map(_CHECK_LINE.fullmatch, said.decode(errors="replace").splitlines())
        return [Check(name=line["name"], ok=line["ok"] == "yes", text=line["text"]) for line in lines if line]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield certificate files by path."""
        readings = await read_apart(self._shell, starts=self._settings.configurations)
        uses: dict[str, list[Use]] = defaultdict(list)
        for use in (use for reading in readings for use in reading.uses):
            uses[use.certificate].append(use)
        found, gaps = await self._find()
        gaps += [gap for reading in readings for gap in reading.gaps]
        gaps += [_nameless(path) for path in uses if not path.isprintable()]
        stores = await self._stores([path for path in uses if path.isprintable() and path not in found])
        by_file: dict[str, list[Use]] = defaultdict(list)
        for path, using in uses.items():
            if path.isprintable():
                by_file[stores.get(path, path)] += using
        known = Known(uses=by_file, keys=await self._lying_keys(), addresses=await self._addresses())
        paths = [path for path in sorted({*found, *by_file}) if after is None or path > after]
        for start in range(0, len(paths), FILES_PER_PAGE):
            chosen = paths[start : start + FILES_PER_PAGE]
            page = await self._page(chosen, known=known)
            is_last = start + FILES_PER_PAGE >= len(paths)
            first = tuple(gaps) if start == 0 else ()
            yield Page(
                holdings=page.holdings, gaps=(*first, *page.gaps), position=None if is_last else chosen[-1]
            )
        if not paths:
            yield Page(gaps=tuple(gaps))

    async def _find(self) -> tuple[list[str], list[Gap]]:
        _, said = await self._shell.run(find_files(self._settings.folders, most=MOST_FOUND + 1))
        lines = said.decode(errors="replace").splitlines()
        denied = [
            found[1] for line in lines if (found := re.fullmatch(r"find: '?(.*?)'?: Permission denied", line))
        ]
        gaps = [
            Gap(
                scope=path,
                reason="It may not be listed.",
                next_step="Give the login of the source the right to read it.",
            )
            for path in denied
        ]
        paths = [line for line in lines if line.startswith("/")]
        gaps += [_nameless(path) for path in paths if not _is_plain(path)]
        paths = [path for path in paths if _is_plain(path)]
        if len(lines) > MOST_FOUND:
            gaps.append(
                Gap(
                    scope="",
                    reason=f"There are more than {MOST_FOUND} files.",
                    next_step="Name narrower folders.",
                )
            )
        return paths[:MOST_FOUND], gaps

    async def _addresses(self) -> tuple[str, ...]:
        _, said = await self._shell.run("hostname -I 2>/dev/null; exit 0\n")
        words = [self._shell.address, *said.decode(errors="replace").split()[:MOST_ADDRESSES]]
        return tuple(dict.fromkeys(word for word in words if is_address(word)))

    async def _stores(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the keystore for each of these paths that leads into one, and is no file itself."""
        if not paths:
            return {}
        _, said = await self._shell.run(find_stores(paths))
        return read_stores(said.decode(errors="replace"))

    async def _lying_keys(self) -> dict[str, Key]:
        _, said = await self._shell.run(find_keys(self._settings.folders))
        return read_keys(said.decode(errors="replace"))

    async def _page(self, paths: Sequence[str], *, known: Known) -> Page:
        _, said = await self._shell.run(show_files(paths, passwords=self._passwords))
        text = said.decode(errors="replace")
        files, gaps = list(read_files(text)), list(read_refusals(text))
        named = {use.key for path in paths for use in known.uses.get(path, ()) if use.key}
        wanted = named | {file.path for file in files if file.holds_key}
        asked = sorted(path for path in wanted if is_file(path) and path not in known.keys)
        keys = {**known.keys, **await self._keys(asked)}
        holdings: list[Holding] = []
        for file in files:
            slots, missing = slots_of(file)
            holdings += self._holdings(file, slots, known=replace(known, keys=keys))
            gaps += missing
            gaps += nowhere(file, slots, uses=known.uses.get(file.path, ()))
        return Page(holdings=tuple(holdings), gaps=tuple(gaps))

    def _holdings(self, file: File, slots: Sequence[Slot], *, known: Known) -> Iterator[Holding]:
        # A server that names no entry takes the first that has a key.
        first = next((slot for slot in slots if slot.has_key), None)
        for slot in slots:
            path = path_of(file, slot)
            uses = tuple(
                replace(use, certificate=path)
                for use in known.uses.get(file.path, ())
                if is_meant(slot, alias_in(file, use), is_first=slot is first)
            )
            yield Holding(
                address=self._settings.host,
                path=path,
                chain=slot.chain,
                format=file.format,
                key=key_of(file, slot, path=path, uses=uses, known=known),
                owner=file.owner,
                group=file.group,
                mode=file.mode,
                uses=uses,
                # What else may open a keystore is in no configuration that is read.
                in_use=bool(uses) or (None if file.format in STORES else False),
                addresses=known.addresses,
            )

    async def _keys(self, paths: Sequence[str]) -> dict[str, Key]:
        if not paths:
            return {}
        _, said = await self._shell.run(show_keys(paths))
        return read_keys(said.decode(errors="replace"))


_CHECK = """
echo "login yes $(id -un) on $(uname -n)"
if command -v openssl >/dev/null; then echo "openssl yes it matches keys on the host"
else echo "openssl no install openssl, or keys cannot be matched"; fi
for d in {folders}; do [ -e "$d" ] || continue
if [ -r "$d" ] && [ -x "$d" ]; then echo "folder yes $d"; else echo "folder no $d may not be read"; fi; done
"""
_CHECK_LINE = re.compile(r"(?P<name>\w+) (?P<ok>yes|no) (?P<text>.*)")


def _is_plain(path: str) -> bool:
    """Return whether a path can be said in one line, and said again as it was."""
    return path.isprintable() and "\N{REPLACEMENT CHARACTER}" not in path


def _nameless(path: str) -> Gap:
    return Gap(scope=path, reason="Its name is not plain UTF-8.", next_step="Rename it.")
