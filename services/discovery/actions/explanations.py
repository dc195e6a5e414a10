"""Why a place was found or missed: gathers what there is to judge by."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.discovery import store
from services.discovery.actions.plans import Bounds
from services.discovery.connectors.resolve import resolve
from services.discovery.domain.answers import Outcome
from services.discovery.domain.explanations import (
    Evidence,
    Explanation,
    LastLook,
    LastSeen,
    denial,
    explain,
    unresolved,
)
from services.discovery.domain.targets import Segment, parse_server_name, parse_target
from shared.access import Principal
from shared.errors import Fault, Invalid
from shared.store import Database
from shared.store.scopes import Scope

HTTPS = 443


class Explanations:
    """Answers "why was this missed?" for any target."""

    def __init__(self, database: Database, *, bounds: Bounds) -> None:
        self._database = database
        self._bounds = bounds

    async def of(self, target: str, *, server_name: str | None, caller: Principal) -> Sequence[Explanation]:
        """Explain each address of a target, by what the caller sees.

        Raises `Invalid` where it is not one host or one address.
        """
        wish = parse_target(target, pointer="/query/target")
        name = parse_server_name(server_name, pointer="/query/server_name") if server_name else wish.host
        port = wish.port or HTTPS
        if wish.under is not None or wish.count != 1:
            raise Invalid(
                f"{target!r} is more than one place.",
                next_step="Name one host or address, with a port where it is not 443.",
                faults=[Fault(pointer="/query/target", message="more than one place")],
            )
        addresses = [wish.first] if wish.first else []
        if wish.host:
            found, failed = await resolve([wish.host])
            if failed:
                return [unresolved(wish.host, port=port, reason=failed[wish.host])]
            addresses = list(found[wish.host])
        async with self._database.read() as session:
            return [
                await self._explained(session, str(address), port, name, scope=caller.scope)
                for address in addresses
            ]

    async def _explained(
        self, session: AsyncSession, address: str, port: int, server_name: str | None, *, scope: Scope
    ) -> Explanation:
        bounds = self._bounds
        return explain(
            Evidence(
                address=address,
                port=port,
                server_name=server_name,
                denied=denial(address, port=port, allow=bounds.allow, deny=bounds.deny, own=bounds.own),
                # Places are in no group.
                seen=await _seen(session, address, port, server_name) if scope is None else None,
                looked=await _looked(session, address, port, server_name, scope=scope),
                waiting_in=await _waiting_in(session, address, port, scope=scope),
                misses_until_lost=bounds.misses_until_lost,
            )
        )


async def _seen(session: AsyncSession, address: str, port: int, server_name: str | None) -> LastSeen | None:
    place = await store.place_seen(session, address, port=port, server_name=server_name)
    if place is None:
        return None
    return LastSeen(
        key=place.key, fingerprint=place.fingerprint, last_seen=place.last_seen, misses=place.misses
    )


async def _looked(
    session: AsyncSession, address: str, port: int, server_name: str | None, *, scope: Scope
) -> LastLook | None:
    found = await store.last_result(session, address, port=port, server_name=server_name, scope=scope)
    if found is None:
        return None
    result, scan = found
    at = scan.finished_at or scan.started_at or scan.created_at
    return LastLook(scan_id=scan.id, outcome=Outcome(result.outcome), reason=result.reason, at=at)


async def _waiting_in(session: AsyncSession, address: str, port: int, *, scope: Scope) -> str | None:
    for scan in await store.open_scans(session, scope=scope):
        if any(Segment.read(row).holds(address, port=port) for row in scan.segments or ()):
            return scan.id
    return None
