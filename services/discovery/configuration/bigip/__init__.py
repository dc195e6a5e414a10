"""BIG-IP's files: `bigip.conf` and those of its partitions, on the device or in a UCS archive.

The objects name the files of their certificates and keys in `cache-path`, under `/config/filestore`; see F5's K13132 for
what an archive holds.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.discovery.configuration.bigip.objects import NONE, Pair, Profile, Virtual, by_path, slots
from services.discovery.configuration.bigip.text import Block, Thing, Unfinished, things
from services.discovery.configuration.files import Files
from services.discovery.configuration.reader import Reader
from services.discovery.domain.holdings import Reading, Use

STARTS = ("/config/bigip.conf",)
FILE_STORE = "/config/filestore/files_d"
_SEE_API = "Read the device by its API: a source of kind f5-bigip."
_CHECK = "Check the configuration that names it."
_FOLDERS = {"ssl-cert": "certificate_d", "ssl-key": "certificate_key_d"}


@dataclass(kw_only=True)
class _Objects:
    """What the files say, by the full paths of the objects."""

    virtuals: dict[str, Virtual] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    stored: dict[tuple[str, str], str] = field(default_factory=dict)
    """The files of certificates and keys, by kind and path."""

    def take(self, thing: Thing, *, file: str) -> None:
        """Remember an object, if it has to do with certificates."""
        path, block = thing.name, thing.block
        if thing.kind == "ltm virtual":
            self.virtuals[path] = _virtual(thing, file=file)
        elif thing.kind in ("ltm profile client-ssl", "ltm profile server-ssl"):
            self.profiles[path] = _profile(thing)
        elif thing.kind == "ltm virtual-address" and (address := block.value("address")):
            self.addresses[path] = address
        elif thing.kind in ("sys file ssl-cert", "sys file ssl-key") and (kept := block.value("cache-path")):
            self.stored[thing.kind.rpartition(" ")[2], path] = kept


async def read(files: Files, start: str) -> Reading:
    """Read `bigip.conf` and, beside it, `partitions/*/bigip.conf`."""
    reader, objects = Reader(files), _Objects()
    beside = await reader.matching(f"{posixpath.dirname(start)}/partitions/*/bigip.conf")
    for path in (start, *beside):
        try:
            for thing in things(await reader.text(path) or ""):
                objects.take(thing, file=path)
        except Unfinished as error:
            reader.gap(path, f"What begins on line {error.line} has no end.", next_step=_CHECK)
    found = slots(
        objects.virtuals.values(), profiles=by_path(objects.profiles.values()), addresses=objects.addresses
    )
    return reader.reading([await _placed(slot.use(), objects.stored, reader=reader) for slot in found])


async def _placed(use: Use, stored: Mapping[tuple[str, str], str], *, reader: Reader) -> Use:
    """Return a use with the files in place of the objects that it names."""

    async def file(kind: str, path: str | None) -> str | None:
        return path and (stored.get((kind, path)) or await _kept(kind, path, reader=reader))

    certificate = await file("ssl-cert", use.certificate)
    if certificate is None:
        reader.gap(use.file, f"{use.certificate[:200]} has no file in {FILE_STORE}.", next_step=_SEE_API)
    return replace(
        use,
        certificate=certificate or use.certificate,
        key=await file("ssl-key", use.key),
        chain=await file("ssl-cert", use.chain),
        trusted_ca=await file("ssl-cert", use.trusted_ca),
    )


async def _kept(kind: str, path: str, *, reader: Reader) -> str | None:
    """Return the file of an object whose file is not named: the newest of `:Common:name_ID_REVISION`."""
    found = re.fullmatch(r"/(?P<partition>[\w.-]+)(/[\w.-]+)*/[\w.:-]+", path)
    if not found:
        return None
    name = path.replace("/", ":")
    kept = await reader.matching(f"{FILE_STORE}/{found['partition']}_d/{_FOLDERS[kind]}/{name}_*_*")
    numbered = [each for each in kept if re.fullmatch(r"_[0-9]{1,18}_[0-9]{1,18}", each.rpartition(name)[2])]
    return max(numbered, key=_revision, default=None)


def _revision(path: str) -> tuple[int, ...]:
    return tuple(map(int, path.split("_")[-2:]))


def _virtual(thing: Thing, *, file: str) -> Virtual:
    block = thing.block
    profiles = block.within("profiles")
    return Virtual(
        path=thing.name,
        destination=block.value("destination") or "",
        mask=block.value("mask") or "any",
        profiles=tuple(profiles.blocks) + tuple(profiles.words),
        is_enabled="disabled" not in block.values,
        file=file,
        line=thing.line,
    )


def _profile(thing: Thing) -> Profile:
    block = thing.block
    options = block.blocks.get("options")
    return Profile(
        path=thing.name,
        is_client=thing.kind.endswith("client-ssl"),
        parent=_named(block.value("defaults-from")),
        inherits_pairs=_is(block.value("inherit-certkeychain"), "true"),
        pairs=tuple(_pairs(block)) or None,
        server_name=_unset(block.value("server-name")),
        is_sni_default=_is(block.value("sni-default"), "true"),
        is_enabled=_is(block.value("mode"), "enabled"),
        ciphers=_unset(block.value("ciphers")),
        options=tuple(options.words) + tuple(options.values) if options else None,
        trusted_ca=_unset(block.value("ca-file")),
        peer_certificates=block.value("peer-cert-mode"),
    )


def _pairs(block: Block) -> Iterator[Pair]:
    entries: Sequence[Block] = [*block.within("cert-key-chain").blocks.values()] or [block]
    for entry in entries:
        certificate = _named(entry.value("cert"))
        if certificate:
            key, chain = _named(entry.value("key")), _named(entry.value("chain"))
            yield Pair(certificate=certificate, key=key, chain=chain)


def _is(value: str | None, wanted: str) -> bool | None:
    return None if value is None else value == wanted


def _named(value: str | None) -> str | None:
    return None if value is None or value in NONE else value


def _unset(value: str | None) -> str | None:
    """Return a value with `none` as an empty one: it is said, and not inherited."""
    return "" if value in NONE else value
