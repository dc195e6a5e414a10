"""The bench of a receiver of signed messages, written from the how-to, with a listener that serves what it holds."""

import base64
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from services.provisioner.connectors.webhook import Webhook
from services.provisioner.domain import Failure, State
from tests.conformance.targets import apis
from tests.conformance.targets.bench import NAME, Bench, Fault, Fixtures, Outcome, Row
from tests.servers.receiver import Receiver
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued

SECRET = b"a signing secret of 32 bytes ..."
SLOT = "kiosk-17/web"


def whsec(secret: bytes) -> str:
    """Return a signing secret as people write it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    ca, folder = CertificateAuthority("receiver"), Path(fixtures("tmp_path"))
    receiver = Receiver(context=ca.issue(*LOOPBACK).server_context(folder / "receiver"), secret=SECRET)
    old: Issued = fixtures("lab_ca").issue(NAME)
    receiver.held[SLOT] = (old.chain_pem, old.key_pem)
    with ExitStack() as stack:
        receiver.api.start()
        stack.callback(receiver.api.stop)
        front = stack.enter_context(apis.front(lambda: receiver.held.get(SLOT)))

        def held() -> str:
            assert not receiver.kept
            return front.held()

        yield Bench(
            target={
                "kind": Webhook.kind,
                "credential": {"signing_secret": whsec(SECRET)},
                "options": {
                    "url": f"{receiver.api.url}/everleaf",
                    "trusted_ca": ca.pem.decode(),
                    "sealing_key": receiver.public_key,
                },
            },
            slot={"name": SLOT},
            endpoint=front.endpoint,
            present=held,
            breaks={
                Fault.IMPOSTOR: apis.impostor(),
                Fault.CREDENTIAL: apis.credential({"signing_secret": whsec(b"somebody else's " * 2)}),
                Fault.PERMISSION: apis.between(
                    lambda: setattr(receiver, "denies", True), lambda: setattr(receiver, "denies", False)
                ),
                Fault.REFUSED: apis.between(
                    lambda: setattr(receiver, "refuses", "the server does not start with it"),
                    lambda: setattr(receiver, "refuses", None),
                ),
                Fault.NO_EFFECT: front.stuck,
            },
            upstream=("127.0.0.1", receiver.api.port),
            through=apis.through("url", "https://localhost:{}/everleaf".format),
        )


ROWS = {
    Webhook.kind: Row(
        kind=Webhook,
        server="a receiver written from the how-to",
        open=_opened,
        senseless=apis.SENSELESS,
        otherwise={
            Fault.IMPOSTOR: apis.IMPOSTOR,
            Fault.REFUSED: apis.REJECTED,
            Fault.PERMISSION: Outcome(state=State.RESTORED, failure=Failure.PERMISSION_DENIED),
        },
        cuts=(6, 10),
    )
}
