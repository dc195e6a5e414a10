"""A real mail server (aiosmtpd) in a thread of its own that demands STARTTLS and a password, and keeps what it gets."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail as it came over the wire: the envelope, and the content's bytes."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)

    @property
    def message(self) -> EmailMessage:
        """The content, parsed."""
        return email.message_from_bytes(self.content, policy=email.policy.default)


class Smtp:
    """A mail server on `host`:`port`; `inbox` is what it accepted, in order of arrival."""

    host = "localhost"
    user = "everleaf"
    password = "a test's password"

    def __init__(self, *, context: ssl.SSLContext, ca_pem: Path) -> None:
        self.port = free_port()
        self.ca_pem = ca_pem
        self.inbox: list[Mail] = []
        self._answers: dict[str, str] = {}
        self._context = context
        self._controller: _Controller | None = None

    def refuse(self, address: str, answer: str = "550 5.1.1 no such user") -> None:
        """Answer RCPT TO this address with an SMTP reply, such as "451 4.3.0 try later"."""
        self._answers[address] = answer

    def accept(self, address: str) -> None:
        """Take mail for this address again."""
        self._answers.pop(address, None)

    def start(self) -> None:
        """Start it, after a stop on the same port as before."""
        self._controller = _Controller(
            _Handler(self),
            hostname="127.0.0.1",
            port=self.port,
            tls_context=self._context,
            require_starttls=True,
            authenticator=self._authenticate,
            auth_required=True,
            auth_require_tls=True,
        )
        self._controller.start()

    def stop(self) -> None:
        """Stop it: connections are refused until the next start."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def quiet(self, *, limit: float = 2.0) -> None:
        """Return when every client has left, or the limit (in seconds) is over.

        aiosmtplib closes a TLS connection in the background: a loop that ends before leaves its socket open.
        """
        for _ in range(int(limit / 0.01)):
            await asyncio.sleep(0.01)  # first, for the client's half of a close that the server has seen
            if self._controller is None or not self._controller.sessions:
                return

    def answer(self, address: str) -> str | None:
        """Return the refusal for an address, if there is one."""
        return self._answers.get(address)

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        known = LoginPassword(login=self.user.encode(), password=self.password.encode())
        # handled=False makes the server send the 535; without it a refused client waits for ever
        return AuthResult(success=data == known, handled=data == known)


class _Session(SMTP):
    def __init__(self, sessions: set[SMTP], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._sessions.discard(self)
        super().connection_lost(error)


class _Controller(Controller):
    """Knows which sessions are open."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sessions: set[SMTP] = set()

    def factory(self) -> SMTP:
        return _Session(self.sessions, self.handler, **self.SMTP_kwargs)


class _Handler:
    def __init__(self, server: Smtp) -> None:
        self._server = server

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refusal = self._server.answer(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 fine"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        content = envelope.content
        assert isinstance(content, bytes)
        self._server.inbox.append(
            Mail(sender=envelope.mail_from or "", recipients=tuple(envelope.rcpt_tos), content=content)
        )
        return "250 2.0.0 kept"


@pytest.fixture
async def smtp(
    tmp_path: Path,
    lab_ca: CertificateAuthority,
    lab_ca_pem: Path,
    anyio_backend: str,  # named here so that tests without a loop of their own can use it too
) -> AsyncIterator[Smtp]:
    """One mail server for this test."""
    server = Smtp(context=lab_ca.issue(*LOOPBACK).server_context(tmp_path / "smtp"), ca_pem=lab_ca_pem)
    try:
        server.start()
        yield server
        await server.quiet()
    finally:
        server.stop()
