"""Puts TXT records into a zone and takes them out again: signed updates (RFC 2136, RFC 8945)."""

from typing import Literal

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
from pydantic import Field

from services.renewal.connectors import NotNow
from services.renewal.connectors.dns import DnsPart
from services.renewal.connectors.dns.servers import Server
from shared.errors import Invalid, Refused
from shared.outbound import Policy

TTL = 60
TIMEOUT = 10.0
_NOT_FOR_US = frozenset({dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE})


class Rfc2136Options(DnsPart):
    """The primary server of a zone, and the name of the TSIG key that may change it."""

    kind: Literal["rfc2136"]
    server: str = Field(min_length=1, max_length=253, examples=["ns1.example.com"])
    port: int = Field(53, ge=1, le=65535)
    zone: str = Field(min_length=1, max_length=253, examples=["example.com"])
    key_name: str = Field(min_length=1, max_length=253, examples=["everleaf-acme"])
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"


class Zone:
    """A zone that takes our updates."""

    def __init__(self, options: Rfc2136Options, *, secret: str, policy: Policy) -> None:
        """`secret` is in base64, as BIND writes it. Raises `Invalid`."""
        self._options = options
        self._policy = policy
        try:
            self._zone = dns.name.from_text(options.zone)
            self._key = dns.tsig.Key(options.key_name, secret, options.algorithm)
        except (ValueError, dns.exception.DNSException):
            raise Invalid(
                "The zone or its TSIG key cannot be read.",
                next_step="Write zone and key_name as names, and dns_secret in base64.",
            ) from None

    async def add(self, name: str, value: str) -> None:
        """Add a TXT record. Raises `Refused` or `NotNow`."""
        update = self._update()
        update.add(self._inside(name), TTL, "TXT", value)
        await self._send(update)

    async def remove(self, name: str, value: str) -> None:
        """Take this one TXT record out, if it is there. Raises `Refused` or `NotNow`."""
        update = self._update()
        update.delete(self._inside(name), "TXT", value)
        await self._send(update)

    def _update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self._zone, keyring=self._key)

    def _inside(self, name: str) -> dns.name.Name:
        found = dns.name.from_text(name)
        if not found.is_subdomain(self._zone):
            raise Refused(
                f"{name} is not in the zone {self._options.zone}.",
                next_step="Use an authority whose `dns` has the zone.",
            )
        return found

    async def _send(self, message: dns.message.Message) -> dns.message.Message:
        where = await Server(self._options.server, self._options.port).address(self._policy)
        try:
            answer = await dns.asyncquery.tcp(message, where, timeout=TIMEOUT, port=self._options.port)
        except dns.tsig.PeerError as error:
            raise self._refused(type(error).__name__) from error
        except (OSError, EOFError, dns.exception.DNSException) as error:
            reason = str(error) or type(error).__name__
            raise NotNow(f"The name server {self._options.server} gave no answer: {reason}.") from error
        code = answer.rcode()
        if code in _NOT_FOR_US:
            raise self._refused(dns.rcode.to_text(code))
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise NotNow(f"The name server {self._options.server} answered {dns.rcode.to_text(code)}.")
        return answer

    def _refused(self, answer: str) -> Refused:
        return Refused(
            f"The name server {self._options.server} refused to change {self._options.zone} ({answer}).",
            next_step="Check that its update policy lets this TSIG key write TXT records.",
        )
