"""How targets are reached: their credentials, sealed in their rows and opened for one piece of work."""

import json

from services.provisioner import store
from services.provisioner.connectors import Access, Limits, TargetCredential
from shared.documents import revealed
from shared.sealing import Sealer
from shared.ssh import Credential, refuse_unreadable


class Accesses:
    """Seals and opens credentials."""

    def __init__(self, sealer: Sealer, *, limits: Limits, agent: str | None = None) -> None:
        """`agent` is the socket of the ssh-agent that credentials may name."""
        self.limits = limits
        self._agent = agent
        self._sealer = sealer

    def of(self, target: store.Target) -> Access:
        """Return how the target is reached, its credential opened. Raises `CannotOpen`."""
        credential = self.credential_of(target)
        return Access(
            host=target.host,
            port=target.port,
            username=target.username,
            host_key=target.host_key,
            credential=credential,
            limits=self.limits,
            agent=self._agent,
            store_passwords=[each.get_secret_value() for each in credential.store_passwords],
        )

    def credential_of(self, target: store.Target) -> TargetCredential:
        """Return the credential of a target, opened. Raises `CannotOpen`."""
        opened = self._sealer.open(target.credential, row=_row(target.id))
        return TargetCredential.model_validate_json(opened)

    def seal(self, credential: Credential, *, target_id: str) -> bytes:
        """Return the credential for the target's row. Raises `Invalid` where it cannot be used."""
        refuse_unreadable(credential)
        return self._sealer.seal(json.dumps(revealed(credential)).encode(), row=_row(target_id))


def _row(target_id: str) -> str:
    return f"provisioner/targets/{target_id}/credential"
