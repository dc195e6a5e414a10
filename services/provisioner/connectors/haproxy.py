"""HAProxy on a host that is reached by SSH: files, and its Runtime API where its stats socket is told.

The commands are those of HAProxy's management guide, section 9.3 (`set ssl cert`, `commit ssl cert`, `abort ssl cert`).
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from services.provisioner.connectors import Part, Report, Slot
from services.provisioner.connectors.file_slots import AbsolutePath, Command, FilesOptions, FilesSlot
from services.provisioner.connectors.files import Files, prefixed
from services.provisioner.connectors.planning import Coming, PlannedStep
from services.provisioner.domain import DeploymentError, Failure

_SOCAT = "socat -t60 - UNIX-CONNECT:"
"""It hands the answer on for as long as HAProxy takes to give one."""


class HaproxyOptions(FilesOptions):
    """HAProxy's commands, and where it can be told a certificate while it runs."""

    test_command: Command = Field(
        "haproxy -c -f /etc/haproxy/haproxy.cfg", description="Must exit 0 before HAProxy is told."
    )
    reload_command: Command = Field(
        "systemctl reload haproxy",
        description="Makes HAProxy read its files again, where no runtime_socket is named.",
    )
    runtime_socket: AbsolutePath | None = Field(
        None,
        description="The `stats socket` of level admin: named, certificates are exchanged in the running process (HAProxy 2.2, "
        "socat on the host), and no reload is needed. The files are written all the same, for its next start.",
        examples=["/run/haproxy/admin.sock"],
    )


class HaproxySlot(FilesSlot):
    """A PEM file that a `bind … crt` names or whose folder it names: with the key in it, unless `key_path` (`….key`) is told."""

    runtime_name: str | None = Field(
        None,
        pattern=r"^[^\x00-\x20]+$",
        max_length=1000,
        description="What `show ssl cert` calls it; left out, certificate_path.",
    )


class Haproxy(Files):
    """HAProxy: a new worker for new files, or a transaction in the one that runs."""

    kind: ClassVar[str] = "haproxy"
    summary: ClassVar[str] = "HAProxy on a host, over SSH: files, and its Runtime API."
    options_type: ClassVar[type[Part]] = HaproxyOptions
    slot_type: ClassVar[type[Slot]] = HaproxySlot

    @classmethod
    def plan(cls, slot: FilesSlot, *, options: FilesOptions, coming: Coming) -> Sequence[PlannedStep]:
        """Say what would be written and run; over the Runtime API that is the script of a transaction."""
        steps = super().plan(slot, options=options, coming=coming)
        socket = options.runtime_socket if isinstance(options, HaproxyOptions) else None
        if slot.reload_command is not None or socket is None:
            return steps
        script = _exchanging(slot, options, socket=socket)
        return [
            replace(step, text="Let the running process take the files.", command=script)
            if step.step == "reload"
            else step
            for step in steps
        ]

    async def _reload(self, slot: FilesSlot, *, report: Report) -> None:
        options = self._options
        if slot.reload_command is None and isinstance(options, HaproxyOptions) and options.runtime_socket:
            await self._exchange(slot, socket=options.runtime_socket, report=report)
        else:
            await super()._reload(slot, report=report)

    async def _exchange(self, slot: FilesSlot, *, socket: str, report: Report) -> None:
        """Let the running process take what is in the files now."""
        name = _name(slot)
        ran = await self._session.run(_exchanging(slot, self._options, socket=socket))
        if ran.status != 0 or "Success!" not in ran.output:
            reason = f"HAProxy did not take {name}: exit {ran.status}. {ran.output}"
            raise DeploymentError(Failure.RELOAD_FAILED, reason, step="reload")
        report("reload", f"commit ssl cert {name}: Success!")


def _name(slot: FilesSlot) -> str:
    """Return what the running process calls it."""
    return (slot.runtime_name if isinstance(slot, HaproxySlot) else None) or slot.certificate_path


def _exchanging(slot: FilesSlot, options: FilesOptions, *, socket: str) -> str:
    """Return the script that lets the running process take what is in the files."""
    client, prefix = _SOCAT + shlex.quote(socket), options.command_prefix
    return _transaction(
        _name(slot),
        paths=slot.paths,
        reader=f"{options.file_prefix} cat".strip(),
        client=prefixed(client, prefix=prefix) if prefix else client,
    )


def _transaction(name: str, *, paths: tuple[str, ...], reader: str, client: str) -> str:
    """Return a script that sends the files, which hold the key, from the host itself, and then commits."""
    quoted, files = shlex.quote(name), " ".join(shlex.quote(path) for path in paths)
    # One transaction is open at a time: what a connection that was cut has left of ours would be in the way.
    # An empty line ends what is sent, so none may be in it.
    return (
        f"tell() {{ {client}; }}; "
        f"printf 'abort ssl cert %s\\n' {quoted} | tell >/dev/null 2>&1; "
        f"{{ printf 'set ssl cert %s <<\\n' {quoted}; {reader} -- {files} | grep -v '^$'; echo; }} | tell && "
        f"printf 'commit ssl cert %s\\n' {quoted} | tell"
    )
