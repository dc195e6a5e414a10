"""Mail by SMTP, always over TLS: what is sent, and what the server's replies mean."""

import contextlib
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Annotated, Any, ClassVar, Literal, Self

import aiosmtplib
import anyio
from pydantic import ConfigDict, Field, SecretStr, StringConstraints, TypeAdapter, ValidationError

from services.notifier.connectors import (
    Audience,
    Delivered,
    Gathered,
    Later,
    Letter,
    Network,
    Never,
    Part,
    Progress,
    Sent,
)
from services.notifier.connectors.dial import dial
from services.notifier.connectors.mail import compose, enclose
from services.notifier.connectors.trust import trusting
from services.notifier.domain.notices import Notice
from services.notifier.domain.text import clean
from shared.errors import Fault, Invalid

PATIENCE = timedelta(seconds=60)
_GOODBYE = 2.0
_PERMANENT = 500
_MOST_WORDS = 300
_ABOUT_US = range(530, 540)
"""Replies about authentication and encryption (RFC 4954 §6): an operator can put them right."""

MOST_RECIPIENTS = 100
Address = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$", max_length=254
    ),
]

_ADDRESS: TypeAdapter[str] = TypeAdapter(Address)


class Options(Gathered):
    """The mail server, and from whom to whom."""

    model_config = ConfigDict(validate_by_name=True)

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", examples=["mail.example.test"])
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls"] = "starttls"
    """TLS after STARTTLS (usual on port 587), or from the first byte (465). There is no plain SMTP."""
    username: str | None = Field(None, max_length=300, examples=["everleaf"])
    sender: Address = Field(alias="from", examples=["everleaf@example.test"])
    to: list[Address] = Field(min_length=1, max_length=MOST_RECIPIENTS, examples=[["operators@example.test"]])
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """What the mail server is logged into with."""

    password: SecretStr | None = None


class Email:
    """A mail server and its recipients."""

    kind: ClassVar[str] = "email"
    summary: ClassVar[str] = "Mail by SMTP with TLS."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"host", "port", "security", "username", "ca_pem"})

    reaches: ClassVar[str] = "email"

    def __init__(self, options: Options, *, secrets: Secrets, tls: ssl.SSLContext, network: Network) -> None:
        self._options = options
        self._secrets = secrets
        self._tls = tls
        self._network = network

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where user name and password do not come together."""
        if (options.username is None) != (secrets.password is None):
            raise Invalid(
                "A user name and a password come together or not at all.",
                next_step="Send options.username and secrets.password, or leave out both.",
                faults=[Fault(pointer="/body/secrets/password", message="does not fit options.username")],
            )
        tls = trusting(options.ca_pem, otherwise=network.tls)
        return cls(options, secrets=secrets, tls=tls, network=network)

    @classmethod
    def readdressed(cls, options: Mapping[str, Any], audience: Audience) -> Mapping[str, Any]:
        """Return options to mail to this audience; a contact that is no address is left out."""
        addressed = [each for each in audience.addressed if _is_address(each)]
        own = options["to"] if audience.is_own or not addressed else []
        return {**options, "to": list(dict.fromkeys([*own, *addressed]))[:MOST_RECIPIENTS]}

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:  # noqa: ARG002 - a mail bears the alert's time
        """Mail the notice to each recipient that has no final answer yet."""
        options = self._options
        return await self._mail(
            compose(notice, sender=options.sender, recipients=options.to), progress=progress
        )

    async def carry(self, letter: Letter, *, progress: Progress) -> Sent:
        """Mail a file to each recipient that has no final answer yet."""
        options = self._options
        return await self._mail(
            enclose(letter, sender=options.sender, recipients=options.to), progress=progress
        )

    async def _mail(self, message: EmailMessage, *, progress: Progress) -> Sent:
        to = self._options.to
        waiting = [each for each in to if each not in progress.told and each not in progress.refused]
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                replies = await self._hand_over(message, recipients=waiting)
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            return replace(_failed(error), progress=progress)
        return _sorted(replies, progress=progress)

    async def _hand_over(self, message: EmailMessage, *, recipients: list[str]) -> "dict[str, Reply]":
        if not recipients:
            return {}
        client = await self._connected()
        try:
            errors, _ = await client.sendmail(self._options.sender, recipients, message.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return {each.recipient: Reply(each.code, each.message) for each in refused.recipients}
        finally:
            await _leave(client)
        taken = dict.fromkeys(recipients, Reply(250, "taken"))
        return taken | {address: Reply(code, text) for address, (code, text) in errors.items()}

    async def _connected(self) -> aiosmtplib.SMTP:
        options, password = self._options, self._secrets.password
        connection = await dial(options.host, port=options.port, policy=self._network.policy)
        client = aiosmtplib.SMTP(
            hostname=options.host,
            sock=connection,
            local_hostname=socket.gethostname() or "localhost",
            use_tls=options.security == "tls",
            start_tls=options.security == "starttls",
            tls_context=self._tls,
            username=options.username,
            password=password.get_secret_value() if password else None,
            timeout=PATIENCE.total_seconds() / 2,
        )
        await client.connect()  # where that fails, it closes what it was given
        return client


def _is_address(text: str) -> bool:
    try:
        _ADDRESS.validate_python(text)
    except ValidationError:
        return False
    return True


@dataclass(frozen=True)
class Reply:
    """What the server said to one recipient (RFC 5321 §4.2)."""

    code: int
    text: str

    def __str__(self) -> str:
        return clean(f"{self.code} {self.text}", most=_MOST_WORDS)


async def _leave(client: aiosmtplib.SMTP) -> None:
    # The mail is handed over, or refused, whatever becomes of the goodbye.
    with anyio.move_on_after(_GOODBYE, shield=True), contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await client.quit()
    client.close()


def _sorted(replies: "Mapping[str, Reply]", *, progress: Progress) -> Sent:
    told = [address for address, reply in replies.items() if reply.code < _PERMANENT - 100]
    refused = {address: str(reply) for address, reply in replies.items() if reply.code >= _PERMANENT}
    later = {a: r for a, r in replies.items() if a not in told and a not in refused}
    total = Progress(told=(*progress.told, *told), refused={**progress.refused, **refused})
    if later:
        return Later(reason=_listed(later.items()), progress=total)
    if not total.told:
        return Never(reason=f"All recipients were refused. {_listed(total.refused.items())}", progress=total)
    answer = f"Taken for {len(total.told)} of {len(total.told) + len(total.refused)}."
    return Delivered(answer=f"{answer} {_listed(total.refused.items())}".strip(), progress=total)


def _listed(replies: "Iterable[tuple[str, Reply | str]]") -> str:
    return "; ".join(f"{address}: {reply}" for address, reply in replies)


def _failed(error: Exception) -> Later | Never:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return Later(reason=f"User name and password are not accepted ({error.code}).")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reply = Reply(error.code, error.message)
        is_final = error.code >= _PERMANENT and error.code not in _ABOUT_US
        return Never(reason=str(reply)) if is_final else Later(reason=str(reply))
    return Later(reason=clean(f"{type(error).__name__}: {error}", most=_MOST_WORDS))
