"""How the tests of devices read one: all pages at once, by path."""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from services.discovery.connectors import Access, Check, Limits, Source
from services.discovery.domain.holdings import Gap, Holding
from shared.outbound import Policy
from tests.builders import LOOPBACK


def access(kind: type[Source], *, settings: Mapping[str, Any], credential: Mapping[str, Any]) -> Access:
    """Return how a device on loopback is reached."""
    return Access(
        settings=kind.settings_type.model_validate(dict(settings)),
        credential=kind.credential_type.model_validate(dict(credential)),
        limits=Limits(connect=timedelta(seconds=5), command=timedelta(seconds=20)),
        policy=Policy(LOOPBACK),
    )


async def read(kind: type[Source], at: Access) -> tuple[dict[str, Holding], list[Gap]]:
    """Return what a source holds, and its gaps."""
    async with kind.open(at) as source, aclosing(source.read(after=None)) as pages:
        found = [page async for page in pages]
    return {each.path: each for page in found for each in page.holdings}, [
        each for page in found for each in page.gaps
    ]


async def checked(kind: type[Source], at: Access) -> list[Check]:
    """Return what trying it says."""
    async with kind.open(at) as source:
        return list(await source.check())
