"""Mail and webhooks, by real servers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.notifier.connectors.email import Email
from services.notifier.connectors.webhook import Webhook as WebhookChannel
from tests.conformance.channels.bench import Arrived, Fixtures, Receiver, Row
from tests.notifier.workshop import SIGNING_SECRET, email_options
from tests.servers.smtp import Smtp
from tests.servers.webhook import Answer, Webhook


@dataclass
class Mailbox:
    """A mail server as a receiver."""

    server: Smtp
    kind: str = "email"

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return email_options(self.server, **({"ca_pem": ca_pem} if ca_pem else {}))

    def secrets(self) -> dict[str, str]:
        return {"password": self.server.password}

    def arrived(self) -> list[Arrived]:
        return [
            Arrived(
                id=mail.message["Message-ID"], text=f"{mail.message['Subject']}\n{mail.message.get_body()}"
            )
            for mail in self.server.inbox
        ]

    def postpone(self) -> None:
        self.server.refuse("operators@example.test", "451 4.3.0 try later")

    def refuse(self) -> None:
        self.server.refuse("operators@example.test", "550 5.1.1 no such user")

    def accept(self) -> None:
        self.server.accept("operators@example.test")

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


@dataclass
class Hook:
    """A webhook receiver with TLS."""

    server: Webhook
    ca_pem: str
    kind: str = "webhook"
    refused_before: int = 0
    """How many requests had come when it began to accept again."""

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return {"url": f"{self.server.url}/everleaf", "ca_pem": ca_pem or self.ca_pem}

    def secrets(self) -> dict[str, str]:
        return {"signing_secret": SIGNING_SECRET}

    def arrived(self) -> list[Arrived]:
        answered = self.server.requests[self.refused_before :]
        return [
            Arrived(id=request.headers["webhook-id"], text=json.dumps(json.loads(request.body)["data"]))
            for request in answered
        ]

    def postpone(self) -> None:
        self.server.default = Answer(status=503)

    def refuse(self) -> None:
        self.server.default = Answer(status=410)

    def accept(self) -> None:
        self.refused_before = len(self.server.requests)
        self.server.default = Answer()

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


@contextmanager
def _mailbox(fixtures: Fixtures, _directory: Path) -> Iterator[Receiver]:
    yield Mailbox(fixtures("smtp"))


@contextmanager
def _hook(fixtures: Fixtures, _directory: Path) -> Iterator[Receiver]:
    yield Hook(fixtures("start_webhook")(tls=True), fixtures("lab_ca_pem").read_text())


ROWS = {"email": Row(kind=Email, open=_mailbox), "webhook": Row(kind=WebhookChannel, open=_hook)}
