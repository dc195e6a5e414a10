"""How the tests of devices put a certificate there, a step at a time as the provisioner does, and take it back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.provisioner.connectors import Access, Limits, Part, Target
from services.provisioner.connectors.registry import Kind
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.outbound import Policy
from tests.builders import LOOPBACK
from tests.servers.tls import Issued

LIMIT = timedelta(seconds=10)


class Steps:
    """What was reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, step: str, text: str) -> None:
        """Take a step."""
        self.texts.append(f"{step}: {text}")


def material(issued: Issued, *, key_pem: bytes | None = None) -> Material:
    """Return what is put in place."""
    chain = tuple(each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers))
    return Material(chain=chain, key_pem=key_pem or issued.key_pem)


class Device:
    """One device of a kind, and one slot on it."""

    def __init__(
        self,
        kind: Kind,
        *,
        credential: Mapping[str, Any],
        options: Mapping[str, Any],
        slot: Mapping[str, Any],
        access: Mapping[str, Any] | None = None,
    ) -> None:
        self._kind = kind
        self._access = Access(
            credential=kind.credential_type.model_validate(dict(credential)),
            limits=Limits(connect=LIMIT, transfer=LIMIT, command=LIMIT),
            policy=Policy(LOOPBACK),
            **(access or {}),
        )
        self._options = kind.options_type.model_validate(dict(options))
        self.slot = kind.slot_type.model_validate(dict(slot))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Target[Any, Any, Any]]:
        """Log in."""
        async with self._kind.open(self._access, options=self._options) as target:
            yield target

    async def bind(self, issued: Issued, *, key_pem: bytes | None = None) -> Part:
        """Stage, bind and read back; return the way back."""
        async with self.opened() as target:
            return await self._forward(target, issued, key_pem=key_pem)

    async def _forward(
        self, target: Target[Any, Any, Any], issued: Issued, *, key_pem: bytes | None = None
    ) -> Part:
        report, wanted = Steps(), material(issued, key_pem=key_pem)
        staged: Part = await target.stage(self.slot, material=wanted, report=report)
        undo = self._kind.undo_type.model_validate(staged.model_dump())
        await target.bind(self.slot, undo=undo, report=report)
        await target.verify(self.slot, fingerprint=issued.fingerprint, report=report)
        return undo

    async def deploy(self, issued: Issued) -> None:
        """Do all of it, and tidy up."""
        async with self.opened() as target:
            await target.tidy(undo=await self._forward(target, issued))

    async def restore(self, undo: Part) -> list[str]:
        """Go back; return the steps."""
        report = Steps()
        async with self.opened() as target:
            await target.restore(self.slot, undo=undo, report=report)
        return report.texts

    async def fails(self, issued: Issued, *, key_pem: bytes | None = None) -> DeploymentError:
        """Return how a deployment fails."""
        with pytest.raises(DeploymentError) as caught:
            await self.bind(issued, key_pem=key_pem)
        return caught.value

    async def refuses(self, issued: Issued, failure: Failure) -> str:
        """Fail for this reason; return the words."""
        error = await self.fails(issued)
        assert error.failure is failure, error
        return error.detail
