"""What several tests build: the surroundings of a service, and tokens its verifier takes."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.access import Principal, SigningKey, Verifier
from shared.bus import Bus
from shared.bus.sqlite import SqliteBus
from shared.clock import Clock, utc_now
from shared.ids import new_id
from shared.outbound import Policy
from shared.pkcs11 import Token
from shared.sealing import KeyEncryptionKey, Sealer
from shared.service import Endpoint, Siblings, Surroundings
from shared.settings import SettingsSource

ISSUER = "https://everleaf.test"
SIGNING_KEY = SigningKey(id="test", private=Ed25519PrivateKey.generate())
LOOPBACK = ("127.0.0.0/8", "::1/128")


class KnownKey:
    """The key source of a verifier that trusts the test's signing key."""

    async def key(self, key_id: str) -> Ed25519PublicKey | None:
        """Return the public key, where it is asked for by its id."""
        return SIGNING_KEY.private.public_key() if key_id == SIGNING_KEY.id else None


class NoSiblings:
    """Siblings that are not there: every request to one is refused."""

    def open(
        self, name: str, *, caller: str, api_key: str | None, sealing_key: bytes | None = None
    ) -> httpx.AsyncClient:
        """Return a client that reaches nobody."""

        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"there is no {name} here", request=request)

        return httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url=f"http://{name}")


def surroundings(
    data_dir: Path,
    *,
    environ: Mapping[str, str] | None = None,
    bus: Bus | None = None,
    clock: Clock = utc_now,
    siblings: Siblings | None = None,
    own_servers: tuple[Endpoint, ...] = (),
    token: Token | None = None,
) -> Surroundings:
    """Return what a process hands to a service; loopback may be reached, and other services may not."""
    return Surroundings(
        settings=SettingsSource(environ=environ or {}),
        data_dir=data_dir,
        bus=bus or SqliteBus(data_dir / "bus.db"),
        clock=clock,
        sealer=Sealer([KeyEncryptionKey(b"k" * 32)]),
        verifier=Verifier(KnownKey(), issuer=ISSUER),
        token_issuer=ISSUER,
        outbound=Policy(allow=LOOPBACK),
        siblings=siblings or NoSiblings(),
        retry_after=(timedelta(milliseconds=50), timedelta(milliseconds=100)),
        own_servers=own_servers,
        token=token,
    )


def bearer(
    *roles: str,
    permissions: frozenset[str] = frozenset(),
    groups: Collection[str] = (),
    name: str = "tester",
) -> dict[str, str]:
    """Return the headers of a caller with these roles and permissions, in these groups."""
    principal = Principal(
        id=name, name=name, roles=frozenset(roles), permissions=permissions, groups=frozenset(groups)
    )
    token = SIGNING_KEY.token(
        principal, issuer=ISSUER, token_id=new_id(), now=utc_now(), lifetime=timedelta(hours=6)
    )
    return {"Authorization": f"Bearer {token}"}
