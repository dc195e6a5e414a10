"""The benches of APIs other than AWS: simulators that hold certificates, and a listener that serves what they hold."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from services.provisioner.connectors.registry import target_kind
from services.provisioner.domain import Failure, State
from tests.conformance.targets import apis
from tests.conformance.targets.bench import NAME, Bench, Fault, Fixtures, Opens, Outcome, Row
from tests.discovery.workshops.google_certificate_manager import PROJECT, rsa_key
from tests.servers.api import Told
from tests.servers.azure import EntraId, KeyVault
from tests.servers.google import PERMISSIONS, WRITING, GoogleCloud
from tests.servers.kubernetes import KubernetesApi
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued
from tests.servers.vault import Vault
from tests.servers.vault.kv import KeyValue

USER, TOKEN = "system:serviceaccount:everleaf:writer", "eyJhbGciOiJSUzI1NiJ9.writer.c2lnbmF0dXJl"
TENANT, CLIENT = "11111111-2222-4333-8444-555555555555", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
INGRESSES, GATEWAYS = "ingresses.networking.k8s.io", "gateways.gateway.networking.k8s.io"
_INVALID = Told(status=422, document={"kind": "Status", "message": "admission webhook denied the request"})
_BAD = Told(status=400, document={"error": {"code": "BadParameter", "message": "as the test wants it"}})


def _tls_data(issued: Issued) -> dict[str, str]:
    parts = {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem}
    return {name: base64.b64encode(value).decode() for name, value in parts.items()}


def _pair_in(secret: Mapping[str, Any] | None) -> tuple[bytes, bytes] | None:
    if secret is None:
        return None
    return base64.b64decode(secret["data"]["tls.crt"]), base64.b64decode(secret["data"]["tls.key"])


def _kubernetes(kind: str) -> Opens:
    """Return the bench of a secret, or of an object that names one."""

    @asynccontextmanager
    async def opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
        ca, folder = CertificateAuthority("cluster"), Path(fixtures("tmp_path"))
        server = KubernetesApi(context=ca.issue(*LOOPBACK).server_context(folder / "kubernetes"))
        server.tokens[TOKEN] = USER
        server.allow_writing(USER, "secrets", INGRESSES, GATEWAYS, namespace="shop")
        old: Issued = fixtures("lab_ca").issue(NAME)
        server.put("secrets", "shop", "front", type="kubernetes.io/tls", data=_tls_data(old))
        slot, resource = _named_by(kind, server)
        with ExitStack() as stack:
            server.api.start()
            stack.callback(server.api.stop)
            front = stack.enter_context(
                apis.front(lambda: _pair_in(server.find("secrets", "shop", _name_of(server, resource))))
            )

            def held() -> str:
                assert len(server.objects("secrets")) == (
                    1 if resource == "secrets" else 2 - _is_ours(server)
                )
                return front.held()

            yield Bench(
                target={
                    "kind": kind,
                    "credential": {"token": TOKEN},
                    "options": {"server": server.api.url, "trusted_ca": ca.pem.decode()},
                },
                slot=slot,
                endpoint=front.endpoint,
                present=held,
                breaks={
                    Fault.IMPOSTOR: apis.impostor(),
                    Fault.CREDENTIAL: apis.credential({"token": "eyJhbGciOiJSUzI1NiJ9.nobody.bm8"}),
                    Fault.PERMISSION: apis.between(
                        lambda: _read_only(server),
                        lambda: server.allow_writing(USER, "secrets", namespace="shop"),
                    ),
                    Fault.REFUSED: apis.refusing(
                        server.api, method="PUT", ending=f"/{slot.get('name', 'front')}", told=_INVALID
                    ),
                    Fault.NO_EFFECT: front.stuck,
                },
                upstream=("127.0.0.1", server.api.port),
                through=apis.through("server", "https://localhost:{}".format),
            )

    return opened


def _read_only(server: KubernetesApi) -> None:
    server.deny(USER, "secrets", namespace="shop")
    server.allow(USER, "secrets", namespace="shop")


def _is_ours(server: KubernetesApi) -> int:
    """Return 1 where the secret that is named was made here and is the only one of ours, else 0."""
    ours = [each for each in server.objects("secrets") if each["metadata"].get("labels")]
    assert len(ours) <= 1
    return 1 - len(ours)


def _named_by(kind: str, server: KubernetesApi) -> tuple[dict[str, Any], str]:
    if kind == "kubernetes-secret":
        return {"namespace": "shop", "secret": "front"}, "secrets"
    if kind == "kubernetes-ingress":
        tls = [{"hosts": ["other.test"], "secretName": "other"}, {"hosts": [NAME], "secretName": "front"}]
        server.put(INGRESSES, "shop", "web", spec={"tls": tls})
        return {"namespace": "shop", "name": "web", "host": NAME}, INGRESSES
    listener = {"name": "https", "tls": {"mode": "Terminate", "certificateRefs": [{"name": "front"}]}}
    server.put(GATEWAYS, "shop", "edge", spec={"listeners": [{"name": "http"}, listener]})
    return {"namespace": "shop", "name": "edge", "listener": "https"}, GATEWAYS


def _name_of(server: KubernetesApi, resource: str) -> str:
    """Return the secret that is used now."""
    if resource == INGRESSES:
        return str((server.find(INGRESSES, "shop", "web") or {})["spec"]["tls"][1]["secretName"])
    if resource == GATEWAYS:
        listener = (server.find(GATEWAYS, "shop", "edge") or {})["spec"]["listeners"][1]
        return str(listener["tls"]["certificateRefs"][0]["name"])
    return "front"


@asynccontextmanager
async def _vault(fixtures: Fixtures) -> AsyncIterator[Bench]:
    ca, folder = CertificateAuthority("vault"), Path(fixtures("tmp_path"))
    server = Vault(context=ca.issue(*LOOPBACK).server_context(folder / "vault"))
    engine = server.mounts["secret"] = KeyValue()
    old: Issued = fixtures("lab_ca").issue(NAME)
    engine.put(
        "shop/tls",
        {"certificate": old.chain_pem.decode(), "private_key": old.key_pem.decode(), "note": "stays"},
    )
    able = {"secret/data/shop/*": ("read", "create", "update", "delete")}
    server.policies["writer"] = able
    token = server.new_token("writer")

    def current() -> tuple[bytes, bytes] | None:
        members = engine.secrets["shop/tls"][-1] or {}
        assert members["note"] == "stays"
        return members["certificate"].encode(), members["private_key"].encode()

    with ExitStack() as stack:
        server.start()
        stack.callback(server.stop)
        front = stack.enter_context(apis.front(current))
        yield Bench(
            target={
                "kind": "vault-kv",
                "credential": {"token": token},
                "options": {"url": server.url, "trusted_ca": ca.pem.decode()},
            },
            slot={"path": "shop/tls"},
            endpoint=front.endpoint,
            present=front.held,
            breaks={
                Fault.IMPOSTOR: apis.impostor(),
                Fault.CREDENTIAL: apis.credential({"token": "hvs.nobodys"}),
                Fault.PERMISSION: apis.between(
                    lambda: server.policies.update(writer={"secret/data/shop/*": ("read",)}),
                    lambda: server.policies.update(writer=able),
                ),
                Fault.NO_EFFECT: front.stuck,
            },
            upstream=("127.0.0.1", server.port),
            through=apis.through("url", "https://localhost:{}".format),
        )


@asynccontextmanager
async def _azure(fixtures: Fixtures) -> AsyncIterator[Bench]:
    ca, folder = CertificateAuthority("azure"), Path(fixtures("tmp_path"))
    context = ca.issue(*LOOPBACK).server_context(folder / "azure")
    entra = EntraId(context=context, tenant=TENANT, client_id=CLIENT)
    vault = KeyVault(entra, context=context)
    vault.rights.may_write = True
    old: Issued = fixtures("lab_ca").issue(NAME)
    vault.put("shop", old)

    def current() -> tuple[bytes, bytes] | None:
        issued = vault.current("shop")
        return (issued.chain_pem, issued.key_pem) if issued is not None else None

    with ExitStack() as stack:
        for each in (entra, vault):
            each.api.start()
            stack.callback(each.api.stop)
        front = stack.enter_context(apis.front(current))
        yield Bench(
            target={
                "kind": "azure-key-vault",
                "credential": {"client_secret": entra.secret},
                "options": {
                    "vault": vault.api.url,
                    "tenant": TENANT,
                    "client_id": CLIENT,
                    "authority": entra.api.url,
                    "trusted_ca": ca.pem.decode(),
                },
            },
            slot={"name": "shop"},
            endpoint=front.endpoint,
            present=front.held,
            breaks={
                Fault.IMPOSTOR: apis.impostor(),
                Fault.CREDENTIAL: apis.credential({"client_secret": "8Q~somebody-elses-secret"}),
                Fault.PERMISSION: apis.between(
                    lambda: setattr(vault.rights, "may_write", False),
                    lambda: setattr(vault.rights, "may_write", True),
                ),
                Fault.REFUSED: apis.refusing(vault.api, method="POST", ending="/import", told=_BAD),
                Fault.NO_EFFECT: front.stuck,
            },
            upstream=("127.0.0.1", vault.api.port),
            through=apis.through("vault", "https://localhost:{}".format),
            ours_before=old,
        )


_MAP = f"projects/{PROJECT}/locations/global/certificateMaps/shop"
_OLD = f"projects/{PROJECT}/locations/global/certificates/old"


@asynccontextmanager
async def _google(fixtures: Fixtures) -> AsyncIterator[Bench]:
    ca, folder = CertificateAuthority("google"), Path(fixtures("tmp_path"))
    context = ca.issue(*LOOPBACK).server_context(folder / "google")
    cloud = GoogleCloud(context=context, project=PROJECT, key=rsa_key("ours"))
    cloud.permissions |= WRITING
    old: Issued = fixtures("lab_ca").issue(NAME)
    cloud.put("certificates", name=_OLD, selfManaged={}, pemCertificate=old.chain_pem.decode())
    cloud.keys[_OLD] = old.key_pem.decode()
    cloud.put("certificateMapEntries", name=f"{_MAP}/certificateMapEntries/www", certificates=[_OLD])

    with ExitStack() as stack:
        cloud.api.start()
        stack.callback(cloud.api.stop)
        front = stack.enter_context(apis.front(lambda: cloud.presented("www")))

        def held() -> str:
            ours = [each for each in cloud.objects["certificates"] if each["name"] != _OLD]
            named = cloud.objects["certificateMapEntries"][0]["certificates"]
            assert [each["name"] for each in ours] == [each for each in named if each != _OLD]
            return front.held()

        yield Bench(
            target={
                "kind": "google-certificate-manager",
                "credential": {"service_account_key": cloud.key_file()},
                "options": {
                    "project": PROJECT,
                    "certificate_manager_url": cloud.api.url,
                    "token_uri": cloud.token_uri,
                    "trusted_ca": ca.pem.decode(),
                },
            },
            slot={"certificate_map": "shop", "entry": "www"},
            endpoint=front.endpoint,
            present=held,
            breaks={
                Fault.IMPOSTOR: apis.impostor(),
                Fault.CREDENTIAL: apis.credential(
                    {"service_account_key": cloud.key_file(rsa_key("somebody else"))}
                ),
                Fault.PERMISSION: apis.between(
                    lambda: cloud.permissions.discard("certificatemanager.certs.create"),
                    lambda: cloud.permissions.update(PERMISSIONS | WRITING),
                ),
                Fault.REFUSED: apis.refusing(
                    cloud.api, method="PATCH", ending="/www", told=Told(status=400, document=json.loads("{}"))
                ),
                Fault.NO_EFFECT: front.stuck,
            },
            upstream=("127.0.0.1", cloud.api.port),
            through=apis.through("certificate_manager_url", "https://localhost:{}".format),
        )


def _row(
    kind: str,
    opens: Opens,
    *,
    takes_all: bool = False,
    cuts: tuple[int, int] = (6, 14),
    permission: Outcome | None = None,
) -> Row:
    senseless = {**apis.SENSELESS, **({Fault.REFUSED: apis.TAKES_ALL} if takes_all else {})}
    otherwise = {Fault.IMPOSTOR: apis.IMPOSTOR, Fault.REFUSED: apis.REJECTED}
    return Row(
        kind=target_kind(kind),
        server="a simulator from its documentation",
        open=opens,
        senseless=senseless,
        otherwise=otherwise | ({Fault.PERMISSION: permission} if permission else {}),
        cuts=cuts,
    )


ROWS: dict[str, Row] = {
    **{
        kind: _row(kind, _kubernetes(kind))
        for kind in ("kubernetes-secret", "kubernetes-ingress", "kubernetes-gateway")
    },
    "azure-key-vault": _row(
        "azure-key-vault",
        _azure,
        # That it may read, and not import, is seen when it imports; then there is nothing to be put back.
        permission=Outcome(state=State.RESTORED, failure=Failure.PERMISSION_DENIED),
    ),
    "google-certificate-manager": _row("google-certificate-manager", _google),
    "vault-kv": _row("vault-kv", _vault, takes_all=True),
}
