"""Files on a host that is reached by SSH, and the commands that make a server read them again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

from pydantic import Field

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.ssh import Session, connect
from services.provisioner.domain import DeploymentError, Failure, Material
from shared import x509
from shared.errors import Invalid

NEW = ".everleaf-new"
OLD = ".everleaf-old"
_PUBLIC, _PRIVATE = 0o644, 0o600

AbsolutePath = Annotated[
    str,
    Field(pattern=r"^/[^\x00-\x1f]*[^/\x00-\x1f]$", max_length=1000, examples=["/etc/nginx/tls/shop.pem"]),
]
Command = Annotated[str, Field(min_length=1, max_length=2000, examples=["systemctl reload postfix"])]


class FilesOptions(Part):
    """What holds for every slot of the target, unless the slot says otherwise."""

    command_prefix: str = Field(
        "", max_length=200, description="Put before each command.", examples=["sudo -n"]
    )
    test_command: Command | None = Field(None, description="Must exit 0 before anything is reloaded.")
    reload_command: Command | None = Field(None, description="Makes the server read its files again.")


class FilesSlot(Slot):
    """Which files hold the certificate and its key."""

    certificate_path: AbsolutePath
    key_path: AbsolutePath | None = Field(
        None, description="Left out, the key follows the certificates in the same file."
    )
    chain: bool = Field(True, description="Whether the intermediates follow the leaf.")
    test_command: Command | None = None
    reload_command: Command | None = None

    @property
    def key(self) -> str:
        """Return the certificate's path."""
        return self.certificate_path


class KeptFile(Part):
    """A file that is replaced: its path with links followed, and whether there was one."""

    path: str
    existed: bool


class FilesUndo(Part):
    """What was there before, file by file."""

    files: list[KeptFile]


@dataclass(frozen=True, kw_only=True)
class _Planned:
    path: str
    content: bytes = field(repr=False)
    mode: int


class Files:
    """Certificate and key in files, swapped by atomic renames in their own folder."""

    kind: ClassVar[str] = "files"
    summary: ClassVar[str] = "Any files and commands on a host, over SSH."
    options_type: ClassVar[type[Part]] = FilesOptions
    slot_type: ClassVar[type[Slot]] = FilesSlot
    undo_type: ClassVar[type[Part]] = FilesUndo

    def __init__(self, session: Session, options: FilesOptions) -> None:
        self._session = session
        self._options = options

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: FilesOptions) -> AsyncIterator[Self]:
        """Connect by SSH."""
        async with connect(access) as session:
            yield cls(session, options)

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
        kept = [await self._stage(planned) for planned in _plan(slot, material)]
        report("stage", f"Wrote {', '.join(file.path + NEW for file in kept)}.")
        # Where a file is missing, the configuration that names it cannot pass yet.
        if all(file.existed for file in kept):
            await self._test(slot, step="test", report=report)
        return FilesUndo(files=kept)

    async def _stage(self, planned: _Planned) -> KeptFile:
        session = self._session
        path = await session.real_path(planned.path)
        present = await session.attributes(path)
        # What an attempt that was cut short has left is no way back: its deployment is over.
        await session.remove(path + NEW)
        await session.remove(path + OLD)
        await session.write(path + NEW, planned.content, like=present, mode=planned.mode)
        return KeptFile(path=path, existed=present is not None)

    async def bind(self, slot: FilesSlot, *, undo: FilesUndo, report: Report) -> None:
        """Keep the present files, rename the new ones over them, test, reload."""
        await self._keep(undo)
        await self._session.replace([(path + NEW, path) for path in await self._with(undo, NEW)])
        report("swap", f"Renamed over {', '.join(file.path for file in undo.files)}.")
        await self._test(slot, step="test again", report=report)
        await self._reload(slot, report=report)

    async def _keep(self, undo: FilesUndo) -> None:
        staged = await self._with(undo, NEW)
        if len(staged) < len(undo.files):
            return  # an earlier bind came as far as the renames: what is in place is not what was there before
        for file in undo.files:
            if file.existed and await self._session.attributes(file.path + OLD) is None:
                await self._session.link_or_copy(file.path, file.path + OLD)

    async def _with(self, undo: FilesUndo, ending: str) -> list[str]:
        return [
            file.path for file in undo.files if await self._session.attributes(file.path + ending) is not None
        ]

    async def verify(self, slot: FilesSlot, *, fingerprint: str, report: Report) -> None:
        """Read the certificate's file back."""
        text = (await self._session.read(slot.certificate_path)).decode(errors="replace")
        try:
            found = x509.fingerprint(x509.from_pem(text)[0])
        except Invalid:
            found = "none"
        if found != fingerprint:
            raise DeploymentError(
                Failure.CHANGED_BY_OTHERS,
                f"{slot.certificate_path} holds the certificate {found} after the swap.",
                step="read back",
            )
        report("read back", f"{slot.certificate_path} holds {fingerprint}.")

    async def restore(self, slot: FilesSlot, *, undo: FilesUndo, report: Report) -> None:
        """Rename the kept files back, remove what was not there, and reload."""
        session = self._session
        staged = set(await self._with(undo, NEW))
        for file in undo.files:
            if not file.existed and file.path not in staged:
                await session.remove(file.path)
        await session.replace([(path + OLD, path) for path in await self._with(undo, OLD)])
        for file in undo.files:
            # A rename between two links of one file does nothing (POSIX), so the kept name may be left.
            await session.remove(file.path + OLD)
            await session.remove(file.path + NEW)
        report("restore", f"Put {', '.join(file.path for file in undo.files)} back as before.")
        try:
            await self._reload(slot, report=report)
        except DeploymentError as error:
            # Whether the server needed the reload is seen on the wire, not from the command's word.
            if error.failure is not Failure.RELOAD_FAILED:
                raise

    async def clear(self, slot: FilesSlot) -> None:
        """Remove the staged files."""
        for path in _paths(slot):
            await self._session.remove(await self._session.real_path(path) + NEW)

    async def tidy(self, *, undo: FilesUndo) -> None:
        """Remove the kept files."""
        for file in undo.files:
            await self._session.remove(file.path + OLD)
            await self._session.remove(file.path + NEW)

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
        return f"{self._options.command_prefix} {command}".strip()


def _paths(slot: FilesSlot) -> list[str]:
    return [slot.certificate_path] if slot.key_path is None else [slot.certificate_path, slot.key_path]


def _plan(slot: FilesSlot, material: Material) -> list[_Planned]:
    chain = material.chain if slot.chain else material.chain[:1]
    certificates = x509.to_pem(chain).encode()
    if slot.key_path is None:
        return [_Planned(path=slot.certificate_path, content=certificates + material.key_pem, mode=_PRIVATE)]
    return [
        _Planned(path=slot.certificate_path, content=certificates, mode=_PUBLIC),
        _Planned(path=slot.key_path, content=material.key_pem, mode=_PRIVATE),
    ]
