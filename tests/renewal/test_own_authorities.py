"""Our own authorities over HTTP, as openssl and inventory's own revocation check see them."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtensionOID

from services.renewal import store
from services.renewal.actions import publications as publications_module
from services.renewal.actions.publications import CRL_EVERY, CRL_LIFETIME
from services.renewal.connectors import Revokes
from services.renewal.service import NAME, SCHEMA, SETTINGS, build
from services.run import HttpServer, listen
from shared.events.renewal import RevocationReason
from shared.pkcs11 import Token
from shared.revocation.crls import asked_of, read_crl
from shared.revocation.ocsp import read_response, request_for
from shared.revocation.words import Revocation
from shared.service import Service
from tests.builders import bearer, surroundings
from tests.renewal.workshop import Time, Workshop

OPERATOR, VIEWER = bearer("operator"), bearer("viewer")
PEM = Encoding.PEM


@dataclass
class House:
    """A served renewal: its API, and a workshop over the same database for what has no route."""

    service: Service
    api: httpx.AsyncClient
    shop: Workshop
    url: str
    folder: Path

    async def authority(self, **options: Any) -> str:
        """Make an authority and return its id."""
        body = {"name": f"house {len(self.made)}", "kind": "builtin", "options": options}
        made = await self.api.post("/v1/authorities", json=body)
        assert made.status_code == 201, made.text
        self.made.append(body["name"])
        return str(made.json()["id"])

    def __post_init__(self) -> None:
        self.made: list[Any] = []

    async def issue(
        self, *names: str, lifetime: str = "P90D", key_type: str = "ecdsa-p256"
    ) -> list[x509.Certificate]:
        """Order from the authority that was made last; return the chain, leaf first."""
        profile = {
            "name": f"profile {len(self.made)} {lifetime} {key_type} {names}",
            "authority": self.made[-1],
            "lifetime": lifetime,
            "key_type": key_type,
            "allowed_names": list(names),
        }
        assert (await self.api.post("/v1/profiles", json=profile)).status_code in (201, 409)
        body = {"names": list(names), "profile": profile["name"]}
        made = await self.api.post("/v1/orders", json=body)
        assert made.status_code == 202, made.text
        await self.shop.work_off()
        order = (await self.api.get(f"/v1/orders/{made.json()['id']}")).json()
        assert order["state"] == "renewed", order["last_error"]
        async with self.shop.database.read() as session:
            row = await session.get_one(store.Order, order["id"])
        return [x509.load_der_x509_certificate(base64.b64decode(der)) for der in row.chain or []]

    async def revoke(self, authority_id: str, leaf: x509.Certificate, reason: RevocationReason) -> None:
        """Let the authority take a certificate back."""
        async with self.shop.database.read() as session:
            row = await session.get_one(store.Authority, authority_id)
        async with self.shop.authorities.open(row) as opened:
            assert isinstance(opened, Revokes)
            await opened.revoke(
                leaf.public_bytes(Encoding.DER), issuer=None, reason=reason, now=self.shop.time()
            )

    async def root(self, authority_id: str) -> str:
        return (await self.api.get(f"/v1/authorities/{authority_id}/roots")).text

    async def openssl(self, *words: str) -> str:
        """Run openssl and return all it says."""
        done = await anyio.to_thread.run_sync(
            lambda: run(["openssl", *words], capture_output=True, text=True, cwd=self.folder, check=False)
        )
        return done.stdout + done.stderr

    def write(self, name: str, *parts: x509.Certificate | str) -> str:
        texts = [part if isinstance(part, str) else part.public_bytes(PEM).decode() for part in parts]
        (self.folder / name).write_text("".join(texts))
        return name


@asynccontextmanager
async def opened_house(folder: Path, *, token: Token | None = None) -> AsyncIterator[House]:
    bound = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    time = Time()
    around = surroundings(folder, environ={"EVERLEAF_RENEWAL_PUBLIC_URL": f"{url}/"}, clock=time, token=token)
    database = around.open_database(NAME, around.settings.load(SETTINGS, section=NAME))
    await SCHEMA.upgrade(database)
    async with build(around) as service:
        server = HttpServer(uvicorn.Config(service.api, log_config=None, lifespan="off"))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(service.api), base_url="http://test", headers=OPERATOR
        )
        shop = Workshop(service.database, time=time, public_url=url, token=token)
        async with client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server.serve(sockets=[bound]))
            yield House(service=service, api=client, shop=shop, url=url, folder=folder)
            server.should_exit = True
    await around.bus.close()
    await database.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A served renewal that knows its public address."""
    async with opened_house(tmp_path) as opened:
        yield opened


async def test_only_an_authority_that_is_told_to_issues_what_clients_may_show(house: House) -> None:
    for options, verdict in (({}, "unsuitable certificate purpose"), ({"for_clients": True}, "leaf.pem: OK")):
        house.write("root.pem", await house.root(await house.authority(**options)))
        leaf, issuer = await house.issue("part.example.test")
        house.write("leaf.pem", leaf)
        house.write("issuer.pem", issuer)
        chain = ("verify", "-CAfile", "root.pem", "-untrusted", "issuer.pem")
        assert "leaf.pem: OK" in await house.openssl(*chain, "-purpose", "sslserver", "leaf.pem")
        assert verdict in await house.openssl(*chain, "-purpose", "sslclient", "leaf.pem")


async def test_openssl_and_inventory_see_a_certificate_good_and_then_revoked_by_ocsp_and_by_crl(
    house: House,
) -> None:
    authority = await house.authority()
    leaf, issuer = await house.issue("shop.example.test")
    at = f"{house.url}/v1/authorities/{authority}"
    house.write("root.pem", await house.root(authority))
    house.write("leaf.pem", leaf)
    house.write("issuer.pem", issuer)

    async def asked() -> tuple[str, str, Revocation, Revocation]:
        async with httpx.AsyncClient() as client:
            crl = (await client.get(f"{at}/crl")).content
            request = request_for(leaf, issuer)
            told = (await client.post(f"{at}/ocsp", content=request)).content
        (house.folder / "crl.pem").write_bytes(x509.load_der_x509_crl(crl).public_bytes(PEM))
        now = house.shop.time()
        by_crl = read_crl(crl, issuer.public_bytes(Encoding.DER), f"{at}/crl", {"x": asked_of(leaf)}, now)
        by_ocsp = read_response(told, certificate=leaf, issuer=issuer, url=f"{at}/ocsp", now=now)
        chain = ("-CAfile", "root.pem", "-untrusted", "issuer.pem")
        verified = await house.openssl("verify", "-crl_check", *chain, "-CRLfile", "crl.pem", "leaf.pem")
        fetched = await house.openssl("verify", "-crl_check", "-crl_download", *chain, "leaf.pem")
        assert fetched.splitlines()[-1] == verified.splitlines()[-1], fetched
        words = ("-issuer", "issuer.pem", "-cert", "leaf.pem", "-url", f"{at}/ocsp", "-resp_text")
        said = await house.openssl("ocsp", *words, "-CAfile", "root.pem", "-verify_other", "issuer.pem")
        assert "Response verify OK" in said, said
        assert "WARNING: no nonce" not in said
        return verified, said, by_crl["x"].state, by_ocsp.state

    verified, said, *states = await asked()
    assert "leaf.pem: OK" in verified
    assert "leaf.pem: good" in said
    assert states == [Revocation.GOOD, Revocation.GOOD]
    await house.revoke(authority, leaf, RevocationReason.KEY_COMPROMISE)
    verified, said, *states = await asked()
    assert "certificate revoked" in verified
    assert "leaf.pem: revoked" in said
    assert "keyCompromise" in said
    assert states == [Revocation.REVOKED, Revocation.REVOKED]


async def test_a_certificate_says_where_to_ask_and_what_is_there_is_what_it_says(house: House) -> None:
    authority = await house.authority()
    leaf, issuer = await house.issue("shop.example.test")
    at = f"{house.url}/v1/authorities/{authority}"
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_location.value for each in access] == [f"{at}/ocsp", f"{at}/certificate"]
    [point] = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for name in point.full_name or ()] == [f"{at}/crl"]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{at}/certificate")).content == issuer.public_bytes(Encoding.DER)
        by_get = base64.b64encode(request_for(leaf, issuer)).decode()
        told = await client.get(f"{at}/ocsp/{by_get.replace('/', '%2F').replace('+', '%2B')}")
    assert told.headers["content-type"] == "application/ocsp-response"
    assert told.headers["cache-control"] == "public, max-age=1800"
    assert ocsp.load_der_ocsp_response(told.content).certificate_status is ocsp.OCSPCertStatus.GOOD


async def test_a_short_lived_certificate_says_that_nobody_need_ask(house: House) -> None:
    await house.authority()
    week, _ = await house.issue("week.example.test", lifetime="P7D")
    longer, _ = await house.issue("longer.example.test", lifetime="P8D")
    pointers = {ExtensionOID.CRL_DISTRIBUTION_POINTS.dotted_string, "2.5.29.56"}

    def told(leaf: x509.Certificate) -> set[str]:
        return {each.oid.dotted_string for each in leaf.extensions} & pointers

    assert told(week) == {"2.5.29.56"}
    assert told(longer) == {ExtensionOID.CRL_DISTRIBUTION_POINTS.dotted_string}


async def test_a_number_that_was_never_issued_is_unknown_and_a_question_about_others_is_not_answered(
    house: House,
) -> None:
    authority = await house.authority()
    leaf, issuer = await house.issue("shop.example.test")

    async def ask(body: bytes) -> ocsp.OCSPResponse:
        answer = await house.api.post(
            f"/v1/authorities/{authority}/ocsp", content=body, headers={"Authorization": ""}
        )
        return ocsp.load_der_ocsp_response(answer.content)

    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
    stranger = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        asked.issuer_name_hash, asked.issuer_key_hash, leaf.serial_number + 1, hashes.SHA256()
    )
    told = await ask(stranger.build().public_bytes(Encoding.DER))
    assert told.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    others = ocsp.OCSPRequestBuilder().add_certificate(leaf, leaf, hashes.SHA1()).build()
    told = await ask(others.public_bytes(Encoding.DER))
    assert told.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    for rubbish in (b"", b"rubbish", b"\x30" * 5000):
        assert (await ask(rubbish)).response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_a_crl_is_signed_once_until_something_is_revoked_or_a_day_is_over(house: House) -> None:
    authority = await house.authority()
    leaf, _ = await house.issue("shop.example.test")
    path = f"/v1/authorities/{authority}/crl"

    async def crl() -> x509.CertificateRevocationList:
        return x509.load_der_x509_crl((await house.api.get(path)).content)

    def number(of: x509.CertificateRevocationList) -> int:
        return of.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    first, again = await crl(), await crl()
    assert first == again
    assert (first.next_update_utc or first.last_update_utc) - first.last_update_utc == CRL_LIFETIME
    await house.revoke(authority, leaf, RevocationReason.SUPERSEDED)
    revoked = await crl()
    entry = revoked.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert entry is not None
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
    )
    house.shop.time.passes(CRL_EVERY)
    later = await crl()
    assert [number(each) for each in (first, revoked, later)] == [1, 2, 3]
    house.shop.time.passes(timedelta(days=90))
    assert len(list(await crl())) == 1  # the first CRL after its end still has it (RFC 5280 §3.3)
    house.shop.time.passes(CRL_EVERY)
    assert len(list(await crl())) == 0


async def test_revoking_twice_keeps_the_first_reason_and_a_strangers_certificate_is_refused(
    house: House,
) -> None:
    first = await house.authority()
    leaf, _ = await house.issue("one.example.test")
    second = await house.authority()
    with pytest.raises(Exception, match="has not issued that certificate"):
        await house.revoke(second, leaf, RevocationReason.SUPERSEDED)
    await house.revoke(first, leaf, RevocationReason.SUPERSEDED)
    await house.revoke(first, leaf, RevocationReason.KEY_COMPROMISE)
    crl = x509.load_der_x509_crl((await house.api.get(f"/v1/authorities/{first}/crl")).content)
    [entry] = list(crl)
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
    )


async def test_the_responder_is_appointed_anew_before_its_certificate_ends(house: House) -> None:
    authority = await house.authority()
    leaf, issuer = await house.issue("shop.example.test")

    async def responder() -> x509.Certificate:
        answer = await house.api.post(f"/v1/authorities/{authority}/ocsp", content=request_for(leaf, issuer))
        [certificate] = ocsp.load_der_ocsp_response(answer.content).certificates
        return certificate

    first, again = await responder(), await responder()
    assert first == again
    house.shop.time.passes(timedelta(days=24))
    assert await responder() != first


@pytest.mark.parametrize(
    "key_type", ["ecdsa-p384", "rsa-3072", "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"]
)
async def test_an_authority_of_every_kind_of_key_issues_publishes_and_answers(
    house: House, key_type: str
) -> None:
    authority = await house.authority(key_type=key_type)
    leaf, issuer = await house.issue("shop.example.test")
    crl = x509.load_der_x509_crl((await house.api.get(f"/v1/authorities/{authority}/crl")).content)
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # ML-DSA is one it takes
    answer = await house.api.post(f"/v1/authorities/{authority}/ocsp", content=request_for(leaf, issuer))
    told = ocsp.load_der_ocsp_response(answer.content)
    assert told.certificate_status is ocsp.OCSPCertStatus.GOOD
    told.certificates[0].verify_directly_issued_by(issuer)


async def test_an_authority_issues_only_for_names_within_its_constraints_and_openssl_agrees(
    house: House,
) -> None:
    authority = await house.authority(permitted=["example.test", "10.0.0.0/8"], excluded=["no.example.test"])
    leaf, issuer = await house.issue("shop.example.test", "10.1.2.3")
    constraints = issuer.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    house.write("root.pem", await house.root(authority))
    house.write("issuer.pem", issuer)
    house.write("leaf.pem", leaf)
    chain = ("-CAfile", "root.pem", "-untrusted", "issuer.pem")
    assert "leaf.pem: OK" in await house.openssl("verify", *chain, "leaf.pem")
    for name in ("shop.other.test", "www.no.example.test", "no.example.test", "192.0.2.1", "badexample.test"):
        with pytest.raises(AssertionError, match="may not issue for"):
            await house.issue(name)


async def test_a_wrong_constraint_is_refused_with_where_it_is(house: House) -> None:
    body = {"name": "x", "kind": "builtin", "options": {"permitted": ["exa mple"], "key_type": "md5"}}
    answer = await house.api.post("/v1/authorities", json=body)
    assert answer.status_code == 422
    assert {each["pointer"] for each in answer.json()["errors"]} == {
        "/body/options/permitted/0",
        "/body/options/key_type",
    }


async def test_an_authority_below_another_waits_for_its_certificate_and_then_issues(house: House) -> None:
    authority = await house.authority(signed_by_other=True)
    at = f"/v1/authorities/{authority}"
    assert (await house.api.get(f"{at}/crl")).status_code == 503
    with pytest.raises(AssertionError, match="certificate is not there yet"):
        await house.issue("early.example.test")
    request = x509.load_der_x509_csr((await house.api.get(f"{at}/csr")).content)
    (house.folder / "request.pem").write_bytes(request.public_bytes(PEM))
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    await house.openssl(*made, "-keyout", "top.key", "-out", "top.pem", "-subj", "/CN=top", "-days", "9")
    signing = ("x509", "-req", "-in", "request.pem", "-CA", "top.pem", "-CAkey", "top.key", "-days", "8")
    await house.openssl(*signing, "-copy_extensions", "copyall", "-out", "own.pem")
    own, top = ((house.folder / name).read_text() for name in ("own.pem", "top.pem"))
    for wrong in (own, top + own, own + own, top + top):
        refused = await house.api.put(f"{at}/certificate", json={"certificate": wrong})
        assert refused.status_code == 422, refused.text
    denied = await house.api.put(f"{at}/certificate", json={"certificate": own + top}, headers=VIEWER)
    assert denied.status_code == 403
    taken = await house.api.put(f"{at}/certificate", json={"certificate": own + top})
    assert taken.status_code == 204, taken.text
    leaf, issuer = await house.issue("shop.example.test", lifetime="P3D")
    house.write("leaf.pem", leaf)
    assert issuer.public_bytes(PEM).decode() == own
    verified = await house.openssl("verify", "-CAfile", "top.pem", "-untrusted", "own.pem", "leaf.pem")
    assert "leaf.pem: OK" in verified
    assert (await house.api.get(f"{at}/roots")).text == top


async def test_what_is_not_one_of_our_own_authorities_publishes_nothing(house: House) -> None:
    options = {"directory_url": "https://acme.example.test/dir"}
    body = {"name": "acme", "kind": "acme", "options": options}
    acme = (await house.api.post("/v1/authorities", json=body)).json()["id"]
    own = await house.authority()
    for authority in (acme, "0" * 36):
        assert (await house.api.get(f"/v1/authorities/{authority}/crl")).status_code == 404
        assert (await house.api.get(f"/v1/authorities/{authority}/csr")).status_code in (404, 409)
    assert (await house.api.get(f"/v1/authorities/{own}/csr")).status_code == 409


async def test_an_authority_of_before_there_were_books_issues_and_publishes(house: House) -> None:
    authority = await house.authority(intermediate=False)
    async with house.shop.database.transaction() as tx:
        row = await tx.session.get_one(store.Authority, authority)
        opened = house.shop.sealer.open(row.private, row=f"renewal/authorities/{authority}/private")
        pkcs8 = bytes.fromhex(json.loads(opened)["key"]["pkcs8"])
        row.options = {}
        row.private = house.shop.authorities.seal_private(pkcs8, authority_id=authority)
    [leaf] = await house.issue("old.example.test")
    root = x509.load_pem_x509_certificate((await house.root(authority)).encode())
    leaf.verify_directly_issued_by(root)
    assert (await house.api.get(f"/v1/authorities/{authority}/crl")).status_code == 200


async def test_what_was_issued_is_listed_page_by_page_from_a_moment_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.renewal.store.builtin._PAGE", 2)
    authority = await house.authority()
    chains = [await house.issue(f"n{number}.example.test") for number in range(5)]
    async with house.shop.database.read() as session:
        row = await session.get_one(store.Authority, authority)
    async with house.shop.authorities.open(row) as opened:
        listed = [each async for each in opened.issued_since(datetime.fromtimestamp(0, UTC))]  # type: ignore[attr-defined] # it has the power
        later = [each async for each in opened.issued_since(listed[2].issued_at)]  # type: ignore[attr-defined] # it has the power
    assert [each.certificate for each in listed] == [chain[0].public_bytes(Encoding.DER) for chain in chains]
    assert later == listed[2:]


def test_the_crl_is_signed_well_before_the_last_one_ends() -> None:
    assert publications_module.CRL_EVERY * 2 < publications_module.CRL_LIFETIME


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "rsa-3072"])
async def test_an_authority_whose_keys_are_in_a_token_issues_and_publishes_and_keeps_no_key(
    tmp_path: Path, token: Token, key_type: str
) -> None:
    async with opened_house(tmp_path, token=token) as house:
        authority = await house.authority(in_token=True, key_type=key_type)
        leaf, issuer = await house.issue("shop.example.test")
        house.write("root.pem", await house.root(authority))
        house.write("issuer.pem", issuer)
        house.write("leaf.pem", leaf)
        crl = x509.load_der_x509_crl((await house.api.get(f"/v1/authorities/{authority}/crl")).content)
        (house.folder / "crl.pem").write_bytes(crl.public_bytes(PEM))
        chain = ("-CAfile", "root.pem", "-untrusted", "issuer.pem", "-CRLfile", "crl.pem")
        assert "leaf.pem: OK" in await house.openssl("verify", "-crl_check", *chain, "leaf.pem")
        answer = await house.api.post(f"/v1/authorities/{authority}/ocsp", content=request_for(leaf, issuer))
        told = ocsp.load_der_ocsp_response(answer.content)
        assert told.certificate_status is ocsp.OCSPCertStatus.GOOD
        async with house.shop.database.read() as session:
            row = await session.get_one(store.Authority, authority)
        kept = json.loads(house.shop.sealer.open(row.private, row=f"renewal/authorities/{authority}/private"))
        assert list(kept["key"]) == list(kept["root_key"]) == ["token"]


async def test_an_authority_with_a_token_that_is_not_set_is_refused_with_what_to_set(house: House) -> None:
    body = {"name": "x", "kind": "builtin", "options": {"in_token": True}}
    answer = await house.api.post("/v1/authorities", json=body)
    assert answer.status_code == 422
    assert "EVERLEAF_PKCS11_MODULE" in answer.json()["next_step"]
