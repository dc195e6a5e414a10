"""Files on a host that is reached by SSH, and the commands that make a server read them again."""

import re
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel

from services.provisioner.connectors import Access, Check, Part, Report, Slot, TargetCredential, WantedKey
from services.provisioner.connectors.file_plans import plan_files
from services.provisioner.connectors.file_slots import PEM, FilesOptions, FilesSlot, FilesUndo, KeptFile
from services.provisioner.connectors.formats import Content, Lacks, contents, leaf
from services.provisioner.connectors.host_keys import HostKey
from services.provisioner.connectors.host_stores import HostStore
from services.provisioner.connectors.planning import Coming, PlannedStep
from services.provisioner.connectors.sftp_files import NewFile
from services.provisioner.connectors.ssh import Found, Session, connect, ssh_of
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509

_CERTIFICATES = "'/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p'"
_MOST = 256_000
"""Characters of the certificates in a file."""
NEW = ".everleaf-new"
OLD = ".everleaf-old"


class Files:
    """Certificate and key in files, swapped by atomic renames in their own folder."""

    kind: ClassVar[str] = "files"
    summary: ClassVar[str] = "Any files and commands on a host, over SSH."
    options_type: ClassVar[type[Part]] = FilesOptions
    credential_type: ClassVar[type[BaseModel]] = TargetCredential
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # where a host is, is no option
    slot_type: ClassVar[type[Slot]] = FilesSlot
    undo_type: ClassVar[type[Part]] = FilesUndo

    def __init__(self, session: Session, options: FilesOptions, *, passwords: Sequence[str] = ()) -> None:
        """`passwords` are tried on keystores."""
        self._session = session
        self._options = options
        self._passwords = passwords
        self._keys_stay = False
        """Whether the key that is put in force was made on the host: then it is not read back with its certificate."""

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: FilesOptions) -> AsyncIterator[Self]:
        """Connect by SSH."""
        async with connect(access, prefix=options.file_prefix) as session:
            yield cls(session, options, passwords=ssh_of(access).store_passwords)

    async def check(self) -> Sequence[Check]:
        """Look at the file system, and run the target's own test command."""
        await self._session.attributes("/")
        checks = [Check(name="files", ok=True, text="Files can be reached by SFTP.")]
        command = self._options.test_command
        if command is not None:
            ran = await self._session.run(self._prefixed(command))
            checks.append(
                Check(
                    name="test_command",
                    ok=ran.status == 0,
                    text=f"{command}: exit {ran.status}. {ran.output}",
                )
            )
        return checks

    async def stage(self, slot: FilesSlot, *, material: Material, report: Report) -> FilesUndo:
        """Write the new files beside the present ones, then see whether the present state is sane."""
        waiting = await self._waiting(slot, material, report=report) if material.waiting else None
        if waiting is not None and slot.format != PEM:
            kept = await self._stage_store(slot, material, waiting)
        else:
            present = await self._keystore(slot)
            wanted = contents(slot, material, present=present, passwords=self._passwords)
            kept = await self._stage(wanted, waiting=waiting)
        if waiting is not None and slot.key_path is not None:
            kept += await self._stage_waiting(waiting)
        await self._session.label([(file.path + NEW, file.path) for file in kept if file.existed])
        report("stage", f"Wrote {', '.join(file.path + NEW for file in kept)}.")
        # Where a file is missing, the configuration that names it cannot pass yet.
        if all(file.existed for file in kept):
            await self._test(slot, step="test", report=report)
        return FilesUndo(files=kept, waiting=waiting.path if waiting is not None else None)

    @classmethod
    def plan(cls, slot: FilesSlot, *, options: FilesOptions, coming: Coming) -> Sequence[PlannedStep]:  # noqa: ARG003 - files keep their names
        """Say what would be written and run."""
        prefix = options.command_prefix
        return plan_files(
            slot,
            options=options,
            prefixed=lambda command: prefixed(command, prefix=prefix) if prefix else command,
        )

    @classmethod
    def cannot_make_key(cls, slot: FilesSlot) -> str | None:  # noqa: ARG003 - a host makes keys for every slot
        """Say that there is nothing in the way, as far as can be told from here."""
        return None

    async def make_key(self, slot: FilesSlot, *, wanted: WantedKey) -> str:
        """Make the key beside the present one by the host's openssl, and return its request in PEM."""
        if slot.format != PEM:
            # Before anything is ordered: into a store that cannot be opened no certificate can be put either.
            await (await self._store(slot)).look(alias=slot.alias)
        return await (await self._host_key(slot, order_id=wanted.order_id)).request(wanted)

    async def drop_key(self, slot: FilesSlot, *, order_id: str) -> None:
        """Remove the key that waits for an order, where there is one."""
        await (await self._host_key(slot, order_id=order_id)).remove()

    async def _host_key(self, slot: FilesSlot, *, order_id: str) -> HostKey:
        path = await self._session.real_path(slot.key_path or slot.certificate_path)
        return HostKey(self._session, beside=path, order_id=order_id)

    async def _waiting(self, slot: FilesSlot, material: Material, *, report: Report) -> HostKey:
        """Return the key that waits for the order, seen to be the certificate's."""
        key = await self._host_key(slot, order_id=material.waiting or "")
        await key.must_be_of(material.chain[0])
        report("compare keys", f"{key.path} is the certificate's private key.")
        return key

    async def _stage_waiting(self, key: HostKey) -> list[KeptFile]:
        path = key.beside
        present = await self._session.attributes(path)
        # A second name: the first is there for the next attempt, if this one has to be taken back.
        await self._session.link_there((key.path, path + NEW))
        return await self._kept(Found(path, present), stays=True)

    async def _store(self, slot: FilesSlot) -> HostStore:
        path = await self._session.real_path(slot.certificate_path)
        return HostStore(self._session, path=path, kind=slot.format, passwords=self._passwords)

    async def _stage_store(self, slot: FilesSlot, material: Material, waiting: HostKey) -> list[KeptFile]:
        """Have the host itself make the new keystore: neither the old key nor the new one leaves it."""
        path, store = waiting.beside, await self._store(slot)
        present = await self._session.attributes(path)
        held = await store.look(alias=slot.alias)
        await self._session.remove(path + NEW)
        chain = x509.to_pem(material.chain).encode()
        await store.join(waiting, chain, to=path + NEW, alias=slot.alias, held=held)
        if present is not None:
            await self._session.give(path + NEW, like=present)
        return await self._kept(Found(path, present), stays=True)

    async def _keystore(self, slot: FilesSlot) -> bytes | None:
        """Return the keystore that is there, which its new content is made from; None where there is none."""
        if slot.format == PEM or await self._session.attributes(slot.certificate_path) is None:
            return None
        return await self._session.read(slot.certificate_path)

    async def _stage(self, wanted: Sequence[Content], *, waiting: HostKey | None) -> list[KeptFile]:
        """Write the new files: those of a slot in the same rounds, as it is the rounds that take the time."""
        session = self._session
        found = await session.find(*(each.path for each in wanted))
        new = []
        for each, (path, present) in zip(wanted, found, strict=True):
            if waiting is not None and each.lacks_key is not None:
                key_first = each.lacks_key is Lacks.AT_ITS_HEAD
                await waiting.join(each.content, to=path + NEW, key_first=key_first, like=present)
            else:
                new.append(NewFile(path=path + NEW, content=each.content, like=present, mode=each.mode))
        if new:
            await session.write(*new)
        return await self._kept(*found, stays=waiting is not None)

    async def _kept(self, *found: Found, stays: bool) -> list[KeptFile]:
        """Keep the present files for a way back; `stays`: what is in them does not leave the host."""
        there = [(path, path + OLD) for path, present in found if present is not None]
        keep = self._session.link_there if stays else self._session.link_or_copy
        await keep(*there)
        return [KeptFile(path=path, existed=present is not None) for path, present in found]

    async def bind(self, slot: FilesSlot, *, undo: FilesUndo, report: Report) -> None:
        """Rename the new files over the present ones, which are kept; test, reload."""
        self._keys_stay = undo.waiting is not None
        await self._session.replace([(file.path + NEW, file.path) for file in undo.files])
        report("swap", f"Renamed over {', '.join(file.path for file in undo.files)}.")
        await self._test(slot, step="test again", report=report)
        await self._reload(slot, report=report)

    async def verify(self, slot: FilesSlot, *, fingerprint: str, report: Report) -> None:
        """Read the certificate's file back."""
        der = await self._leaf(slot)
        found = x509.fingerprint(der) if der is not None else "none"
        if found != fingerprint:
            raise DeploymentError(
                Failure.CHANGED_BY_OTHERS,
                f"{slot.certificate_path} holds the certificate {found} after the swap.",
                step="read back",
            )
        report("read back", f"{slot.certificate_path} holds {fingerprint}.")

    async def _leaf(self, slot: FilesSlot) -> bytes | None:
        path = slot.certificate_path
        if not self._keys_stay or slot.key_path is not None:
            return leaf(slot, await self._session.read(path), passwords=self._passwords)
        if slot.format != PEM:
            held = await (await self._store(slot)).look(alias=slot.alias)
            found = held.leaf if held is not None else None
            return found.public_bytes(Encoding.DER) if found is not None else None
        shown = await self._session.script(f"sed -n {_CERTIFICATES} {shlex.quote(path)}", keep=_MOST)
        return leaf(slot, shown.output.encode(), passwords=())

    async def restore(self, slot: FilesSlot, *, undo: FilesUndo, report: Report) -> None:
        """Rename the kept files back, remove what was not there, and reload."""
        session = self._session
        for file in undo.files:
            if not file.existed and await session.attributes(file.path + NEW) is None:
                await session.remove(file.path)
        await session.replace([(file.path + OLD, file.path) for file in undo.files if file.existed])
        # A rename between two links of one file does nothing (POSIX), so the kept name may be left.
        await session.remove(*(file.path + beside for file in undo.files for beside in (OLD, NEW)))
        report("restore", f"Put {', '.join(file.path for file in undo.files)} back as before.")
        try:
            await self._reload(slot, report=report)
        except DeploymentError as error:
            # Whether the server needed the reload is seen on the wire, not from the command's word.
            if error.failure is not Failure.RELOAD_FAILED:
                raise

    async def clear(self, slot: FilesSlot) -> None:
        """Remove the staged files, and the second names of the present ones."""
        for path in slot.paths:
            real = await self._session.real_path(path)
            await self._session.remove(real + NEW, real + OLD)

    async def tidy(self, *, undo: FilesUndo) -> None:
        """Remove the kept files, and what a key that was made on the host has waited as."""
        litter = [file.path + OLD for file in undo.files]
        if undo.waiting is not None:
            litter += [*(file.path + NEW for file in undo.files), undo.waiting]
        await self._session.remove(*litter)

    async def _test(self, slot: FilesSlot, *, step: str, report: Report) -> None:
        command = slot.test_command or self._options.test_command
        if command is not None:
            await self._must(command, step=step, failure=Failure.TEST_FAILED, report=report)

    async def _reload(self, slot: FilesSlot, *, report: Report) -> None:
        command = slot.reload_command or self._options.reload_command
        if command is not None:
            await self._must(command, step="reload", failure=Failure.RELOAD_FAILED, report=report)

    async def _must(self, command: str, *, step: str, failure: Failure, report: Report) -> None:
        ran = await self._session.run(self._prefixed(command))
        if ran.status != 0:
            raise DeploymentError(failure, f"{command}: exit {ran.status}. {ran.output}", step=step)
        report(step, f"{command}: exit 0.")

    def _prefixed(self, command: str) -> str:
        prefix = self._options.command_prefix
        return prefixed(command, prefix=prefix) if prefix else command


_JOINT = re.compile(r"""(?P<quoted>'[^']*'|"(?:\\.|[^"\\])*"|\\.)|(?P<joint>&&|\|\|)\s*""", re.DOTALL)


def prefixed(command: str, *, prefix: str) -> str:
    """Return a command with the prefix before it, and before each that follows `&&` or `||` outside of quotes."""

    def led(found: re.Match[str]) -> str:
        return found["quoted"] or f"{found['joint']} {prefix} "

    return f"{prefix} {_JOINT.sub(led, command)}"
