"""A receiver of signed messages, which puts certificates in place by itself, and says when it has.

Messages are signed as Standard Webhooks has it (https://www.standardwebhooks.com). Each is sent until it is answered, with
the same `webhook-id`, so that a receiver may do it once:

* `target.test`: nothing is to be done; a success says that the signature is good.
* `certificate.deploy`: put this chain and key in place, and keep what was there.
* `certificate.restore`: put back what was there before that delivery.
* `certificate.settle`: that delivery is over; what was kept for a way back may go.

An answer of 200 says that it is done, 202 that it will be (the message comes again, after `Retry-After`), and
`{"status": "failed", "reason": …}` with 200, or any 4xx, that it cannot be.
"""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, ClassVar, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.pairs import Pair, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.connectors.web import failures, plain_api
from services.provisioner.domain import DeploymentError, Failure, Material, NotYet
from shared.clock import utc_now
from shared.ids import new_id
from shared.sealing import seal_to
from shared.web import Answer, WebApi, refuse_other_than_success
from shared.webhooks import key_of, signed

_KEY = 32
_AGAIN = timedelta(seconds=30)
_SOONEST, _LATEST = timedelta(seconds=1), timedelta(hours=1)
_ACCEPTED = range(200, 500)
Kind = Literal["certificate.deploy", "certificate.restore", "certificate.settle"]


class WebhookOptions(Part):
    """Where to, whom to trust there, and how the private key travels."""

    url: str = Field(
        pattern=r"^https://[^\s/?#@]+(/[^\s?#]*)?$",
        max_length=2000,
        examples=["https://deploy.example.com/everleaf"],
    )
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots."
    )
    key_delivery: Literal["sealed", "tls"] = Field(
        "sealed",
        description="`sealed`: encrypted to `sealing_key` by HPKE, whatever terminates TLS on the way; `tls`: as it is, in TLS.",
    )
    sealing_key: str | None = Field(
        None,
        description="The receiver's raw X25519 public key in base64 (RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM).",
        examples=["hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="],
    )
    patience: int = Field(
        24, ge=1, le=24 * 30, description="Hours that the receiver may take until it says that it is done."
    )

    @field_validator("sealing_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None and len(_decoded(value)) != _KEY:
            msg = "write the 32 bytes of an X25519 public key in base64"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.key_delivery == "sealed") != (self.sealing_key is not None):
            msg = "sealed needs a sealing_key, and tls takes none"
            raise ValueError(msg)
        return self


class WebhookCredential(BaseModel):
    """What messages are signed with; the receiver has the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signing_secret: SecretStr = Field(
        description="`whsec_` and 24 to 64 random bytes in base64.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )

    @field_validator("signing_secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        key_of(value)
        return value


class WebhookSlot(Slot):
    """What the receiver calls the place."""

    name: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._/-]*$", max_length=200, examples=["kiosk-17/web"])

    @property
    def key(self) -> str:
        """Return the name."""
        return self.name


class WebhookUndo(Part):
    """The new pair, and under which id it is delivered."""

    delivery: str
    slot: str
    begun_at: datetime
    new: Pair


class Webhook:
    """A receiver."""

    kind: ClassVar[str] = "webhook"
    summary: ClassVar[str] = (
        "A receiver of signed messages (Standard Webhooks), which puts certificates in place itself."
    )
    options_type: ClassVar[type[Part]] = WebhookOptions
    credential_type: ClassVar[type[BaseModel]] = WebhookCredential
    # The secret itself is never sent; but who moves the address would get the keys, and so must know a secret anew.
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "trusted_ca", "key_delivery", "sealing_key"})
    slot_type: ClassVar[type[Slot]] = WebhookSlot
    undo_type: ClassVar[type[Part]] = WebhookUndo

    def __init__(self, api: WebApi, options: WebhookOptions, *, key: bytes) -> None:
        self._api = api
        self._options = options
        self._key = key

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: WebhookOptions) -> AsyncIterator[Self]:
        """Send a test, which a receiver that knows the secret answers with a success."""
        secret = cast("WebhookCredential", access.credential).signing_secret
        parts = urlsplit(options.url)
        async with plain_api(
            access, f"{parts.scheme}://{parts.netloc}", trusted_ca=options.trusted_ca
        ) as api:
            receiver = cls(api, options, key=key_of(secret))
            # The private key is asked for only when the receiver is there and knows the secret.
            await receiver.test(step="connect")
            yield receiver

    async def check(self) -> Sequence[Check]:
        """Nothing can be tried but what was tried already."""
        return [Check(name="receiver", ok=True, text="The receiver took a signed test.")]

    async def test(self, *, step: str) -> None:
        """Send a test."""
        answer = await self._post("target.test", new_id(), {}, step=step)
        with failures(step):
            refuse_other_than_success(answer, self._path)

    @classmethod
    def plan(
        cls,
        slot: WebhookSlot,
        *,
        options: WebhookOptions,
        coming: Coming,  # noqa: ARG003 - the receiver names what it keeps
    ) -> Sequence[PlannedStep]:
        """Say which messages would be sent."""

        def message(kind: Kind) -> PlannedCall:
            return PlannedCall(request=f"POST {urlsplit(options.url).path or '/'}", about=kind)

        how = "sealed" if options.sealing_key is not None else "as it is, in TLS"
        text = f"Send chain and key ({how}), until the receiver says that {slot.name} holds them."
        return in_steps(
            stage=PlannedStep(step="stage", text="Give the delivery an id."),
            bind=(PlannedStep(step="bind", text=text, calls=(message("certificate.deploy"),)),),
            read_back=f"Nothing of {slot.name} can be read.",
            tidy=(message("certificate.settle"),),
        )

    async def stage(self, slot: WebhookSlot, *, material: Material, report: Report) -> WebhookUndo:
        """Give the delivery an id; the receiver gets it when it is bound."""
        delivery = new_id()
        report("stage", f"It is delivered as {delivery}.")
        return WebhookUndo(delivery=delivery, slot=slot.name, begun_at=utc_now(), new=pair_of(material))

    async def bind(self, slot: WebhookSlot, *, undo: WebhookUndo, report: Report) -> None:
        """Send chain and key, until the receiver says that they are in place."""
        data = {
            "fingerprint": undo.new.fingerprint,
            "chain": undo.new.chain,
            **self._travelling(undo.new, delivery=undo.delivery),
        }
        await self._tell("certificate.deploy", undo, data, step="bind")
        report("bind", f"The receiver says that {slot.name} holds the new certificate.")

    async def verify(self, slot: WebhookSlot, *, fingerprint: str, report: Report) -> None:
        """Take the receiver's word; whether it is so is seen on the wire."""
        report("read back", f"Nothing of {slot.name} can be read: {fingerprint} is looked for on the wire.")

    async def restore(self, slot: WebhookSlot, *, undo: WebhookUndo, report: Report) -> None:
        """Have the receiver put back what was there before this delivery."""
        await self._tell("certificate.restore", undo, {"fingerprint": undo.new.fingerprint}, step="restore")
        report("restore", f"The receiver says that {slot.name} is as before.")

    async def clear(self, slot: WebhookSlot) -> None:
        """The receiver has heard of nothing."""

    async def tidy(self, *, undo: WebhookUndo) -> None:
        """Say that the delivery is over."""
        await self._tell("certificate.settle", undo, {"fingerprint": undo.new.fingerprint}, step="tidy")

    @property
    def _path(self) -> str:
        return urlsplit(self._options.url).path or "/"

    def _travelling(self, pair: Pair, *, delivery: str) -> dict[str, str]:
        if self._options.sealing_key is None:
            return {"private_key": pair.private_pem}
        purpose = f"everleaf private key {delivery}"
        sealed = seal_to(_decoded(self._options.sealing_key), pair.private_pem.encode(), purpose=purpose)
        return {"sealed_private_key": base64.b64encode(sealed).decode(), "purpose": purpose}

    async def _tell(self, kind: Kind, undo: WebhookUndo, data: dict[str, Any], *, step: str) -> None:
        """Send a message. Raises `NotYet` where the receiver takes its time, and `DeploymentError`."""
        message_id = f"{undo.delivery}-{kind.rpartition('.')[2]}"
        told = {"delivery": undo.delivery, "slot": undo.slot, **data}
        answer = await self._post(kind, message_id, told, step=step)
        status, reason = _said(answer)
        if answer.status == HTTPStatus.ACCEPTED or status == "later":
            self._wait(undo, answer, step=step)
        with failures(step):
            refuse_other_than_success(answer, self._path)
        if status == "failed":
            raise DeploymentError(Failure.REJECTED, f"The receiver says: {reason or 'no reason'}", step=step)

    async def _post(self, kind: str, message_id: str, data: dict[str, Any], *, step: str) -> Answer:
        now = utc_now()
        document = {"type": kind, "timestamp": now.isoformat(), "data": data}
        content = json.dumps(document, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        headers |= signed(content, message_id=message_id, key=self._key, now=now)
        with failures(step):
            return await self._api.ask(
                "POST", self._path, accepted=_ACCEPTED, content=content, headers=headers
            )

    def _wait(self, undo: WebhookUndo, answer: Answer, *, step: str) -> None:
        if step != "restore" and utc_now() - undo.begun_at > timedelta(hours=self._options.patience):
            text = f"The receiver did not say within {self._options.patience} h that it is done."
            raise DeploymentError(Failure.NOT_FETCHED, text, step=step)
        header = answer.headers.get("retry-after", "")
        seconds = timedelta(seconds=int(header[:9])) if header.isascii() and header.isdigit() else _AGAIN
        raise NotYet(f"The receiver takes its time ({step}).", again=min(max(seconds, _SOONEST), _LATEST))


def _said(answer: Answer) -> tuple[str | None, str | None]:
    """Return status and reason that an answer may hold."""
    try:
        told = json.loads(answer.body or b"{}")
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(told, dict):
        return None, None
    reason = " ".join(str(told.get("reason") or "").split())
    return str(told.get("status") or "") or None, reason[:300] or None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
