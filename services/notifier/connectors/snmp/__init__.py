"""SNMP notifications for the automation of a network operations centre: v2c and v3, traps and informs."""

import binascii
import ipaddress
import re
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

import anyio
import httpcore
import httpx
import structlog
from pydantic import AfterValidator, Field, SecretStr

from services.notifier.connectors import Delivered, Later, Network, Paced, Part, Progress, Sent
from services.notifier.connectors.snmp.mib import DOCUMENTATION, notification, objects, root
from services.notifier.connectors.snmp.wire import (
    Authentication,
    Community,
    Message,
    Privacy,
    User,
    transmit,
)
from services.notifier.domain.notices import Notice, Turn
from services.notifier.domain.text import clean
from shared.errors import Fault, Invalid
from shared.outbound import permitted_addresses

log = structlog.get_logger(__name__)

_PATIENCE = 10.0
_MOST_WORDS = 300
_ENGINE_ID = "80007ed904657665726c656166"
"""RFC 3411 §5: the enterprise number with its first bit set, 4 for text, and `everleaf`."""
_NOBODY = "the enterprise number for documentation: register your own with IANA, and set `enterprise`"


def _is_engine_id(value: str) -> str:
    if not re.fullmatch(r"(?:[0-9a-f]{2}){5,32}", value):
        msg = "write 5 to 32 octets in hexadecimal"
        raise ValueError(msg)
    return value


class Options(Paced):
    """The receiver of notifications, and how it is spoken to."""

    per_minute: int | None = Field(300, ge=1, le=60_000)
    """At most so many notifications in a minute: receivers drop what comes too fast, and each takes us a tenth of a second."""
    host: str = Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$", examples=["nms.example.test"])
    port: int = Field(162, ge=1, le=65535)
    version: Literal["3", "2c"] = "3"
    notify: Literal["inform", "trap"] = "inform"
    """An inform is acknowledged, and sent again where it is not; of a trap nobody learns whether it has arrived."""
    username: str | None = Field(None, min_length=1, max_length=32)
    authentication: Authentication = "sha256"
    """HMAC of RFC 7860."""
    privacy: Privacy = "aes128"
    engine_id: Annotated[str, AfterValidator(_is_engine_id)] = _ENGINE_ID
    """Of the sender, in hexadecimal: what the receiver of v3 traps knows the user by."""
    enterprise: int = Field(DOCUMENTATION, ge=1, le=2**32 - 1)
    """Your private enterprise number; 32473 is the one for documentation."""


class Secrets(Part):
    """A community for v2c; for v3 what messages are authenticated and encrypted with."""

    community: SecretStr | None = Field(None, min_length=1, max_length=255)
    authentication_password: SecretStr | None = Field(None, min_length=8, max_length=255)
    privacy_password: SecretStr | None = Field(None, min_length=8, max_length=255)


class Snmp:
    """A receiver of SNMP notifications."""

    kind: ClassVar[str] = "snmp"
    summary: ClassVar[str] = "An SNMP trap or inform (EVERLEAF-MIB)."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"host", "port", "version"})

    def __init__(self, options: Options, *, sender: Community | User, network: Network) -> None:
        self._options = options
        self._sender = sender
        self._network = network

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the secrets are not those of the version."""
        return cls(options, sender=_sender(options, secrets), network=network)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Send the notification; an inform is delivered once it is acknowledged."""
        options = self._options
        try:
            address = await self._address()
        except (httpx.HTTPError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            return Later(reason=clean(str(error), most=_MOST_WORDS), progress=progress)
        wrong = await anyio.to_thread.run_sync(transmit, self._message(notice, address=address, now=now))
        if wrong is not None:
            return Later(reason=clean(f"{address}: {wrong}", most=_MOST_WORDS), progress=progress)
        answer = "Acknowledged." if options.notify == "inform" else "Sent; a trap is never acknowledged."
        if options.enterprise == DOCUMENTATION:
            log.warning("snmp.documentation_number", host=options.host)
            answer += f" {DOCUMENTATION} is {_NOBODY}." if notice.turn is Turn.TEST else ""
        return Delivered(answer=answer, progress=progress)

    async def _address(self) -> str:
        host = self._options.host
        found = await permitted_addresses(self._network.policy, host, self._options.port, timeout=_PATIENCE)
        # UDP tells nothing of an address where nobody is: those of IPv4 first, as most receivers listen there.
        return min(found, key=lambda each: ipaddress.ip_address(each).version)

    def _message(self, notice: Notice, *, address: str, now: datetime) -> Message:
        options = self._options
        above = (*root(options.enterprise), 1)
        return Message(
            address=address,
            port=options.port,
            sender=self._sender,
            is_inform=options.notify == "inform",
            notification=notification(notice, enterprise=options.enterprise),
            objects=[((*above, number), value) for number, value in objects(notice)],
            at=now,
        )


def _sender(options: Options, secrets: Secrets) -> Community | User:
    authentication, privacy = secrets.authentication_password, secrets.privacy_password
    if options.version == "2c":
        if secrets.community is None or options.username or authentication or privacy:
            raise _unfitting("community", "v2c has a community, and no user.")
        return Community(community=secrets.community)
    if options.username is None or authentication is None or privacy is None or secrets.community:
        raise _unfitting(
            "authentication_password", "v3 has options.username and two passwords, and no community."
        )
    return User(
        name=options.username,
        authentication=options.authentication,
        authentication_password=authentication,
        privacy=options.privacy,
        privacy_password=privacy,
        engine_id=binascii.unhexlify(options.engine_id),
    )


def _unfitting(field: str, words: str) -> Invalid:
    return Invalid(
        words,
        next_step="Send what belongs to options.version, and nothing else.",
        faults=[Fault(pointer=f"/body/secrets/{field}", message="does not fit options.version")],
    )
