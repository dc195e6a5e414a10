"""One SNMP notification on its way: by pysnmp, in a thread of its own, since it computes for a tenth of a second.

An engine lives for one notification. What must outlive it, the clock that receivers of v3 traps hold messages against
(RFC 3414 §2.2: boots never fall, time never falls within a boot), is told by the calendar: boots is the number of the
day, time the seconds of it. So restarts and further processes of ours need no file and agree with one another.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import SecretStr

from services.notifier.connectors.snmp.mib import Oid, Value, unsigned

TIMEOUT = 5.0
RETRIES = 2
_DAY = 86_400
_SYS_UP_TIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)

Authentication = Literal["sha224", "sha256", "sha384", "sha512"]
Privacy = Literal["aes128", "aes192", "aes256"]


@dataclass(frozen=True, kw_only=True)
class Community:
    """Who sends, in v2c: whoever knows this."""

    community: SecretStr


@dataclass(frozen=True, kw_only=True)
class User:
    """Who sends, in v3: always authenticated and encrypted."""

    name: str
    authentication: Authentication
    authentication_password: SecretStr
    privacy: Privacy
    privacy_password: SecretStr
    engine_id: bytes


@dataclass(frozen=True, kw_only=True)
class Message:
    """A notification, and where it goes: to an address that was checked."""

    address: str
    port: int
    sender: Community | User
    is_inform: bool
    notification: Oid
    objects: Sequence[tuple[Oid, Value]]
    """With the last number of each that of its object, without the instance."""
    at: datetime


def transmit(message: Message) -> str | None:
    """Send it, and return what has gone wrong. Blocks: an inform until it is acknowledged, or given up."""
    return asyncio.run(_transmit(message))


async def _transmit(message: Message) -> str | None:
    # pysnmp takes half a second to be imported: only who sends by it waits for that.
    from pysnmp.hlapi.v3arch import asyncio as snmp  # noqa: PLC0415 - half a second that only traps need

    engine = snmp.SnmpEngine()
    if isinstance(message.sender, User):
        _set_clock(engine, message.sender.engine_id, now=message.at)
    kind = snmp.Udp6TransportTarget if ":" in message.address else snmp.UdpTransportTarget
    target = await kind.create((message.address, message.port), timeout=TIMEOUT, retries=RETRIES)
    try:
        indication, status, _, _ = await snmp.send_notification(
            engine,
            _identity(snmp, message.sender),
            target,
            snmp.ContextData(),
            "inform" if message.is_inform else "trap",
            *_varbinds(snmp, message),
            lookupMib=False,
        )
    finally:
        engine.close_dispatcher()
    return str(indication or "") or (f"error status {status}" if status else None)


def _varbinds(snmp: Any, message: Message) -> list[tuple[Any, Any]]:
    ticks = int(message.at.timestamp()) % _DAY * 100
    head = [
        (_SYS_UP_TIME, snmp.TimeTicks(ticks)),
        (_TRAP_OID, snmp.ObjectIdentifier(message.notification)),
    ]
    body = [((*oid, 0), _typed(snmp, value, column=oid[-1])) for oid, value in message.objects]
    return [(snmp.ObjectIdentifier(oid), value) for oid, value in (*head, *body)]


def _typed(snmp: Any, value: Value, *, column: int) -> Any:
    if isinstance(value, str):
        return snmp.OctetString(value.encode())
    return snmp.Unsigned32(value) if unsigned(column) else snmp.Integer32(value)


def _identity(snmp: Any, sender: Community | User) -> Any:
    if isinstance(sender, Community):
        return snmp.CommunityData(sender.community.get_secret_value(), mpModel=1)
    authentication = {
        "sha224": snmp.usmHMAC128SHA224AuthProtocol,
        "sha256": snmp.usmHMAC192SHA256AuthProtocol,
        "sha384": snmp.usmHMAC256SHA384AuthProtocol,
        "sha512": snmp.usmHMAC384SHA512AuthProtocol,
    }
    privacy = {
        "aes128": snmp.usmAesCfb128Protocol,
        "aes192": snmp.usmAesCfb192Protocol,
        "aes256": snmp.usmAesCfb256Protocol,
    }
    return snmp.UsmUserData(
        sender.name,
        sender.authentication_password.get_secret_value(),
        sender.privacy_password.get_secret_value(),
        authProtocol=authentication[sender.authentication],
        privProtocol=privacy[sender.privacy],
    )


def _set_clock(engine: Any, engine_id: bytes, *, now: datetime) -> None:
    # Given to its constructor, pysnmp would keep a file about the id in the shared temporary folder.
    names = ("snmpEngineID", "snmpEngineBoots", "snmpEngineTime")
    own_id, boots, time = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", *names)
    day, seconds = divmod(int(now.timestamp()), _DAY)
    own_id.syntax = own_id.syntax.clone(engine_id)
    engine.snmpEngineID = own_id.syntax
    boots.syntax = boots.syntax.clone(day)
    # It counts from there to the present by itself.
    time.syntax = time.syntax.clone(int(now.timestamp()) - seconds)
