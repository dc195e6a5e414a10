from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.access import (
    AUDIENCE,
    ROLES,
    Principal,
    PublishedKeys,
    SigningKey,
    TokenSource,
    Verifier,
    base64url,
    known,
    unbase64url,
)
from shared.clock import utc_now
from shared.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from tests.builders import ISSUER, SIGNING_KEY, KnownKey

VERIFIER = Verifier(KnownKey(), issuer=ISSUER)
ALICE = Principal(
    id="1",
    name="alice",
    roles=frozenset({"viewer"}),
    permissions=frozenset({"scans:write"}),
    groups=frozenset({"web"}),
)
MINUTE = timedelta(minutes=1)


def signed(**changes: Any) -> str:
    """Return a token that would be accepted but for the changed claims; None leaves one out."""
    now = utc_now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "1",
        "jti": "1",
        "iat": now,
        "exp": now + MINUTE,
        "groups": [],
    }
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(claims, SIGNING_KEY.private, "EdDSA", headers={"kid": "test", "typ": "at+jwt"})


def token(
    principal: Principal = ALICE, *, key: SigningKey = SIGNING_KEY, lifetime: timedelta = MINUTE
) -> str:
    return key.token(principal, issuer=ISSUER, token_id="1", now=utc_now(), lifetime=lifetime)


ONE_TOKEN = token(lifetime=timedelta(hours=6))


async def refused(text: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        await VERIFIER.verify(text)
    return raised.value.detail


async def test_a_good_token_speaks_for_its_principal():
    assert await VERIFIER.verify(token()) == ALICE
    assert (await VERIFIER.verify(signed())).id == "1"


async def test_the_key_that_secrets_are_sealed_to_comes_through():
    principal = Principal(id="1", name="provisioner", sealing_key=bytes(range(32)))
    assert await VERIFIER.verify(token(principal)) == principal


async def test_an_unsigned_token_is_refused():
    claims = jwt.decode(signed(), options={"verify_signature": False})
    for kid in ("test", ""):
        unsigned = jwt.encode(claims, "", "none", headers={"kid": kid, "typ": "at+jwt"})
        await refused(unsigned)


async def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused():
    public = SIGNING_KEY.private.public_key()
    claims = jwt.decode(signed(), options={"verify_signature": False})
    for secret in (public.public_bytes_raw(), base64url(public.public_bytes_raw()).encode()):
        await refused(jwt.encode(claims, secret, "HS256", headers={"kid": "test", "typ": "at+jwt"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"jti": None},
        {"groups": None},
        {"groups": "web"},
        {"groups": {}},
        {"groups": [""]},
        {"groups": [7]},
        {"roles": "admin"},
        {"permissions": 7},
        {"sub": 7},
        {"exp": datetime.now(UTC) - 2 * MINUTE},
        {"nbf": datetime.now(UTC) + 10 * MINUTE},
        {"iat": datetime.now(UTC) + 10 * MINUTE},
    ],
    # No instants in the names: parallel test runs must collect the same ones.
    ids=lambda changes: " ".join(
        f"{name}={'absent' if v is None else 'other' if isinstance(v, datetime) else v}"
        for name, v in changes.items()
    ),
)
async def test_a_token_with_a_wrong_claim_is_refused(changes: Mapping[str, Any]):
    await refused(signed(**changes))


async def test_clocks_may_differ_by_a_minute():
    await VERIFIER.verify(
        signed(exp=utc_now() - timedelta(seconds=50), nbf=utc_now() + timedelta(seconds=50))
    )


async def test_a_token_of_another_kind_is_refused():
    claims = jwt.decode(signed(), options={"verify_signature": False})
    for kind in ("JWT", "logout+jwt"):
        other = jwt.encode(claims, SIGNING_KEY.private, "EdDSA", headers={"kid": "test", "typ": kind})
        assert "not an access token" in await refused(other)


async def test_a_token_signed_with_an_unknown_key_or_with_anothers_under_our_name_is_refused():
    stranger = Ed25519PrivateKey.generate()
    assert "unknown key" in await refused(token(key=SigningKey(id="stranger", private=stranger)))
    await refused(token(key=SigningKey(id="test", private=stranger)))


@given(st.data())
async def test_a_token_changed_anywhere_is_refused(data: st.DataObject):
    parts = ONE_TOKEN.split(".")
    part = data.draw(st.integers(0, 2))
    raw = bytearray(unbase64url(parts[part]))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << (bit % 8)
    parts[part] = base64url(bytes(raw))
    await refused(".".join(parts))


@given(st.text(max_size=100))
async def test_garbage_is_refused(text: str):
    await refused(text)


async def test_the_reason_for_a_refusal_does_not_repeat_the_token():
    text = signed(aud="another")
    assert text.rsplit(".", maxsplit=1)[-1] not in await refused(text)


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("viewer", {"read"}),
        ("auditor", {"read", "audit"}),
        ("approver", {"read", "approve"}),
        ("operator", {"read", "write"}),
        ("admin", {"read", "write", "approve", "audit", "admin"}),
        ("nobody", set()),
    ],
)
def test_a_role_grants_its_verbs_on_everything_and_no_others(role: str, verbs: set[str]):
    principal = Principal(id="1", name="x", roles=frozenset({role}))
    every = {"read", "write", "approve", "audit", "admin", "release"}
    assert {verb for verb in every if principal.may(f"certificates:{verb}")} == verbs
    assert verbs == ROLES.get(role, frozenset())


def test_no_role_may_take_private_keys():
    everything = Principal(id="1", name="x", roles=frozenset(ROLES))
    assert not everything.may("keys:release")
    assert Principal(id="1", name="x", permissions=frozenset({"keys:release"})).may("keys:release")


def test_a_single_permission_grants_only_itself():
    ALICE.require("scans:write")
    with pytest.raises(Forbidden, match="alice does not have the permission orders:write"):
        ALICE.require("orders:write")


WEB = Principal(id="2", name="bob", roles=frozenset({"operator"}), groups=frozenset({"web", "shop"}))
EVERYTHING = Principal(id="3", name="carol", roles=frozenset({"operator"}))


def test_a_caller_without_groups_sees_everything_and_one_with_groups_only_what_is_in_one_of_them():
    assert EVERYTHING.scope is None
    assert EVERYTHING.sees([])
    assert EVERYTHING.sees(["mail"])
    assert WEB.scope == frozenset({"web", "shop"})
    assert WEB.sees(["mail", "web"])
    assert not WEB.sees(["mail"])
    assert not WEB.sees([])


def test_a_single_permission_is_scoped_like_the_roles():
    assert ALICE.may("scans:write")
    assert not ALICE.sees(["mail"])


def test_what_is_hidden_is_answered_like_what_is_not_there():
    def answer(thing: list[str] | None) -> str:
        with pytest.raises(NotFound) as raised:
            known(WEB.seen(thing, list), what="scan", name="7")
        return str(raised.value)

    assert answer(["mail"]) == answer(None)
    assert known(WEB.seen(["web"], list), what="scan", name="7") == ["web"]


@pytest.mark.parametrize(
    ("caller", "wanted", "before", "groups"),
    [
        (EVERYTHING, [], [], []),
        (EVERYTHING, ["mail"], ["web"], ["mail"]),
        (WEB, [], [], ["web", "shop"]),
        (WEB, ["web"], [], ["web"]),
        (WEB, ["shop"], ["web", "mail"], ["shop", "mail"]),
        (WEB, ["shop", "mail"], ["web", "mail"], ["shop", "mail"]),
        (WEB, [], ["web", "mail"], ["web", "mail"]),
    ],
)
def test_a_caller_with_groups_adds_and_takes_away_none_but_those(
    caller: Principal, wanted: list[str], before: list[str], groups: list[str]
):
    assert caller.grouped(wanted, before=before) == set(groups)


def test_nobody_puts_anything_into_a_group_that_is_not_theirs():
    with pytest.raises(Forbidden, match="into mail"):
        WEB.grouped(["web", "mail"])


class Jwks:
    """A document of published keys that counts how often it is fetched."""

    def __init__(self, *keys: Mapping[str, str]) -> None:
        self.keys = list(keys)
        self.is_down = False
        self.fetched = 0

    async def fetch(self) -> Mapping[str, Any]:
        self.fetched += 1
        await anyio.sleep(0.01)
        if self.is_down:
            raise Unavailable("Inventory is away.", next_step="Wait.")
        return {"keys": list(self.keys)}


def another_key(key_id: str) -> SigningKey:
    return SigningKey(id=key_id, private=Ed25519PrivateKey.generate())


async def test_published_keys_are_fetched_when_first_needed_and_then_kept():
    jwks = Jwks(SIGNING_KEY.jwk())
    keys = PublishedKeys(jwks.fetch)
    assert jwks.fetched == 0
    for _ in range(3):
        assert await keys.key("test") == SIGNING_KEY.private.public_key()
    assert jwks.fetched == 1


async def test_an_unknown_key_is_looked_for_again_but_not_more_often_than_allowed():
    jwks = Jwks(SIGNING_KEY.jwk())
    keys = PublishedKeys(jwks.fetch, at_most_every=timedelta(milliseconds=200))
    await keys.key("test")
    new = another_key("new")
    jwks.keys.append(new.jwk())
    for _ in range(20):
        assert await keys.key("new") is None
    assert jwks.fetched == 1
    await anyio.sleep(0.25)
    assert await keys.key("new") == new.private.public_key()
    assert jwks.fetched == 2


async def test_requests_that_come_together_wait_for_one_fetch():
    jwks = Jwks(SIGNING_KEY.jwk())
    keys = PublishedKeys(jwks.fetch)
    found = []

    async def ask() -> None:
        found.append(await keys.key("test"))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
    assert found == [SIGNING_KEY.private.public_key()] * 10
    assert jwks.fetched == 1


async def test_while_the_document_is_not_to_be_had_tokens_are_not_called_wrong():
    jwks = Jwks(SIGNING_KEY.jwk())
    keys = PublishedKeys(jwks.fetch)
    jwks.is_down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keys.key("test")
    jwks.is_down = False
    assert await keys.key("test") is not None


async def test_keys_of_other_kinds_may_stand_beside_ours():
    jwks = Jwks({"kty": "EC", "crv": "P-256", "kid": "other", "x": "AA", "y": "AA"}, SIGNING_KEY.jwk())
    keys = PublishedKeys(jwks.fetch, at_most_every=timedelta(0))
    assert await keys.key("test") is not None
    assert await keys.key("other") is None


@pytest.mark.parametrize(
    "document", [{}, {"keys": 1}, {"keys": [1]}, {"keys": [{"crv": "Ed25519", "kid": "a"}]}]
)
async def test_a_document_that_cannot_be_read_is_an_outage(document: Mapping[str, Any]):
    async def fetch() -> Mapping[str, Any]:
        return document

    with pytest.raises(Unavailable):
        await PublishedKeys(fetch).key("a")


async def test_a_services_own_token_is_exchanged_again_before_it_ends():
    numbers = count(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async def exchange() -> tuple[str, datetime]:
        number = next(numbers)
        return f"token {number}", start + number * timedelta(minutes=10)

    source = TokenSource(exchange)
    minutes = [0, 7, 9, 15]
    tokens = [await source.token(now=start + timedelta(minutes=minute)) for minute in minutes]
    assert tokens == ["token 1", "token 1", "token 2", "token 2"]


@given(st.binary(max_size=100))
def test_base64url_comes_back_and_has_no_padding(data: bytes):
    assert unbase64url(base64url(data)) == data
    assert not set(base64url(data)) & set("=+/")


class Changing:
    """Published keys that may be changed, and tokens that may be withdrawn."""

    def __init__(self) -> None:
        self.public: Any = SIGNING_KEY.private.public_key()
        self.asked = 0
        self.is_withdrawn = False

    async def key(self, key_id: str) -> Any:
        self.asked += 1
        return self.public

    async def is_void(self, principal_id: str, *, issued_at: datetime) -> bool:
        return self.is_withdrawn


async def test_a_token_that_is_sent_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch):
    verifier, text = Verifier(KnownKey(), issuer=ISSUER), token()
    first = await verifier.verify(text)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("it is read a second time"))
    assert await verifier.verify(text) is first
    monkeypatch.undo()
    with pytest.raises(Unauthenticated):
        await verifier.verify(text[:-4] + "AAAA")


async def test_a_token_that_was_good_is_refused_once_it_is_withdrawn_or_its_key_is_another():
    keys = Changing()
    verifier, text = Verifier(keys, issuer=ISSUER).refusing(keys), token()
    await verifier.verify(text)
    keys.is_withdrawn = True
    with pytest.raises(Unauthenticated, match="has changed since"):
        await verifier.verify(text)
    keys.is_withdrawn = False
    await verifier.verify(text)
    for other in (Ed25519PrivateKey.generate().public_key(), None):
        keys.public = other
        with pytest.raises(Unauthenticated):
            await verifier.verify(text)


class _Later(datetime):
    """The clock of the library an hour on."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(hours=1)


async def test_a_token_that_was_good_is_refused_once_it_has_ended(monkeypatch: pytest.MonkeyPatch):
    verifier = Verifier(KnownKey(), issuer=ISSUER)
    text = token()
    await verifier.verify(text)
    later = utc_now().timestamp() + 3600
    monkeypatch.setattr("time.time", lambda: later)
    monkeypatch.setattr(jwt.api_jwt, "datetime", _Later)
    with pytest.raises(Unauthenticated):
        await verifier.verify(text)


async def test_only_so_many_tokens_are_remembered_and_none_of_them_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.access.REMEMBERED", 3)
    verifier = Verifier(KnownKey(), issuer=ISSUER)
    texts = [signed(jti=str(number)) for number in range(5)]
    for text in texts:
        await verifier.verify(text)
    assert len(verifier._remembered) == 3
    assert not any(text.encode() in verifier._remembered for text in texts)
