"""Where name servers are: their addresses, as far as the outbound policy lets us go there, and one question to them."""

import re
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import httpcore
import httpx

from services.renewal.connectors import NotNow
from shared.outbound import Forbidden, Policy, permitted_addresses

TIMEOUT = 5.0
PATTERN = r"^(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(:[0-9]{1,5})?$"
_WRITTEN = re.compile(PATTERN)


@dataclass(frozen=True)
class Server:
    """A name server, by name or address."""

    host: str
    port: int = 53

    @classmethod
    def parse(cls, text: str) -> "Server":
        """Return what `host`, `host:port` or `[address]:port` names."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            msg = "a name server is host or host:port"
            raise ValueError(msg)
        port = int(found[2][1:]) if found[2] else 53
        return cls(found[1].strip("[]"), port)

    async def address(self, policy: Policy) -> str:
        """Return an address of it that we may go to. Raises `NotNow`."""
        try:
            return (await permitted_addresses(policy, self.host, self.port, timeout=TIMEOUT))[0]
        except Forbidden as error:
            raise NotNow(  # an operator may allow it at any time
                f"The name server {error}.",
                next_step="An operator can allow its network with EVERLEAF_OUTBOUND_ALLOW.",
            ) from error
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpx.ConnectError) as error:
            raise NotNow(f"The name server {self.host} cannot be resolved.") from error


async def texts(name: str, *, address: str, port: int) -> list[str] | None:
    """Return the TXT records that a server gives for a name, or None where it gives no answer."""
    query = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.TXT)
    query.flags &= ~dns.flags.RD  # it is to tell what it has itself
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=TIMEOUT, port=port)
    except (OSError, EOFError, dns.exception.DNSException):
        return None
    records = [record for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT for record in rrset]
    return [b"".join(record.strings).decode(errors="replace") for record in records]
