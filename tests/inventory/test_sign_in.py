"""People sign in through an OpenID provider: a real one (Glewlwyd), and one that lies in every way it can."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlmodel import col

from services.inventory.actions.access import Access
from services.inventory.actions.principals import Principals
from services.inventory.actions.signing_in import PATIENCE, Provider, SigningIn
from services.inventory.connectors.openid import Client, OpenIdProvider
from services.inventory.domain import sign_in
from services.inventory.domain.sign_in import Person, RightsRule, checked_return
from services.inventory.service import NAME, SCHEMA, build
from services.inventory.settings import InventorySettings
from services.inventory.store.tables import PrincipalRow
from shared.access import PublishedKeys, Verifier
from shared.clock import utc_now
from shared.errors import Forbidden, Invalid, Refused, Unauthenticated
from shared.sealing import KeyEncryptionKey, Sealer
from shared.service import Service
from shared.store import Database
from shared.void_tokens import VoidTokens
from tests.builders import ISSUER as OURS
from tests.builders import surroundings
from tests.inventory.ledger import DAY, HOUR
from tests.servers.glewlwyd import Glewlwyd
from tests.servers.tls import CertificateAuthority

REDIRECT = "https://everleaf.test/inventory/v1/login/callback"
ISSUER = "https://login.test"
RULES = ("pki=admin@*", "web=operator+approver@web+shop")
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


# What the provider's word means


def test_a_rule_says_everything_it_gives():
    assert RightsRule.parse("CN=pki,OU=x=admin+auditor@web+shop") == RightsRule(
        value="CN=pki,OU=x", roles=("admin", "auditor"), groups=("web", "shop")
    )
    assert RightsRule.parse("pki=admin@*").groups == ()
    for text in (
        "pki=admin",
        "pki@web",
        "=admin@web",
        "pki=@web",
        "pki=admin@",
        "pki=boss@*",
        "pki=admin@*+web",
    ):
        with pytest.raises(ValueError, match=re.escape("is n") + "|has groups"):
            RightsRule.parse(text)


def test_the_first_rule_that_fits_counts_and_none_is_added_to_it():
    rules = [RightsRule.parse(text) for text in RULES]

    def of(*values: str) -> tuple[Any, Any]:
        found = sign_in.rights_of(person(*values), rules)
        return found.roles, found.groups

    assert of("web") == (("operator", "approver"), ("web", "shop"))
    assert of("web", "pki") == (("admin",), ())
    with pytest.raises(Forbidden, match="nothing there lets them in"):
        of("sales")


@pytest.mark.parametrize(
    "sent",
    ["*", "pk*", "web)(memberOf=pki", "*)(uid=*))(|(uid=*", "PKI", " pki", "pki\\00", "%", "' or '1'='1"],
)
def test_a_name_or_group_with_signs_of_a_question_is_compared_and_never_asked_with(sent: str):
    rules = [RightsRule.parse(text) for text in RULES]
    with pytest.raises(Forbidden):
        sign_in.rights_of(person(sent, name=sent), rules)
    assert sign_in.rights_of(person(sent, "web", name=sent), rules).roles == ("operator", "approver")


def person(*values: str, name: str = "ada") -> Person:
    return Person(issuer=ISSUER, subject="7", name=name, values=values)


def test_people_are_known_by_issuer_and_subject_and_called_what_they_may_be_called():
    same = Person(issuer=ISSUER, subject="7", name="other", values=())
    assert same.identity == person().identity != replace(same, issuer="https://x.test").identity
    assert person(name="Ada <b>\x00 Lovelace").names()[0] == "Ada b Lovelace"
    assert person(name="@@").names()[0] == "person"


@pytest.mark.parametrize(
    "path", ["//evil.test", "https://evil.test", "/\\evil.test", "/a\nb", "x", "", "/" * 2 + "x"]
)
def test_nobody_is_led_elsewhere_after_signing_in(path: str):
    with pytest.raises(Invalid):
        checked_return(path)


def test_the_settings_come_together_or_not_at_all():
    assert InventorySettings().oidc_issuer is None
    whole = {
        "oidc_issuer": ISSUER,
        "oidc_client_id": "x",
        "oidc_client_secret": "s",
        "oidc_redirect_uri": REDIRECT,
    }
    assert InventorySettings(**whole, oidc_rights=",".join(RULES)).rights_rules()[0].value == "pki"
    for change in (
        {"oidc_client_id": None},
        {"oidc_issuer": "http://login.test"},
        {"oidc_rights": "x"},
        {"oidc_scopes": "email"},
    ):
        with pytest.raises(ValueError, match=r"oidc|VALUE=ROLE"):
            InventorySettings(**{**whole, **change})


# A provider that lies


class Liar:
    """A provider in memory; a test changes what it says."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        self.keys = [self.jwk(KEY.public_key(), "1")]
        self.claims: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = signed
        self.asked: list[httpx.Request] = []

    @staticmethod
    def jwk(public: rsa.RSAPublicKey, key_id: str) -> dict[str, Any]:
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True), "kid": key_id, "use": "sig"}

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/token":
            return httpx.Response(200, json={"id_token": self.sign(self.claims), "token_type": "Bearer"})
        return httpx.Response(200, json={"keys": self.keys} if request.url.path == "/jwks" else self.metadata)


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", key_id: str | None = "1") -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": key_id} if key_id else {})


class Door:
    """The sign-in over a database, at a provider that lies."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.liar = Liar()
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.liar.answer))
        us = Client(
            issuer=ISSUER, client_id="us", client_secret="s:cret", redirect_uri=REDIRECT, scopes="openid"
        )
        sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
        self.access = Access(database, sealer=sealer, issuer=OURS, token_lifetime=HOUR)
        self.signing_in = SigningIn(
            database,
            Provider(
                openid=OpenIdProvider(us, http),
                claim="groups",
                rules=[RightsRule.parse(each) for each in RULES],
            ),
            access=self.access,
            principals=Principals(database, VoidTokens(database)),
            sealer=sealer,
            session_lifetime=HOUR,
            token_lifetime=HOUR,
        )

    async def begin(self) -> tuple[dict[str, str], str]:
        """Begin, and have the provider answer as it should; return that, and the browser's cookie."""
        begun = await self.signing_in.begin(return_to="/here", now=utc_now())
        sent = {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}
        assert (sent["response_type"], sent["code_challenge_method"], sent["redirect_uri"]) == (
            "code",
            "S256",
            REDIRECT,
        )
        now = int(utc_now().timestamp())
        self.liar.claims = {
            "iss": ISSUER,
            "sub": "7",
            "aud": "us",
            "iat": now,
            "exp": now + 60,
            "nonce": sent["nonce"],
            "preferred_username": "ada",
            "groups": ["web"],
        }
        return {"state": sent["state"], "code": "abc", "iss": ISSUER}, begun.cookie

    async def finish(self, answer: dict[str, str], cookie: str | None, **later: Any) -> str:
        return (
            await self.signing_in.finish(answer, cookie=cookie, now=utc_now() + later.get("by", 0 * DAY))
        ).cookie


@pytest.fixture
async def door(database: Database) -> Door:
    """One that leads in."""
    opened = Door(database)
    async with database.transaction() as tx:
        await opened.access.add_signing_key(tx, now=utc_now())
    return opened


async def test_who_comes_back_as_they_went_is_signed_in_once(door: Door):
    answer, cookie = await door.begin()
    done = await door.signing_in.finish(answer, cookie=cookie, now=utc_now())
    assert done.return_to == "/here"
    form = parse_qs(door.liar.asked[-2].content.decode())
    assert (form["grant_type"], form["redirect_uri"]) == (["authorization_code"], [REDIRECT])
    assert len(form["code_verifier"][0]) >= 43
    assert "client_secret" not in form
    assert (await door.signing_in.token(done.cookie, now=utc_now())).token
    with pytest.raises(Unauthenticated, match="Nobody is signed in"):
        await door.signing_in.token(done.cookie, now=utc_now() + 2 * HOUR)
    with pytest.raises(Unauthenticated, match="nothing was begun"):
        await door.finish(answer, cookie)
    async with door.database.read() as session:
        row = (await session.scalars(sa.select(PrincipalRow))).one()
    assert (row.name, row.roles, row.groups, row.kind) == (
        "ada",
        ["approver", "operator"],
        ["shop", "web"],
        "person",
    )


async def test_a_name_that_is_taken_here_makes_nobody_somebody_else(door: Door):
    async with door.database.transaction() as tx:
        tx.session.add(
            PrincipalRow(
                id="1",
                name="ada",
                kind="person",
                roles=["admin"],
                permissions=[],
                created_at=utc_now(),
                created_by="x",
            )
        )
    await door.finish(*await door.begin())
    async with door.database.read() as session:
        rows = (await session.scalars(sa.select(PrincipalRow).order_by(col(PrincipalRow.name)))).all()
    assert [(row.name[:4], row.roles) for row in rows] == [
        ("ada", ["admin"]),
        ("ada ", ["approver", "operator"]),
    ]
    assert rows[1].identity is not None


Lie = Callable[[Door, dict[str, str]], object]


def claims(**changes: Any) -> Lie:
    return lambda door, _answer: door.liar.claims.update(changes)


def signing(sign: Callable[[dict[str, Any]], str]) -> Lie:
    def change(door: Door, _answer: dict[str, str]) -> None:
        door.liar.sign = sign

    return change


def metadata(**changes: Any) -> Lie:
    return lambda door, _answer: door.liar.metadata.update(changes)


def answering(**changes: str | None) -> Lie:
    def change(_door: Door, answer: dict[str, str]) -> None:
        answer.update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            del answer[name]

    return change


def unsigned(payload: dict[str, Any]) -> str:
    return jwt.encode(payload, "", "none", headers={"kid": "1"})


def shared_secret(payload: dict[str, Any]) -> str:
    # PyJWT refuses to sign with what looks like a public key; an attacker would not.
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "1"}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    mac = base64.urlsafe_b64encode(hmac.digest(PUBLIC_PEM, head + b"." + body, hashlib.sha256)).rstrip(b"=")
    return b".".join((head, body, mac)).decode()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (answering(state="x" * 43), "nothing was begun"),
        (answering(state=None), "nothing was begun"),
        (answering(iss="https://mixed-up.test"), "another provider"),
        (answering(iss=None), "another provider"),
        (answering(code=None), "no code"),
        (answering(code=None, error="access_denied"), "says access_denied"),
        (answering(code=None, error="<script>"), "says an error"),
        (claims(nonce="x"), "another sign-in"),
        (claims(nonce=None), "another sign-in"),
        (claims(aud="others"), "not valid"),
        (claims(aud=["us", "others"]), "others too"),
        (claims(azp="others"), "another client"),
        (claims(iss="https://mixed-up.test"), "not valid"),
        (claims(exp=1), "expired"),
        (claims(exp=None), "not valid"),
        (signing(unsigned), "signed in a way"),
        (signing(shared_secret), "signed in a way"),
        (signing(lambda payload: signed(payload, OTHER_KEY)), "not valid"),
        (signing(lambda payload: signed(payload, key_id="2")), "unknown key"),
        (signing(lambda payload: signed(payload, CURVE, "ES256")), "unknown key"),
        (signing(lambda _payload: "x"), "not valid"),
    ],
)
async def test_what_is_not_ours_or_not_whole_is_refused(shut: Database, lie: Lie, reason: str):
    door = Door(shut)
    answer, cookie = await door.begin()
    lie(door, answer)
    with pytest.raises(Unauthenticated, match=reason):
        await door.finish(answer, cookie)
    await nobody_came_in(shut)


async def nobody_came_in(database: Database) -> None:
    async with database.read() as session:
        assert (await session.scalars(sa.select(PrincipalRow))).all() == []


@pytest.mark.parametrize(
    "lie",
    [
        metadata(issuer="https://mixed-up.test"),
        metadata(authorization_endpoint="http://login.test/auth"),
        metadata(code_challenge_methods_supported=["plain"]),
    ],
)
async def test_a_provider_that_is_another_or_not_safe_is_not_gone_to(shut: Database, lie: Lie):
    door = Door(shut)
    lie(door, {})
    with pytest.raises(Refused):
        await door.begin()


async def test_a_code_is_taken_only_by_the_browser_that_asked_in_time_and_from_who_is_let_in(shut: Database):
    door = Door(shut)
    stolen, _ = await door.begin()
    _, other = await door.begin()
    for cookie in (other, None):
        with pytest.raises(Unauthenticated, match=r"another browser|nothing was begun"):
            await door.finish(stolen, cookie)
    answer, cookie = await door.begin()
    with pytest.raises(Unauthenticated, match="too long ago"):
        await door.finish(answer, cookie, by=PATIENCE)
    answer, cookie = await door.begin()
    door.liar.claims["groups"] = {"web": True}
    with pytest.raises(Forbidden):
        await door.finish(answer, cookie)
    replayed, cookie = await door.begin()
    nonce = door.liar.claims["nonce"]
    door.liar.claims["groups"] = ["sales"]
    with pytest.raises(Forbidden):
        await door.finish(replayed, cookie)
    answer, cookie = await door.begin()
    door.liar.claims["nonce"] = nonce
    with pytest.raises(Unauthenticated, match="another sign-in"):
        await door.finish(answer, cookie)
    await nobody_came_in(shut)


@pytest.fixture(scope="module")
async def shut(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    """A database that nobody is to come into."""
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('shut')}/inventory.db", source="inventory")
    await SCHEMA.upgrade(opened)
    yield opened
    await opened.close()


# A real provider


@pytest.fixture(scope="module")
def glewlwyd(lab_ca: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glewlwyd]:
    """Glewlwyd, with two people."""
    server = Glewlwyd(tmp_path_factory.mktemp("glewlwyd"), ca=lab_ca)
    server.start()
    server.register("everleaf", secret="a-test-secret", redirect_uri=REDIRECT)
    server.add_person("ada", groups=["web"])
    server.add_person("bob", groups=["sales"])
    yield server
    server.stop()


class Portal:
    """An inventory that knows the provider, and a browser without scripts."""

    def __init__(self, service: Service, provider: Glewlwyd) -> None:
        transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
        self.browser = httpx.AsyncClient(transport=transport, base_url="https://everleaf.test")
        self.provider = provider

    async def sign_in(self, name: str, *, change: Callable[[str], str] = str) -> httpx.Response:
        begun = await self.browser.get("/v1/login", params={"return_to": "/certificates"})
        assert begun.status_code == 303, begun.text
        back = self.provider.sign_in(name, at=change(begun.headers["location"]), client_id="everleaf")
        return await self.browser.get(f"/v1/login/callback?{urlsplit(back).query}")

    async def token(self, **headers: str) -> httpx.Response:
        return await self.browser.post("/v1/session/token", headers=headers)


@pytest.fixture
async def portal(tmp_path: Path, glewlwyd: Glewlwyd, lab_ca_pem: Path) -> AsyncIterator[Portal]:
    """One at which nobody is signed in."""
    environ = {
        "EVERLEAF_INVENTORY_OIDC_ISSUER": glewlwyd.issuer,
        "EVERLEAF_INVENTORY_OIDC_CLIENT_ID": "everleaf",
        "EVERLEAF_INVENTORY_OIDC_CLIENT_SECRET": "a-test-secret",
        "EVERLEAF_INVENTORY_OIDC_REDIRECT_URI": REDIRECT,
        "EVERLEAF_INVENTORY_OIDC_SCOPES": "openid",
        "EVERLEAF_INVENTORY_OIDC_RIGHTS": ",".join(RULES),
        "EVERLEAF_INVENTORY_OIDC_TLS_CA": str(lab_ca_pem),
    }
    services: list[Service] = []

    async def published() -> Any:
        transport = httpx.ASGITransport(services[0].api)
        async with httpx.AsyncClient(transport=transport, base_url="http://inventory") as asking:
            return (await asking.get("/v1/jwks.json")).json()

    around = surroundings(tmp_path, environ=environ)
    around = replace(around, verifier=Verifier(PublishedKeys(published), issuer=OURS))
    database = around.open_database(NAME, InventorySettings())
    await SCHEMA.upgrade(database)
    await database.close()
    async with build(around) as service:
        services.append(service)
        yield Portal(service, glewlwyd)


async def test_people_sign_in_at_a_real_provider_and_get_what_their_groups_there_give(portal: Portal):
    done = await portal.sign_in("ada")
    assert (done.status_code, done.headers["location"]) == (303, "/certificates"), done.text
    cookie = next(each for each in done.headers.get_list("set-cookie") if "session" in each)
    assert re.fullmatch(
        r"__Host-everleaf-session=[\w-]{43}; HttpOnly; Max-Age=28800; Path=/; SameSite=strict; Secure", cookie
    )
    answer = await portal.token()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    held = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (claims["roles"], claims["groups"]) == (["approver", "operator"], ["shop", "web"])
    assert (await portal.browser.get("/v1/certificates", headers=held)).status_code == 200
    assert (await portal.browser.get("/v1/principals", headers=held)).status_code == 403
    # Another site's page gets nothing by the cookie that comes along.
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}):
        assert (await portal.token(**headers)).status_code == 403
    assert (await portal.browser.delete("/v1/session")).status_code == 204
    assert (await portal.token()).status_code == 401
    assert (await portal.browser.get("/v1/certificates", headers=held)).status_code == 401


async def test_the_real_provider_holds_us_to_what_we_promised(portal: Portal):
    refused = await portal.sign_in("bob")
    assert (refused.status_code, "nothing there lets them in" in refused.text) == (403, True)
    # Another challenge than that of our verifier: the code is worth nothing (RFC 7636 §4.6).
    other = await portal.sign_in(
        "ada", change=lambda at: re.sub(r"code_challenge=[\w-]+", "code_challenge=" + "x" * 43, at)
    )
    assert (other.status_code, "does not take its code" in other.text) == (401, True)
    again = await portal.sign_in("ada", change=lambda at: re.sub(r"nonce=[\w-]+", "nonce=x", at))
    assert (again.status_code, "another sign-in" in again.text) == (401, True)
    assert (await portal.token()).status_code == 401
