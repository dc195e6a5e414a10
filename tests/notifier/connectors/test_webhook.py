"""Webhooks: the signature, as somebody else would check it, and what each answer means."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.notifier.connectors import Delivered, Later, Never, Progress, Sent
from services.notifier.connectors.web import retry_after
from services.notifier.connectors.webhook import LIMIT, Options, Secrets, Webhook
from services.notifier.domain.alerts import Details
from services.notifier.domain.notices import Turn
from shared.webhooks import signed
from tests.notifier.notices import notice
from tests.notifier.workshop import KEY, NOON, SIGNING_SECRET, network
from tests.servers.webhook import Answer, Request
from tests.servers.webhook import Webhook as Receiver


def channel(receiver: Receiver, path: str = "/everleaf") -> Webhook:
    """Return a channel to the receiver."""
    secrets = Secrets.model_validate({"signing_secret": SIGNING_SECRET})
    return Webhook.open(Options(url=receiver.url + path), secrets=secrets, network=network())


async def send(to: Webhook, *, now: datetime = NOON, **other: Any) -> Sent:
    """Send a notice."""
    return await to.send(notice(**other), progress=Progress(), now=now)


def verify(request: Request, *, secret: str) -> dict[str, Any]:
    """Check a request as the specification tells receivers to, and return what it says."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = b".".join(
        [request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body]
    )
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    versions = [part.split(",", 1) for part in request.headers["webhook-signature"].split(" ")]
    assert ["v1", expected] in versions
    return dict(json.loads(request.body))


def test_the_signature_is_that_of_the_published_example() -> None:
    # The example of the Standard Webhooks reference libraries.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        key=key,
        now=datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_receiver_can_verify_what_it_gets(webhook: Receiver) -> None:
    assert isinstance(await send(channel(webhook)), Delivered)
    (request,) = webhook.requests
    document = verify(request, secret=SIGNING_SECRET)
    assert (request.method, request.path) == ("POST", "/everleaf")
    assert request.headers["content-type"] == "application/json"
    assert set(document) == {"type", "timestamp", "data"}
    assert document["type"] == "alert.opened"
    assert document["data"]["summary"] == "www.example.test expires in 3 days"
    with pytest.raises(AssertionError):
        verify(request, secret="whsec_" + base64.b64encode(KEY[::-1]).decode())


async def test_a_second_try_has_the_same_id_and_body_and_a_fresh_timestamp(webhook: Receiver) -> None:
    webhook.answer(Answer(status=500))
    to = channel(webhook)
    await send(to)
    await send(to, now=NOON + timedelta(minutes=5))
    first, second = webhook.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 300
    verify(second, secret=SIGNING_SECRET)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_delivered(webhook: Receiver, status: int) -> None:
    webhook.default = Answer(status=status) if status != 299 else Answer(status=226)
    assert isinstance(await send(channel(webhook)), Delivered)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
async def test_other_answers_are_later(webhook: Receiver, status: int) -> None:
    webhook.default = Answer(status=status)
    sent = await send(channel(webhook))
    assert isinstance(sent, Later)
    assert str(status) in sent.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(webhook: Receiver, status: int) -> None:
    webhook.answer(Answer(status=status, headers={"location": f"{webhook.url}/elsewhere"}))
    sent = await send(channel(webhook))
    assert isinstance(sent, Later)
    assert "not followed" in sent.reason
    assert [request.path for request in webhook.requests] == ["/everleaf"]


async def test_410_is_never_and_for_good(webhook: Receiver) -> None:
    webhook.default = Answer(status=410)
    sent = await send(channel(webhook))
    assert isinstance(sent, Never)
    assert sent.is_gone


async def test_the_wait_that_is_asked_for_is_passed_on(webhook: Receiver) -> None:
    webhook.default = Answer(status=429, headers={"retry-after": "120"})
    sent = await send(channel(webhook))
    assert isinstance(sent, Later)
    assert sent.retry_after == timedelta(minutes=2)


async def test_a_receiver_that_hangs_up_is_later(webhook: Receiver) -> None:
    webhook.default = Answer(hang_up=True)
    assert isinstance(await send(channel(webhook)), Later)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None),
        ("7", timedelta(seconds=7)),
        ("Mon, 23 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", timedelta()),
        ("soon", None),
        ("-5", None),
        ("9" * 5000, timedelta(seconds=999_999_999)),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_an_error(
    header: str | None, wait: timedelta | None
) -> None:
    assert retry_after(header, now=NOON) == wait


async def test_a_body_stays_under_the_limit_and_counts_what_was_cut(webhook: Receiver) -> None:
    details = Details(
        names=tuple(f"{'n' * 240}{number}" for number in range(200)),
        places=tuple(f"{'p' * 240}{number}" for number in range(200)),
        place_count=5000,
        reason="r" * 1000,
    )
    await send(channel(webhook), details=details, turn=Turn.RAISED)
    (request,) = webhook.requests
    assert len(request.body) <= LIMIT
    data = verify(request, secret=SIGNING_SECRET)["data"]
    assert data["place_count"] == 5000
    assert 0 < len(data["places"]) < 200


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.test/",
        "ftp://hooks.example.test/",
        "https://user:secret@hooks.example.test/",
        "https:///path",
        "hooks.example.test",
        "http://localhost.evil.test/",
    ],
)
def test_a_url_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Options(url=url)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!",
        "whsec_" + base64.b64encode(b"short").decode(),
        base64.b64encode(KEY).decode(),
    ],
)
def test_a_weak_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as refusal:
        Secrets.model_validate({"signing_secret": secret})
    assert not secret or f"'{secret}'" not in str(refusal.value), "pydantic quotes what it refuses by default"


# Ed25519 and rotation


SEED = bytes(range(32, 64))
PRIVATE = "whsk_" + base64.b64encode(SEED).decode()


def opened(receiver: Receiver, **secrets: str) -> Webhook:
    return Webhook.open(Options(url=receiver.url), secrets=Secrets.model_validate(secrets), network=network())


async def test_an_ed25519_signature_is_checked_with_the_public_key_alone(webhook: Receiver) -> None:
    assert isinstance(await send(opened(webhook, signing_secret=PRIVATE)), Delivered)
    (request,) = webhook.requests
    version, _, signature = request.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    public.verify(base64.b64decode(signature), head + request.body)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), head + request.body + b" ")


@pytest.mark.parametrize("present", [PRIVATE, "whsec_" + base64.b64encode(SEED).decode()])
async def test_while_a_secret_is_changed_receivers_of_either_can_verify(
    webhook: Receiver, present: str
) -> None:
    await send(opened(webhook, signing_secret=present, previous_secret=SIGNING_SECRET))
    (request,) = webhook.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    verify(request, secret=SIGNING_SECRET)
    if present.startswith("whsec_"):
        verify(request, secret=present)


def test_a_private_key_of_another_length_is_refused() -> None:
    short = "whsk_" + base64.b64encode(b"short").decode()
    with pytest.raises(ValueError, match="Ed25519"):
        Secrets.model_validate({"signing_secret": short})
