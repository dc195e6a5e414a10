"""Linux hosts over SSH: certificate files, the keys beside them, and what the servers' configuration uses them for.

Only certificates leave the host. Of a private key it says path, owner, mode, and the SHA-256 of its public half,
which the host itself computes.
"""

import posixpath
import re
import stat
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self, cast
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.apart import read_apart
from services.discovery.connectors.keystores import Entry, read_java, read_pkcs7, read_pkcs12
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
from services.discovery.domain.holdings import Gap, Holding, Key, Page, Use, is_replaceable
from services.discovery.domain.targets import is_address
from shared import x509
from shared.errors import Invalid
from shared.ssh import (
    Credential,
    HostKey,
    HostName,
    JumpHost,
    Login,
    UserName,
    refuse_unreadable,
    through,
)

FILES_PER_PAGE = 100
MOST_FOUND = 5_000
LONGEST_PATH = 1000
MOST_ADDRESSES = 100
MOST_ENTRIES = 500
"""Of one keystore."""
FOLDERS = (
    "/etc/ssl/private",
    "/etc/nginx",
    "/etc/apache2",
    "/etc/httpd",
    "/etc/haproxy",
    "/etc/pki/tls/certs",
    "/etc/letsencrypt/live",
    "/etc/tls",
    "/opt",
    "/srv",
)
_Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]*$", max_length=500)]


class LinuxSettings(BaseModel):
    """Where the host is, and where to look in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName
    port: int = Field(22, ge=1, le=65535)
    username: UserName
    host_key: HostKey
    jumps: list[JumpHost] = Field(
        [], max_length=5, description="Hosts that it is reached through, the first of them directly."
    )
    sudo: bool = Field(False, description="Read as root: the host lets this user run `sudo -n /bin/sh -s`.")
    folders: list[_Path] = Field(
        list(FOLDERS), max_length=100, description="Where certificate files are looked for."
    )
    configurations: dict[str, _Path] | None = Field(
        None,
        description="Main file of each product that is not where its package puts it; only these are read then.",
    )


class LinuxCredential(Credential):
    """A private key, perhaps with an OpenSSH certificate; a password; or the ssh-agent of the platform."""

    store_passwords: list[SecretStr] = Field(
        [],
        max_length=20,
        description="Tried on PKCS#12 files there, after none and `changeit`. Java keystores need none.",
    )
    jumps: list[Credential] = Field(
        [],
        max_length=5,
        description="What the jump hosts are logged into with, in their order; left out, all with this one.",
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            refuse_unreadable(self)
            for jump in self.jumps:
                refuse_unreadable(jump)
        except Invalid as error:
            raise ValueError(str(error)) from None
        return self


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """One certificate with its chain in a file; `alias` is its name there, where the file is a keystore."""

    alias: str | None = None
    chain: tuple[bytes, ...]
    has_key: bool


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What of a host is asked once for all its files."""

    uses: Mapping[str, Sequence[Use]]
    """By file; of a keystore those of each of its entries."""
    keys: Mapping[str, Key]
    """By path: keys in the folders."""
    addresses: tuple[str, ...]

    def key_of(self, file: File, leaf: bytes) -> Key | None:
        """Return the key that belongs to a certificate: best the one that lies beside it."""
        fingerprint = _key_fingerprint(leaf)
        fitting = [key for key in self.keys.values() if key.spki_sha256 and key.spki_sha256 == fingerprint]
        folder = posixpath.dirname(file.path)
        return min(fitting, key=lambda key: (posixpath.dirname(key.path) != folder, key.path), default=None)


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
        async with shell(_login(access), sudo=settings.sudo, limits=access.limits) as opened:
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
        known = _Known(uses=by_file, keys=await self._lying_keys(), addresses=await self._addresses())
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

    async def _page(self, paths: Sequence[str], *, known: _Known) -> Page:
        _, said = await self._shell.run(show_files(paths, passwords=self._passwords))
        text = said.decode(errors="replace")
        files, gaps = list(read_files(text)), list(read_refusals(text))
        named = {use.key for path in paths for use in known.uses.get(path, ()) if use.key}
        wanted = named | {file.path for file in files if file.holds_key}
        asked = sorted(path for path in wanted if _is_file(path) and path not in known.keys)
        keys = {**known.keys, **await self._keys(asked)}
        holdings: list[Holding] = []
        for file in files:
            slots, missing = _slots(file)
            holdings += self._holdings(file, slots, known=replace(known, keys=keys))
            gaps += missing
            gaps += _nowhere(file, slots, uses=known.uses.get(file.path, ()))
        return Page(holdings=tuple(holdings), gaps=tuple(gaps))

    def _holdings(self, file: File, slots: Sequence[_Slot], *, known: _Known) -> Iterator[Holding]:
        # A server that names no entry takes the first that has a key.
        first = next((slot for slot in slots if slot.has_key), None)
        for slot in slots:
            path = _path(file, slot)
            uses = tuple(
                replace(use, certificate=path)
                for use in known.uses.get(file.path, ())
                if _is_meant(slot, _alias_in(file, use), is_first=slot is first)
            )
            yield Holding(
                address=self._settings.host,
                path=path,
                chain=slot.chain,
                format=file.format,
                key=_key(file, slot, path=path, uses=uses, known=known),
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


def _login(access: Access) -> Login:
    settings, credential = cast("LinuxSettings", access.settings), cast("LinuxCredential", access.credential)
    login = Login(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        host_key=settings.host_key,
        credential=credential,
        agent=access.ssh_agent,
        reach=access.reach,
    )
    return through(login, settings.jumps, credentials=credential.jumps)


def _is_plain(path: str) -> bool:
    """Return whether a path can be said in one line, and said again as it was."""
    return path.isprintable() and "\N{REPLACEMENT CHARACTER}" not in path


def _nameless(path: str) -> Gap:
    return Gap(scope=path, reason="Its name is not plain UTF-8.", next_step="Rename it.")


def _slots(file: File) -> tuple[list[_Slot], list[Gap]]:
    """Return the certificates in a file, and what of it could not be read."""
    if file.format in STORES:
        return _entries(file)
    try:
        chain = _chain(file)
    except Invalid:
        return [], [
            _gap(file.path, "It holds a certificate that cannot be read.", "Look at it with openssl.")
        ]
    if not chain and file.format == "other" and file.path.endswith(_STORE_NAMES):
        return [], [
            _gap(file.path, "It is a keystore of an unknown format.", "Keep certificates in PKCS#12 or JKS.")
        ]
    return [_Slot(chain=tuple(chain), has_key=file.holds_key)] if chain else [], []


_STORE_NAMES = (".p12", ".pfx", ".jks", ".jceks", ".keystore", ".truststore", ".p7b", ".p7c")


def _chain(file: File) -> Sequence[bytes]:
    """Return the certificates of a file that is no keystore, leaf first. Raises `Invalid`."""
    if file.format == "der":
        x509.load(file.content)
        return [file.content]
    if file.format == "pkcs7":
        return read_pkcs7(file.content)
    text = file.content.decode(errors="replace")
    return x509.from_pem(text) if "-----BEGIN CERTIFICATE-----" in text else ()


def _entries(file: File) -> tuple[list[_Slot], list[Gap]]:
    gaps = []
    if file.format == "pkcs12":
        entries = read_pkcs12(file.content.decode(errors="replace"), keys=file.keys)
    else:
        store = read_java(file.content)
        entries = list(store.entries)
        if not store.is_whole:
            gaps.append(
                _gap(file.path, "It was read in part: it holds a secret key, or is damaged.", _TO_PKCS12)
            )
    slots = {
        _name(entry): _slot(entry) for entry in entries if entry.chain and _key_fingerprint(entry.chain[0])
    }
    if len(slots) > MOST_ENTRIES:
        gaps.append(_gap(file.path, f"It holds more than {MOST_ENTRIES} entries.", "Split it."))
    return list(slots.values())[:MOST_ENTRIES], gaps


_TO_PKCS12 = "Keep secret keys in a store of their own: keytool -importkeystore."


def _slot(entry: Entry) -> _Slot:
    return _Slot(alias=_name(entry), chain=entry.chain, has_key=entry.has_key)


def _name(entry: Entry) -> str:
    """Return what an entry is called: its alias, else what tells its certificate from others."""
    return entry.alias or x509.fingerprint(entry.chain[0])[:16]


def _path(file: File, slot: _Slot) -> str:
    if slot.alias is None:
        return file.path
    path = f"{file.path}/{quote(slot.alias, safe=_SAFE)}"
    return path if len(path) <= LONGEST_PATH else f"{file.path}/{x509.fingerprint(slot.chain[0])[:16]}"


_SAFE = " !$&'()*+,:;=@._~-"


def _alias_in(file: File, use: Use) -> str | None:
    """Return the entry of a keystore that a configuration names: `store.p12/alias` or `store.p12#alias`."""
    rest = use.certificate.removeprefix(file.path)
    return rest[1:].lower() if rest else None


def _is_meant(slot: _Slot, alias: str | None, *, is_first: bool) -> bool:
    if slot.alias is None:
        return True
    # Java compares aliases in lower case.
    return is_first if alias is None else slot.alias.lower() == alias


def _nowhere(file: File, slots: Sequence[_Slot], *, uses: Sequence[Use]) -> Iterator[Gap]:
    """Yield a gap for each entry that a configuration names and the keystore does not have."""
    for alias in sorted({alias for use in uses if (alias := _alias_in(file, use)) is not None}):
        if not any(_is_meant(slot, alias, is_first=False) for slot in slots):
            yield Gap(
                scope=f"{file.path}/{alias}",
                reason="The keystore has no entry of this name.",
                next_step="Check the configuration that names it.",
                is_absent=True,
            )


def _gap(path: str, reason: str, next_step: str) -> Gap:
    return Gap(scope=path, reason=reason, next_step=next_step)


def _key(file: File, slot: _Slot, *, path: str, uses: Sequence[Use], known: _Known) -> Key | None:
    if file.format in STORES:
        return _key_in_store(file, slot, path=path) if slot.has_key else None
    named = next((use.key for use in uses if use.key), None)
    if named and not _is_file(named):
        # It is kept in hardware; whatever follows a question mark may be its PIN.
        return Key(path=named.partition("?")[0])
    key = known.keys.get(named or (file.path if file.holds_key else ""))
    return (
        _matched(key, slot.chain[0])
        if key or named
        else _matched(known.key_of(file, slot.chain[0]), slot.chain[0])
    )


def _key_in_store(file: File, slot: _Slot, *, path: str) -> Key:
    fingerprint = _key_fingerprint(slot.chain[0])
    is_match = fingerprint in file.keys
    return Key(
        path=path,
        spki_sha256=fingerprint if is_match else None,
        is_match=is_match or None,
        mode=file.mode,
        owner=file.owner,
        is_exposed=bool(file.mode & stat.S_IROTH),
        is_replaceable=is_replaceable(file.mode, folder=file.folder_mode),
        is_encrypted=True,
    )


def _is_file(path: str) -> bool:
    return path.startswith("/")


def _key_fingerprint(leaf: bytes) -> str | None:
    try:
        return x509.read(leaf).key_fingerprint
    except Invalid:
        return None


def _matched(key: Key | None, leaf: bytes) -> Key | None:
    if key is None or key.spki_sha256 is None:
        return key
    fingerprint = _key_fingerprint(leaf)
    return replace(key, is_match=fingerprint == key.spki_sha256) if fingerprint else key
