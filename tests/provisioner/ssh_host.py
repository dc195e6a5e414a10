"""A host in this process: SSH and SFTP by asyncssh, and a TLS server that reads its files when told to reload."""

import asyncio
import contextlib
import errno
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncssh


class FaultySftp(asyncssh.SFTPServer):
    """An SFTP server whose writes fail as the host says."""

    def __init__(self, channel: asyncssh.SSHServerChannel, host: "SshHost") -> None:
        super().__init__(channel)
        self._host = host

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        if self._host.write_error is not None:
            raise OSError(self._host.write_error, os.strerror(self._host.write_error))
        return super().write(file_obj, offset, data)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self._host.write_error == errno.EACCES and pflags & asyncssh.FXF_WRITE:
            raise PermissionError(errno.EACCES, "Permission denied")
        return super().open(path, pflags, attrs)

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        if self._host.refuses_links:
            raise PermissionError(errno.EACCES, "Operation not permitted")
        super().link(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self._host.refuses_renames_after is not None:
            self._host.refuses_renames_after -= 1
            if self._host.refuses_renames_after < 0:
                raise PermissionError(errno.EACCES, "Permission denied")
        super().posix_rename(oldpath, newpath)

    def statvfs(self, path: bytes) -> Any:
        found = asyncssh.SFTPVFSAttrs.from_local(os.statvfs(self.map_path(path)))
        if self._host.write_error == errno.ENOSPC:
            found.bavail = 0
        return found


class SshHost:
    """What runs on it: `username` may log in with `client_key` or `password`."""

    host = "127.0.0.1"
    username = "deployer"
    password = "a password"

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate, self.key = certificate, key
        self.write_error: int | None = None
        self.refuses_links = False
        self.refuses_renames_after: int | None = None
        self.commands: list[str] = []
        self._shells: list[asyncio.subprocess.Process] = []
        self._handlers: list[asyncio.Task[None]] = []
        self.port = 0
        self.tls_port = 0
        self._client = asyncssh.generate_private_key("ssh-ed25519")
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._context: ssl.SSLContext | None = None

    @property
    def client_key(self) -> str:
        return self._client.export_private_key().decode()

    @property
    def host_key(self) -> str:
        return self._host_key.export_public_key().decode().strip()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listen on free ports."""
        self.reload()
        tls = await asyncio.start_server(self._greet, self.host, 0, ssl=self._shown())
        self.tls_port = tls.sockets[0].getsockname()[1]
        await self._listen()
        try:
            yield self
        finally:
            tls.close()
            self._server.close()
            await self._server.wait_closed()
            await self._end_commands()

    async def _end_commands(self) -> None:
        for shell in self._shells:
            with contextlib.suppress(ProcessLookupError):
                shell.kill()
            await shell.wait()
        # What reads their output ends with them.
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=lambda: _Login(self),
            server_host_keys=[self._host_key],
            process_factory=self._run,
            sftp_factory=lambda channel: FaultySftp(channel, self),
            allow_scp=False,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def replace_host_key(self) -> None:
        """Become another host on the same port."""
        self._server.close()
        await self._server.wait_closed()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        await self._listen()

    def may_log_in(self, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._client.public_data

    def reload(self) -> None:
        """Serve what is in the files now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self._context = context

    def fail(self) -> None:
        """Serve nothing, until told to reload."""
        self._context = None

    def _shown(self) -> ssl.SSLContext:
        # The listening context stays; each handshake is given the one loaded last.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def present(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
            if self._context is None:
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            connection.context = self._context
            return None

        context.sni_callback = present
        context.load_cert_chain(self.certificate, self.key)
        return context

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        command = process.command or ""
        self.commands.append(command)
        if command == "true":
            process.exit(0)
            return
        if command == "reload":
            try:
                self.reload()
            except (ssl.SSLError, OSError) as error:
                process.stderr.write(str(error))
                process.exit(1)
                return
            process.exit(0)
            return
        given = await process.stdin.read()
        shell = await asyncio.create_subprocess_shell(
            f"exec {command}" if command.startswith("sleep ") else command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._shells.append(shell)
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.append(handler)
        output, _ = await shell.communicate(given.encode())
        process.stdout.write(output.decode())
        process.exit(shell.returncode or 0)


class _Login(asyncssh.SSHServer):
    def __init__(self, host: SshHost) -> None:
        self._host = host

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._host.username and self._host.may_log_in(key)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._host.username, self._host.password)
