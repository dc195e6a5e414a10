"""How targets are reached: their credentials, sealed in their rows and opened for one piece of work."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from services.provisioner import store
from services.provisioner.connectors import Access, Limits, Mailbox, SshAccess, TargetCredential
from services.provisioner.connectors.registry import Kind, target_kind
from shared.documents import read_document, revealed
from shared.outbound import Policy
from shared.sealing import Sealer
from shared.ssh import Credential, Reach, refuse_unreadable

SEE_KINDS = "See GET /v1/target-kinds for what this kind of target takes."
Document = Mapping[str, Any]
"""Options, a slot or a credential as JSON, whose shape the kind of target knows."""


class Accesses:
    """Seals and opens credentials."""

    def __init__(
        self,
        sealer: Sealer,
        *,
        limits: Limits,
        policy: Policy | None = None,
        reach: Reach | None = None,
        agent: str | None = None,
        pod_account: bool = False,
        mailbox: Callable[[str], Mailbox] | None = None,
    ) -> None:
        """`policy` says which addresses APIs may have, `reach` which hosts may be logged into (None for any).

        `agent` is the socket of the ssh-agent that credentials may name; `mailbox` opens that of a target, by its id.
        """
        self._mailbox = mailbox
        self.limits = limits
        self.reach = reach
        self._policy = policy or Policy()
        self._agent = agent
        self._pod_account = pod_account
        self._sealer = sealer

    def of(self, target: store.Target) -> Access:
        """Return how the target is reached, its credential opened. Raises `CannotOpen`."""
        credential = target_kind(target.kind).credential_type.model_validate(self.credential_of(target))
        return Access(
            credential=credential,
            limits=self.limits,
            policy=self._policy,
            ssh=self._ssh(target, credential),
            mailbox=self._mailbox(target.id) if self._mailbox is not None else None,
            pod_account=self._pod_account,
        )

    def _ssh(self, target: store.Target, credential: BaseModel) -> SshAccess | None:
        if target.host is None or target.port is None or target.username is None or target.host_key is None:
            return None
        passwords = credential.store_passwords if isinstance(credential, TargetCredential) else ()
        return SshAccess(
            host=target.host,
            port=target.port,
            username=target.username,
            host_key=target.host_key,
            agent=self._agent,
            reach=self.reach,
            store_passwords=[each.get_secret_value() for each in passwords],
        )

    def credential_of(self, target: store.Target) -> dict[str, Any]:
        """Return the credential of a target as JSON, its secrets in clear. Raises `CannotOpen`."""
        opened: dict[str, Any] = json.loads(self._sealer.open(target.credential, row=_row(target.id)))
        return opened

    def seal(self, kind: Kind, credential: Document, *, target_id: str) -> bytes:
        """Return the credential for the target's row. Raises `Invalid` where it cannot be used."""
        read = read_document(kind.credential_type, credential, at="credential", next_step=SEE_KINDS)
        if isinstance(read, Credential):
            refuse_unreadable(read)
        return self._sealer.seal(json.dumps(revealed(read)).encode(), row=_row(target_id))


def where(target: store.Target) -> str:
    """Return how a target is reached, in words for a person."""
    if target.host is not None:
        return f"{target.host}:{target.port} as {target.username}"
    return str(target.options.get("url", target.kind))


def _row(target_id: str) -> str:
    return f"provisioner/targets/{target_id}/credential"
