"""Where each kind of source is tried: a real system or a simulator, one module a kind, named as the kind is.

The module `aws` is the workshop of the kind `aws`, `linux_ssh` that of `linux-ssh`; each has an async context
manager `workshop(directory)` that yields a `Workshop`.
"""

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from services.discovery.connectors import Access, Limits
from services.discovery.connectors.registry import source_kind
from shared.outbound import Policy
from tests.builders import LOOPBACK


class Workshop(Protocol):
    """One system that holds certificates, as it is before anybody looks; its calls may block for a moment."""

    kind: str
    settings: Mapping[str, Any]
    credential: Mapping[str, Any]
    wrong_credential: Mapping[str, Any]
    """Of the right shape, and not right: its secrets appear in no text."""

    def put(self, count: int) -> Mapping[str, str]:
        """Hold so many certificates more; return the fingerprint of each by its holding's path."""

    def forbid(self) -> frozenset[str]:
        """Take from the login the right to read something; return the paths that cannot be known any more."""

    def state(self) -> object:
        """Return all that a reader could change, comparable."""

    def stall(self) -> None:
        """Accept connections and say nothing on them, until the workshop closes."""

    def stop(self) -> None:
        """Do not answer any more."""


def workshop_of(kind: str, directory: Path) -> AbstractAsyncContextManager[Workshop]:
    """Return the workshop of a kind, to be opened."""
    module = importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")
    opened: AbstractAsyncContextManager[Workshop] = module.workshop(directory)
    return opened


def access_to(shop: Workshop, **changes: Any) -> Access:
    """Return how the workshop's source is reached; loopback may be, unless `policy` says otherwise."""
    kind = source_kind(shop.kind)
    access = Access(
        settings=kind.settings_type.model_validate(dict(shop.settings)),
        credential=credential_of(shop, shop.credential),
        limits=Limits(),
        policy=Policy(LOOPBACK),
    )
    return replace(access, **changes)


def credential_of(shop: Workshop, given: Mapping[str, Any]) -> BaseModel:
    """Return a credential as the kind's own type."""
    return source_kind(shop.kind).credential_type.model_validate(dict(given))
