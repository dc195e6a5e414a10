"""Linux hosts over SSH: certificate files, the keys beside them, and what the servers' configuration uses them for.

Only certificates leave the host. Of a private key it says path, owner, mode, and the SHA-256 of its public half,
which the host itself computes.
"""

import re
import shlex
import stat
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.apart import read_apart
from services.discovery.connectors.shell import Shell, shell
from services.discovery.domain.holdings import Gap, Holding, Key, Page, Use
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
MOST_ADDRESSES = 100
_DEEP, _KILOBYTES = 10, 1024
_PATTERNS = ("*.pem", "*.crt", "*.cer", "*.der")
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
class _File:
    """What the host says of one certificate file."""

    path: str
    mode: int
    owner: str
    group: str
    holds_key: bool
    format: str
    pem: str
    """Its certificates, whatever the format of the file."""


class LinuxHost:
    """A host that we log into with SSH."""

    kind: ClassVar[str] = "linux-ssh"
    summary: ClassVar[str] = "Certificate files and server configurations of a Linux host, over SSH."
    settings_type: ClassVar[type[BaseModel]] = LinuxSettings
    credential_type: ClassVar[type[BaseModel]] = LinuxCredential

    def __init__(self, shell: Shell, *, settings: LinuxSettings) -> None:
        self._shell = shell
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Connect and log in."""
        settings = cast("LinuxSettings", access.settings)
        async with shell(_login(access), sudo=settings.sudo, limits=access.limits) as opened:
            yield cls(opened, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say who we are there, which tools there are, and which folders may be read."""
        status, said = await self._shell.run(_CHECK.format(folders=_quoted(self._settings.folders)))
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
        addresses = await self._addresses()
        found, gaps = await self._find()
        gaps += [gap for reading in readings for gap in reading.gaps]
        gaps += [_nameless(path) for path in uses if not path.isprintable()]
        uses = {path: using for path, using in uses.items() if path.isprintable()}
        paths = [path for path in sorted({*found, *uses}) if after is None or path > after]
        for start in range(0, len(paths), FILES_PER_PAGE):
            chosen = paths[start : start + FILES_PER_PAGE]
            page = await self._page(chosen, uses=uses, addresses=addresses)
            is_last = start + FILES_PER_PAGE >= len(paths)
            first = tuple(gaps) if start == 0 else ()
            yield Page(
                holdings=page.holdings, gaps=(*first, *page.gaps), position=None if is_last else chosen[-1]
            )
        if not paths:
            yield Page(gaps=tuple(gaps))

    async def _find(self) -> tuple[list[str], list[Gap]]:
        names = " -o ".join(f"-name {shlex.quote(pattern)}" for pattern in _PATTERNS)
        _, said = await self._shell.run(
            f'for d in {_quoted(self._settings.folders)}; do [ -e "$d" ] || continue\n'
            f'find -H "$d" -xdev -maxdepth {_DEEP} \\( -type f -o -type l \\) \\( {names} \\) -size -{_KILOBYTES}k 2>&1\n'
            f"done | head -n {MOST_FOUND + 1}\n"
        )
        lines = said.decode(errors="replace").splitlines()
        denied = [
            found[1] for line in lines if (found := re.fullmatch(r"find: '?(.*?)'?: Permission denied", line))
        ]
        gaps = [_gap(path, "It may not be listed.") for path in denied]
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

    async def _page(
        self, paths: Sequence[str], *, uses: Mapping[str, list[Use]], addresses: tuple[str, ...]
    ) -> Page:
        _, said = await self._shell.run(_FILES.format(paths=_quoted(paths)))
        text = said.decode(errors="replace")
        files, gaps = list(_files(text)), list(_refusals(text))
        wanted = {file.path: _key_path(file, uses.get(file.path, ())) for file in files}
        keys = await self._keys([path for path in wanted.values() if path])
        holdings = []
        for file in files:
            chain = _chain(file.pem)
            if chain:
                key = keys.get(wanted[file.path] or "")
                holding = self._holding(file, chain, key=key, uses=uses.get(file.path, ()))
                holdings.append(replace(holding, addresses=addresses))
        return Page(holdings=tuple(holdings), gaps=tuple(gaps))

    def _holding(
        self, file: _File, chain: Sequence[bytes], *, key: Key | None, uses: Sequence[Use]
    ) -> Holding:
        return Holding(
            address=self._settings.host,
            path=file.path,
            chain=tuple(chain),
            format=file.format,
            key=_matched(key, chain[0]),
            owner=file.owner,
            group=file.group,
            mode=file.mode,
            uses=tuple(uses),
            in_use=bool(uses),
        )

    async def _keys(self, paths: Sequence[str]) -> dict[str, Key]:
        if not paths:
            return {}
        _, said = await self._shell.run(_KEYS.format(paths=_quoted(dict.fromkeys(paths))))
        lines = map(_KEY_LINE.fullmatch, said.decode(errors="replace").splitlines())
        return {line["path"]: _key(line) for line in lines if line}


_CHECK = """
echo "login yes $(id -un) on $(uname -n)"
if command -v openssl >/dev/null; then echo "openssl yes it matches keys on the host"
else echo "openssl no install openssl, or keys cannot be matched"; fi
for d in {folders}; do [ -e "$d" ] || continue
if [ -r "$d" ] && [ -x "$d" ]; then echo "folder yes $d"; else echo "folder no $d may not be read"; fi; done
"""
_FILES = r"""
for f in {paths}; do
if ! [ -f "$f" ]; then echo "#M $f"; continue; fi
if ! [ -r "$f" ]; then echo "#D $f"; continue; fi
k=no; grep -q -e '-----BEGIN .*PRIVATE KEY-----' "$f" && k=yes
t=der; grep -q -e '-----BEGIN' "$f" && t=pem
echo "#F $(stat -Lc '%a %U %G' "$f") $k $t $f"
if [ $t = pem ]; then
sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$f" | tr -cd 'A-Za-z0-9+/=\n -'
else openssl x509 -inform der -in "$f" 2>/dev/null </dev/null; fi
done; exit 0
"""
_KEYS = """
for f in {paths}; do [ -f "$f" ] || continue
p=-
if [ -r "$f" ]; then
if grep -q -e 'ENCRYPTED' "$f"; then p=encrypted
elif d=$(openssl pkey -in "$f" -pubout -outform DER 2>/dev/null </dev/null | sha256sum); then p=${{d%% *}}; fi
fi
echo "$(stat -Lc '%a %U' "$f") $p $f"; done; exit 0
"""
_CHECK_LINE = re.compile(r"(?P<name>\w+) (?P<ok>yes|no) (?P<text>.*)")
_FILE_LINE = re.compile(
    r"(?P<mode>[0-7]{1,4}) (?P<owner>\S+) (?P<group>\S+) (?P<holds_key>yes|no) (?P<format>pem|der) (?P<path>/.*)"
)
_KEY_LINE = re.compile(
    r"(?P<mode>[0-7]{1,4}) (?P<owner>\S+) (?P<public>-|encrypted|[0-9a-f]{64}) (?P<path>/.*)"
)
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of no bytes: what comes where the key could not be read."""


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


def _quoted(paths: Sequence[str] | Mapping[str, None]) -> str:
    return " ".join(map(shlex.quote, paths))


def _gap(path: str, reason: str) -> Gap:
    return Gap(scope=path, reason=reason, next_step="Give the login of the source the right to read it.")


def _is_plain(path: str) -> bool:
    """Return whether a path can be said in one line, and said again as it was."""
    return path.isprintable() and "\N{REPLACEMENT CHARACTER}" not in path


def _nameless(path: str) -> Gap:
    return Gap(scope=path, reason="Its name is not plain UTF-8.", next_step="Rename it.")


def _files(said: str) -> Iterator[_File]:
    for part in re.split(r"^#F ", said, flags=re.MULTILINE)[1:]:
        head, _, pem = part.partition("\n")
        line = _FILE_LINE.fullmatch(head)
        if line:  # else it was removed while the host spoke of it
            yield _File(
                path=line["path"],
                mode=int(line["mode"], 8),
                owner=line["owner"],
                group=line["group"],
                holds_key=line["holds_key"] == "yes",
                format=line["format"],
                pem=pem,
            )


def _refusals(said: str) -> Iterator[Gap]:
    for letter, path in re.findall(r"^#([MD]) (.*)$", said, flags=re.MULTILINE):
        if letter == "D":
            yield _gap(path, "It may not be read.")
        else:
            step = "Check the configuration that names it."
            yield Gap(scope=path, reason="There is no such file.", next_step=step, is_absent=True)


def _chain(pem: str) -> list[bytes]:
    try:
        return x509.from_pem(pem)
    except Invalid:
        return []


def _key_path(file: _File, uses: Sequence[Use]) -> str | None:
    named = next((use.key for use in uses if use.key), None)
    return named or (file.path if file.holds_key else None)


def _key(line: re.Match[str]) -> Key:
    mode, public = int(line["mode"], 8), line["public"]
    return Key(
        path=line["path"],
        spki_sha256=public if public not in ("-", "encrypted", _NOTHING) else None,
        mode=mode,
        owner=line["owner"],
        is_exposed=bool(mode & stat.S_IROTH),
        is_encrypted=public == "encrypted",
    )


def _matched(key: Key | None, leaf: bytes) -> Key | None:
    if key is None or key.spki_sha256 is None:
        return key
    try:
        is_match = x509.read(leaf).key_fingerprint == key.spki_sha256
    except Invalid:
        return key
    return replace(key, is_match=is_match)
