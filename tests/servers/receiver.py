"""A receiver of our deployments by signed messages, as somebody would write it from the how-to.

It checks the signature as Standard Webhooks says, by itself; does each message once, by its `webhook-id`; opens the private
key where that is sealed to it; refuses a key that is not the certificate's; and keeps what was there until a delivery is
settled or taken back.
"""

import base64
import hmac
import ssl
import time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.servers.api import Api, Asked, Told

Pair = tuple[bytes, bytes]
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Receiver:
    """Holds one pair for each slot."""

    def __init__(self, *, context: ssl.SSLContext, secret: bytes) -> None:
        self.api = Api(self._answer, context=context)
        self.held: dict[str, Pair] = {}
        self.kept: dict[str, Pair | None] = {}
        """What was there before a delivery."""
        self.key = X25519PrivateKey.generate()
        self.told: list[str] = []
        """The messages that were done, in their order."""
        self.is_slow = 0
        """How often it says that it takes its time."""
        self.refuses: str | None = None
        """Why it puts nothing in place."""
        self.denies = False
        self._secret = secret
        self._answers: dict[str, Told] = {}

    @property
    def public_key(self) -> str:
        """What private keys are sealed to."""
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def _answer(self, asked: Asked) -> Told:
        message_id, stamp = asked.headers.get("webhook-id", ""), asked.headers.get("webhook-timestamp", "0")
        signed = hmac.digest(self._secret, f"{message_id}.{stamp}.".encode() + asked.body, "sha256")
        expected = f"v1,{base64.b64encode(signed).decode()}"
        is_fresh = abs(time.time() - int(stamp)) < 300
        if asked.headers.get("webhook-signature") != expected or not is_fresh:
            return Told(status=401, document={"message": "the signature is not good"})
        if message_id in self._answers:
            return self._answers[message_id]
        answer = self._do(asked.json["type"], asked.json["data"])
        if answer.status != 202:
            self._answers[message_id] = answer
        return answer

    def _do(self, kind: str, data: dict[str, Any]) -> Told:
        if kind == "target.test":
            return Told(status=204)
        if self.is_slow:
            self.is_slow -= 1
            return Told(status=202, headers={"Retry-After": "5"})
        if kind == "certificate.deploy":
            return self._deploy(data)
        if kind == "certificate.restore":
            before = self.kept.pop(data["delivery"], self.held.get(data["slot"]))
            if before is None:
                self.held.pop(data["slot"], None)
            else:
                self.held[data["slot"]] = before
        else:
            self.kept.pop(data["delivery"], None)
        self.told.append(kind)
        return Told(document={"status": "done"})

    def _deploy(self, data: dict[str, Any]) -> Told:
        if self.denies:
            return Told(status=403, document={"message": "deployments are not permitted"})
        if self.refuses is not None:
            return Told(document={"status": "failed", "reason": self.refuses})
        chain, key = data["chain"].encode(), self._key(data)
        leaf = x509.load_pem_x509_certificates(chain)[0]
        if load_pem_private_key(key, None).public_key() != leaf.public_key():
            return Told(document={"status": "failed", "reason": "the key is not the certificate's"})
        self.kept[data["delivery"]] = self.held.get(data["slot"])
        self.held[data["slot"]] = (chain, key)
        self.told.append("certificate.deploy")
        return Told(document={"status": "done"})

    def _key(self, data: dict[str, Any]) -> bytes:
        if "private_key" in data:
            return str(data["private_key"]).encode()
        sealed = base64.b64decode(data["sealed_private_key"])
        return _SUITE.decrypt(sealed, self.key, data["purpose"].encode())
